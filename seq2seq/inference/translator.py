"""A model folder as a translator: texts in, texts out.

Why: evaluation, the registry, the command line and other people's code share this implementation, so that
scores apply to the translations that users get.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Self, TypeVar

import torch

from seq2seq.common.errors import UserError
from seq2seq.data import direction
from seq2seq.data.vocabulary import Vocabulary, known_words
from seq2seq.inference import sentences
from seq2seq.inference.doubts import Doubts, summary
from seq2seq.inference.fast_search import FastModel, beam_search
from seq2seq.inference.search import Hypothesis, force_decode
from seq2seq.inference.translation import Translation, combined_score, concatenated
from seq2seq.nn import model_folder
from seq2seq.nn.batches import collate, source_batch
from seq2seq.nn.model import Seq2Seq
from seq2seq.nn.precision import PRECISIONS, choose_precision

DECODING = "decoding.json"  # in a registered model: the settings of its scores
# Limits of a request: a server has others to answer, and larger beams gain nothing.
LIMITS = {"beam": (1, 100), "length_penalty": (0, 10), "max_length": (1, 1000)}
LONGEST = 500  # tokens of a source; training has none as long
MAX_WARNED = 1000  # stored warnings, which are not shown again
T = TypeVar("T")


class Decoding(NamedTuple):
    """The settings of the search."""

    beam: int = 5
    length_penalty: float = 1.0
    max_length: int = 200  # tokens
    precision: str = "fp32"  # of the products: fp32 | bf16
    split_sentences: bool = True  # translate the sentences of a text one by one

    def stored(self, source_language: str | None) -> dict[str, Any]:
        """The settings and all that splitting depends on, as stored with a registered model."""
        splitter = sentences.name_and_version() if self.split_sentences else None
        return {**self._asdict(), "splitter": splitter, "source_language": source_language}


class TextWarning(UserWarning):
    """A text is unlike the training data."""


class Translator:
    """Translates with the model of a folder."""

    def __init__(
        self,
        model: Seq2Seq,
        vocabulary: Vocabulary,
        decoding: Decoding | None = None,
        known: frozenset[str] | None = None,
        device: torch.device | None = None,
        source_language: str | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.model = model.eval().to(self.device)
        self.vocabulary = vocabulary
        self.decoding = decoding or Decoding()
        self.source_language = source_language
        self._doubts = Doubts(vocabulary, known)
        self._warned: dict[Any, Any] = {}  # recent warnings, in the format of the warnings module
        self._fast: dict[str, FastModel] = {}  # by precision; created at first use

    @classmethod
    def from_folder(cls, folder: Path | str, device: torch.device | None = None) -> Self:
        """Load a model folder; raises UserError if it is incomplete or of another format."""
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"{folder} is not a model folder: `make run` trains one into `model`")
        decoding, stored = None, {}
        if (file := folder / DECODING).is_file():
            stored = json.loads(file.read_text("utf-8"))
            # Versions registered before there was a splitter were scored without it.
            settings = {"split_sentences": False} | stored
            decoding = Decoding(**{name: settings[name] for name in Decoding._fields if name in settings})
        return cls(
            model_folder.load(folder),
            Vocabulary.load(folder),
            decoding,
            known_words(folder),
            device,
            stored.get("source_language") or direction.read(folder).source.language,
        )

    def translate(
        self,
        texts: Sequence[str],
        beam: int | None = None,
        length_penalty: float | None = None,
        max_length: int | None = None,
        precision: str | None = None,
        split_sentences: bool | None = None,
        batch_size: int = 64,
        warn: bool = True,
    ) -> list[str]:
        """The translation of each text, in order; an empty text stays empty.

        Sentences of a text are translated one by one and joined with their original spacing. Defaults are
        the settings of the model's registration (without one: beam 5, length penalty 1, fp32, split).
        Warns once, with TextWarning, of texts unlike the training data. Raises UserError naming the first
        text, counted from 0, that is not a string or has a sentence of more than 500 tokens: see `refusals`.
        """
        how = self._decoding(beam, length_penalty, max_length, precision, split_sentences)
        parts = self._prepare(texts, how.split_sentences, warn)
        found = self._search(parts.ids, how, batch_size)
        return list(parts.join(self.vocabulary.decode_all([h.ids if h else [] for h in found])))

    def translate_fully(
        self,
        texts: Sequence[str],
        beam: int | None = None,
        length_penalty: float | None = None,
        max_length: int | None = None,
        precision: str | None = None,
        split_sentences: bool | None = None,
        batch_size: int = 64,
        warn: bool = True,
    ) -> list[Translation]:
        """As `translate`, with scores, pieces and attention weights."""
        how = self._decoding(beam, length_penalty, max_length, precision, split_sentences)
        parts = self._prepare(texts, how.split_sentences, warn)
        found = self._search(parts.ids, how, batch_size)
        shown = self._attend(parts.ids, [h.ids if h else [] for h in found], batch_size)
        joined = parts.join(t.text if h else "" for t, h in zip(shown, found, strict=True))
        translations = []
        for text, pairs in zip(joined, parts.group(zip(shown, found, strict=True)), strict=True):
            score = combined_score([h for _, h in pairs if h], how.length_penalty)
            whole = concatenated([t for t, h in pairs if h])
            translations.append(whole._replace(text=text, score=score))
        return translations

    def refusals(self, texts: Sequence[Any], split_sentences: bool | None = None) -> dict[int, str]:
        """The reasons why texts cannot be translated, by index: not a string, or a sentence too long."""
        reasons = {i: reason for i, text in enumerate(texts) if (reason := no_text(text))}
        readable = [i for i in range(len(texts)) if i not in reasons]
        split = self.decoding.split_sentences if split_sentences is None else split_sentences
        parts = self._split([texts[i] for i in readable], split)
        for i, ids in zip(readable, parts.group(parts.ids), strict=True):
            longest = max(map(len, ids))
            if longest > LONGEST:
                unit = "sentence" if split else "text"
                reasons[i] = f"a {unit} of {longest:,} tokens is too long, at most {LONGEST}: divide it"
        return reasons

    def attend(self, texts: list[str], targets: list[str], batch_size: int = 64) -> list[Translation]:
        """Given targets as translations, with attention weights from forced decoding.

        Their score is their log-probability by length^length_penalty.
        """
        return self._attend(
            self.vocabulary.encode_all(texts), self.vocabulary.encode_all(targets, "target"), batch_size
        )

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that are not in the training data; none if its words were not stored."""
        return self._doubts.unknown_words(text)

    def doubts(self, text: str) -> list[str]:
        """The reasons why a text is unlike the training data: capitals, another script, unknown words."""
        return self._doubts.of(text)

    def warning(self, texts: Sequence[str]) -> str:
        """One line with the texts in doubt, counted from 0, and the reasons; empty if there are none."""
        return summary((f"text {i}", self.doubts(text)) for i, text in enumerate(texts))

    def _decoding(
        self,
        beam: int | None,
        penalty: float | None,
        longest: int | None,
        precision: str | None,
        split: bool | None,
    ) -> Decoding:
        default = self.decoding
        chosen = Decoding(
            default.beam if beam is None else beam,
            default.length_penalty if penalty is None else penalty,
            default.max_length if longest is None else longest,
            default.precision if precision is None else precision,
            default.split_sentences if split is None else split,
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

    def _split(self, texts: Sequence[str], split: bool) -> _Parts:
        """Split and encode texts."""
        groups = [sentences.split(text, self.source_language) if split else None for text in texts]
        flat = [
            part
            for text, group in zip(texts, groups, strict=True)
            for part in ([sentence.text for sentence in group.parts] if group else [text])
        ]
        return _Parts(groups, self.vocabulary.encode_all(flat))

    def _prepare(self, texts: Sequence[str], split: bool, warn: bool) -> _Parts:
        """As `_split`; raises UserError for a text that cannot be translated, warns of those in doubt."""
        self._check(texts)
        parts = self._split(texts, split)
        if any(len(ids) > LONGEST for ids in parts.ids):
            self._check(texts, self.refusals(texts, split))
        if warn and (message := self.warning(texts)):
            self._warn(message, sys._getframe(2))
        return parts

    def _warn(self, message: str, caller: FrameType) -> None:
        """As `warnings.warn` at the caller's line, but with a registry of its own, of limited size.

        `warnings.warn` stores every message in the caller's module forever, which leaks memory if each call
        has other texts.
        """
        if len(self._warned) >= MAX_WARNED:
            self._warned.clear()
        module = caller.f_globals.get("__name__")
        warnings.warn_explicit(
            message, TextWarning, caller.f_code.co_filename, caller.f_lineno, module, self._warned
        )

    def _check(self, texts: Sequence[Any], refusals: Mapping[int, str] | None = None) -> None:
        """Raise UserError for the first text that is refused."""
        if refusals is None:
            refusals = {i: reason for i, text in enumerate(texts) if (reason := no_text(text))}
        for i, reason in refusals.items():
            raise UserError(f"text {i}: {reason} ({str(texts[i])[:60]!r})")

    def _search(self, sources: list[list[int]], how: Decoding, batch_size: int) -> list[Hypothesis | None]:
        """A hypothesis for each source that has a token, searched for in batches of similar lengths."""
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
        """Forced decoding, in batches of similar lengths."""
        translations: dict[int, Translation] = {}
        order = sorted(range(len(sources)), key=lambda i: (len(targets[i]), len(sources[i])))
        for rows in portions(order, batch_size):
            batch = collate([sources[i] for i in rows], [targets[i] for i in rows]).to(self.device)
            logs_B, weights_BTS = force_decode(
                self.model, batch.source_BS, batch.source_lengths_B, batch.input_BT, batch.output_BT
            )
            for row, (i, log) in enumerate(zip(rows, logs_B.tolist(), strict=True)):
                source, target = (self.vocabulary.pieces(ids) for ids in (sources[i], targets[i]))
                attention_TS = None
                if weights_BTS is not None:
                    attention_TS = weights_BTS[row, : len(target) + 1, : len(source) + 1].cpu().numpy()
                translations[i] = Translation(
                    self.vocabulary.decode(targets[i]),
                    Hypothesis(targets[i], log, ended=True).score(self.decoding.length_penalty),
                    [*source, "</s>"],
                    [*target, "</s>"],
                    attention_TS,
                )
        return [translations[i] for i in range(len(sources))]


class _Parts(NamedTuple):
    """Texts as sentences: the parts of each text, and the ids of all sentences in order."""

    groups: list[sentences.Sentences | None]  # None for a text that is one sentence
    ids: list[list[int]]

    def join(self, translations: Iterable[str]) -> Iterator[str]:
        """The translation of each text from those of all sentences."""
        rest = iter(translations)
        for group in self.groups:
            yield sentences.join(group, list(islice(rest, len(group.parts)))) if group else next(rest)

    def group(self, items: Iterable[T]) -> Iterator[list[T]]:
        """The items of all sentences, grouped by text."""
        rest = iter(items)
        for group in self.groups:
            yield list(islice(rest, len(group.parts) if group else 1))


def no_text(value: object) -> str:
    """The reason why a value is not a text that can be translated; empty if it is one."""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            return "it is not valid Unicode: half of a surrogate pair"
        return ""
    if value is None or (isinstance(value, float) and math.isnan(value)):  # NaN: missing in a table
        return "null is not a text"
    kind = {bool: "a bool", int: "a number", float: "a number"}.get(
        type(value), f"of type {type(value).__name__}"
    )
    return f"{str(value)[:60]} is {kind}, not a text"


def portions(order: list[int], size: int) -> Iterator[list[int]]:
    """Consecutive portions of `size`, the last one shorter; raises UserError for a size below 1."""
    if size < 1:
        raise UserError(f"batch_size: {size} is not allowed, it should be 1 or more")
    for begin in range(0, len(order), size):
        yield order[begin : begin + size]
