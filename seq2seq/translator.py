"""A model folder as a translator: text in, text out.

Why: evaluation, the registry, the command line and other people's code translate by the same few
lines, so that a score says something about what users get.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch

from seq2seq import model_folder
from seq2seq.batches import collate, source_batch
from seq2seq.errors import UserError
from seq2seq.fast_search import FastModel, beam_search
from seq2seq.model import Seq2Seq
from seq2seq.precision import PRECISIONS, choose_precision
from seq2seq.search import Hypothesis, forced
from seq2seq.vocabulary import Vocabulary, known_words, words

DECODING = "decoding.json"  # in a registered model: how its scores were made
# What a request may ask for: a server answers others as well, and a beam gains nothing long before.
LIMITS = {"beam": (1, 100), "length_penalty": (0, 10), "max_length": (1, 1000)}
LONGEST = 500  # tokens of a source; the encoder would read more, but no training prepared it for that


class Decoding(NamedTuple):
    """How translations are searched for."""

    beam: int = 5
    length_penalty: float = 1.0
    max_length: int = 200  # tokens
    precision: str = "fp32"  # of the products: fp32 | bf16


class Translation(NamedTuple):
    """A translation and how it came about."""

    text: str
    score: float  # log-probability by length^length_penalty
    source_pieces: list[str]  # ends with </s>
    target_pieces: list[str]  # ends with </s>
    attention_TS: npt.NDArray[np.float32] | None  # a row for each target piece; None without attention


class Translator:
    """Translates with the model of a folder."""

    def __init__(
        self,
        model: Seq2Seq,
        vocabulary: Vocabulary,
        decoding: Decoding | None = None,
        known: frozenset[str] | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.model = model.eval().to(self.device)
        self.vocabulary = vocabulary
        self.decoding = decoding or Decoding()
        self._known = known
        self._fast: dict[str, FastModel] = {}  # by precision; made when first asked for

    @classmethod
    def from_folder(cls, folder: Path | str, device: torch.device | None = None) -> Self:
        """Read a model folder; raises UserError if it is incomplete or of another format."""
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"{folder} is not a model folder: `make run` trains one into `model`")
        decoding = folder / DECODING
        return cls(
            model_folder.load(folder),
            Vocabulary.load(folder),
            Decoding(**json.loads(decoding.read_text("utf-8"))) if decoding.is_file() else None,
            known_words(folder),
            device,
        )

    def translate(
        self,
        texts: list[str],
        beam: int | None = None,
        length_penalty: float | None = None,
        max_length: int | None = None,
        precision: str | None = None,
        batch_size: int = 64,
    ) -> list[str]:
        """The translation of each text, in order; an empty text stays empty.

        What is not given is as the model's registration says (beam 5, length penalty 1, fp32 without one).
        Raises UserError for a text of more than 500 tokens.
        """
        how = self._decoding(beam, length_penalty, max_length, precision)
        found = self._search(self._encode(texts), how, batch_size)
        return self.vocabulary.decode_all([h.ids if h else [] for h in found])

    def translate_fully(
        self,
        texts: list[str],
        beam: int | None = None,
        length_penalty: float | None = None,
        max_length: int | None = None,
        precision: str | None = None,
        batch_size: int = 64,
    ) -> list[Translation]:
        """As `translate`, with scores, pieces and where attention looked at each word."""
        how = self._decoding(beam, length_penalty, max_length, precision)
        sources = self._encode(texts)
        found = self._search(sources, how, batch_size)
        shown = self._attend(sources, [h.ids if h else [] for h in found], batch_size)
        return [
            t._replace(score=h.score(how.length_penalty)) if h else Translation("", 0.0, [], [], None)
            for t, h in zip(shown, found, strict=True)
        ]

    def attend(self, texts: list[str], targets: list[str], batch_size: int = 64) -> list[Translation]:
        """The given targets as translations: where attention looks while it is made to say them.

        Their score is their log-probability by length^length_penalty.
        """
        return self._attend(self._encode(texts), self.vocabulary.encode_all(targets), batch_size)

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that training never saw; none if what it saw was not kept."""
        if self._known is None:
            return []
        return [word for word in words(text) if word not in self._known]

    def _decoding(
        self, beam: int | None, penalty: float | None, longest: int | None, precision: str | None
    ) -> Decoding:
        default = self.decoding
        chosen = Decoding(
            default.beam if beam is None else beam,
            default.length_penalty if penalty is None else penalty,
            default.max_length if longest is None else longest,
            default.precision if precision is None else precision,
        )
        for name, (least, most) in LIMITS.items():
            if not least <= (value := getattr(chosen, name)) <= most:
                raise UserError(f"{name}: {value} is not allowed, it should be from {least} to {most}")
        if chosen.precision not in PRECISIONS:
            raise UserError(
                f"precision: {chosen.precision!r} is not allowed, it should be {' or '.join(PRECISIONS)}"
            )
        return chosen

    def _fast_model(self, precision: str) -> FastModel:
        if precision not in self._fast:
            self._fast[precision] = FastModel(self.model, choose_precision(precision, self.device))
        return self._fast[precision]

    def _encode(self, texts: list[str]) -> list[list[int]]:
        """The ids of each text; raises UserError for one that is too long."""
        ids = self.vocabulary.encode_all(texts)
        for text, sentence in zip(texts, ids, strict=True):
            if len(sentence) > LONGEST:
                raise UserError(
                    f"a text of {len(sentence):,} tokens is too long, at most {LONGEST}: split it into "
                    f"sentences ({text[:60]!r} ...)"
                )
        return ids

    def _search(self, sources: list[list[int]], how: Decoding, batch_size: int) -> list[Hypothesis | None]:
        """A hypothesis for each source that has any token, searched in batches of like length."""
        fast = self._fast_model(how.precision)
        found: list[Hypothesis | None] = [None] * len(sources)
        order = sorted((i for i, source in enumerate(sources) if source), key=lambda i: len(sources[i]))
        for rows in portions(order, batch_size):
            source_BS, lengths_B = source_batch([sources[i] for i in rows])
            source_BS, lengths_B = source_BS.to(self.device), lengths_B.to(self.device)
            hypotheses = beam_search(fast, source_BS, lengths_B, how.beam, how.length_penalty, how.max_length)
            for i, hypothesis in zip(rows, hypotheses, strict=True):
                found[i] = hypothesis
        return found

    def _attend(
        self, sources: list[list[int]], targets: list[list[int]], batch_size: int
    ) -> list[Translation]:
        """Teacher forcing, in batches of like length."""
        said: dict[int, Translation] = {}
        order = sorted(range(len(sources)), key=lambda i: (len(targets[i]), len(sources[i])))
        for rows in portions(order, batch_size):
            batch = collate([sources[i] for i in rows], [targets[i] for i in rows]).to(self.device)
            logs_B, weights_BTS = forced(
                self.model, batch.source_BS, batch.source_lengths_B, batch.input_BT, batch.output_BT
            )
            for row, (i, log) in enumerate(zip(rows, logs_B.tolist(), strict=True)):
                source, target = (self.vocabulary.pieces(ids) for ids in (sources[i], targets[i]))
                attention_TS = None
                if weights_BTS is not None:
                    attention_TS = weights_BTS[row, : len(target) + 1, : len(source) + 1].cpu().numpy()
                said[i] = Translation(
                    self.vocabulary.decode(targets[i]),
                    Hypothesis(targets[i], log, ended=True).score(self.decoding.length_penalty),
                    [*source, "</s>"],
                    [*target, "</s>"],
                    attention_TS,
                )
        return [said[i] for i in range(len(sources))]


def portions(order: list[int], size: int) -> Iterator[list[int]]:
    """Runs of `size`, the last one shorter; raises UserError for a size that is none."""
    if size < 1:
        raise UserError(f"batch_size: {size} is not allowed, it should be 1 or more")
    for begin in range(0, len(order), size):
        yield order[begin : begin + size]
