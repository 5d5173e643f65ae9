"""`seq2seq score MODEL FILE`: BLEU, chrF and TER of any version on any file of pairs.

Why: a version is compared on another domain without changing the evaluation sets of the project. Search and
metrics are those of `evaluate`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq.commands.translate import model_folder
from seq2seq.common.errors import UserError

if TYPE_CHECKING:
    from seq2seq.data.corpus import Pair

CHUNK = 1000  # sentences between updates of the progress


def run(options: argparse.Namespace) -> int:
    """Translate the sources of a file, and print the scores against its targets."""
    if options.file is None:
        raise UserError("score: give a model and a file of pairs, or neither to run the stage")
    if not options.file.is_file():
        raise UserError(f"{options.file} is no file")
    found = scores_of(model_folder(options.model), options.file, options.source_column, options.target_column)
    found = {"model": options.model, "file": str(options.file), **found}
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    for name, label in (("bleu", "BLEU"), ("chrf", "chrF"), ("ter", "TER")):
        low, high = found[f"{name}_low"], found[f"{name}_high"]
        print(f"{label} {found[name]:.1f}, 95 % between {low:.1f} and {high:.1f}")
    untranslated = f", {found['untranslated']:,} too long and left untranslated" * bool(found["untranslated"])
    malformed = f", {found['malformed']:,} malformed rows left out" * bool(found["malformed"])
    print(f"{found['sentences']:,} sentences{untranslated}{malformed}; BLEU|{found['signatures']['bleu']}")
    return 0


def scores_of(folder: Path, file: Path, source: str, target: str) -> dict[str, Any]:
    """The scores of a model folder on a file; raises UserError for a file without a pair."""
    from seq2seq.common.progress import Progress
    from seq2seq.data import direction
    from seq2seq.evaluation import bleu_tokenizer, scores
    from seq2seq.inference.translator import Translator

    pairs, malformed = read_pairs(folder, file, source, target)
    translator = Translator.from_folder(folder)
    texts = [pair.source for pair in pairs]
    refused = translator.refusals(texts)
    texts = ["" if row in refused else text for row, text in enumerate(texts)]
    hypotheses: list[str] = []
    with Progress("score", "sentences", len(texts), out=sys.stderr) as progress:
        for begin in range(0, len(texts), CHUNK):
            hypotheses += translator.translate(texts[begin : begin + CHUNK], warn=False, divide=True)
            progress.advance(len(hypotheses) - begin)
    references = [pair.target for pair in pairs]
    tokenizer = bleu_tokenizer.choose(None, direction.read(folder).target)
    found = scores.corpus_scores(hypotheses, references, tokenizer)._asdict()
    return found | {"sentences": len(pairs), "untranslated": len(refused), "malformed": malformed}


def read_pairs(folder: Path, file: Path, source: str, target: str) -> tuple[list[Pair], int]:
    """The pairs of a file in the languages of a model folder, and the number of malformed rows.

    Raises UserError for a file without a pair.
    """
    from seq2seq.data import direction, formats
    from seq2seq.data.corpus import Pair
    from seq2seq.data.rows import Malformed

    sides = direction.read(folder)
    columns = [int(name) if name.isdecimal() else name for name in (source, target)]
    table = formats.open_table(file, columns[0], columns[1], (sides.source.language, sides.target.language))
    pairs: list[Pair] = []
    malformed = 0
    for row in table.rows:
        if isinstance(row, Pair):
            pairs.append(row)
        elif isinstance(row, Malformed):
            malformed += 1
    if not pairs:
        raise UserError(f"{file} has no pair")
    return pairs, malformed
