"""An exported folder as a translator: texts in, texts out, without PyTorch.

Why: sentences, divisions and joins are those of inference/translator.py, whose shared modules the folder has;
the settings are those of the model's registration.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seq2seq.common.errors import UserError
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.export.search import OnnxModel, n_best
from seq2seq.inference.hypothesis import Hypothesis
from seq2seq.inference.parts import LONGEST, Parts, no_text, portions
from seq2seq.inference.protection import Protection

DECODING = "decoding.json"
LIMITS = {"beam": (1, 100), "length_penalty": (0, 10), "max_length": (1, 1000)}


class Settings(NamedTuple):
    """The settings of a search, as in decoding.json."""

    beam: int
    length_penalty: float
    max_length: int
    split_sentences: bool


class OnnxTranslator:
    """Translates with an exported folder."""

    def __init__(self, folder: Path | str, threads: int | None = None) -> None:
        """Load a folder; `threads` of a product, without it one for each core."""
        folder = Path(folder)
        if not (folder / DECODING).is_file():
            raise UserError(f"{folder / DECODING} is missing: {folder} is no folder of `seq2seq export`")
        stored: dict[str, Any] = json.loads((folder / DECODING).read_text("utf-8"))
        self.settings = Settings(*(stored[name] for name in Settings._fields))
        self.source_language: str | None = stored["source_language"]
        self.vocabulary = Vocabulary.load(folder)
        self.model = OnnxModel(folder, threads)

    def translate(
        self,
        texts: Sequence[str],
        beam: int | None = None,
        length_penalty: float | None = None,
        max_length: int | None = None,
        split_sentences: bool | None = None,
        batch_size: int = 64,
        divide: bool = False,
    ) -> list[str]:
        """The translation of each text, in order; an empty text stays empty.

        Raises UserError naming the first text, counted from 0, that is not a string or has a sentence of more
        than 500 tokens. With `divide` such a sentence, and one whose translation does not end, is translated
        in parts.
        """
        given = (beam, length_penalty, max_length, split_sentences)
        how = Settings._make(d if g is None else g for g, d in zip(given, self.settings, strict=True))
        for name, (least, most) in LIMITS.items():
            if not least <= (value := getattr(how, name)) <= most:
                raise UserError(f"{name}: {value} is not allowed, it should be from {least} to {most}")
        for number, text in enumerate(texts):
            if reason := no_text(text):
                raise UserError(f"text {number}: {reason}")
        protection = Protection(self.vocabulary, None)
        marked = [protection.mark(text) for text in texts]
        parts = Parts.of(marked, protection.encode, self.source_language, how.split_sentences)
        if divide:
            parts = parts.fitting(min(LONGEST, how.max_length), protection.encode)
        for number, ids in enumerate(parts.group(parts.ids)):
            if (longest := max(map(len, ids))) > LONGEST:
                raise UserError(f"text {number}: a sentence of {longest:,} tokens is too long: divide it")

        def search(parts: Parts, rows: Sequence[int]) -> list[Hypothesis | None]:
            ids, sentences = [parts.ids[row] for row in rows], parts.sentences
            found: Any = self._search(ids, how, batch_size)
            here: Any = _Attention(self.model)
            settled: Any = protection.settle([sentences[row] for row in rows], ids, found, here)
            return list(settled)

        if divide:
            parts, hypotheses = parts.searched(search, protection.encode)
        else:
            hypotheses = search(parts, range(len(parts.ids)))
        decoded = self.vocabulary.decode_all([h.ids if h else [] for h in hypotheses])
        return list(parts.join(map(protection.restore, parts.sentences, decoded)))

    def _search(self, sources: list[list[int]], how: Settings, batch_size: int) -> list[list[Hypothesis]]:
        """The hypotheses for each source, none for one without a token, in batches of similar lengths."""
        found: list[list[Hypothesis]] = [[] for _ in sources]
        order = sorted((i for i, source in enumerate(sources) if source), key=lambda i: len(sources[i]))
        for rows in portions(order, batch_size):
            batch = [sources[i] for i in rows]
            hypotheses = n_best(self.model, batch, how.beam, how.length_penalty, how.max_length)
            for i, of_source in zip(rows, hypotheses, strict=True):
                found[i] = of_source
        return found


class _Attended(NamedTuple):
    """A given target, of which the attention alone is needed."""

    attention_TS: npt.NDArray[np.float32] | None


class _Attention:
    """Takes the place of the engine where a symbol is missing in a translation: it aligns given targets."""

    def __init__(self, model: OnnxModel) -> None:
        self._model = model

    def attend(
        self, sources: list[list[int]], targets: list[list[int]], length_penalty: float, batch_size: int
    ) -> list[_Attended]:
        """The weights of each target; scores are not computed."""
        return [_Attended(self._model.attention(*both)) for both in zip(sources, targets, strict=True)]
