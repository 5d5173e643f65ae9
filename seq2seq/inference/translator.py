"""A model folder as a translator: texts in, texts out.

Why: evaluation, the registry, the command line and other people's code share this implementation, so that
scores apply to the translations that users get.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch

from seq2seq.common.errors import UserError
from seq2seq.data import direction
from seq2seq.data.vocabulary import Vocabulary, known_words
from seq2seq.inference import confidence, document
from seq2seq.inference.alternatives import Alternative, of_text
from seq2seq.inference.decoding import Decoding
from seq2seq.inference.decoding import read as read_decoding
from seq2seq.inference.doubts import Doubts, Warnings, summary
from seq2seq.inference.engine import Engine
from seq2seq.inference.glossary import Glossary
from seq2seq.inference.hypothesis import Hypothesis
from seq2seq.inference.parts import LONGEST, Parts, no_text
from seq2seq.inference.protection import Protection
from seq2seq.inference.translation import Translation, combined_score, concatenated
from seq2seq.nn import model_folder
from seq2seq.nn.model import Seq2Seq


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
        calibration: confidence.Calibration | None = None,
        glossary: Glossary | None = None,
    ) -> None:
        self._engine = Engine(model, vocabulary, device)
        self.model = self._engine.model
        self.vocabulary = vocabulary
        self.decoding = decoding or Decoding()
        self.source_language = source_language
        self.calibration = calibration
        self.glossary = glossary
        if glossary and not self.protects:
            raise UserError(
                "a glossary needs a model trained with masked spans: set tokenize.masked_share, e.g. 0.1"
            )
        self._doubts = Doubts(vocabulary, known)
        self._warnings = Warnings()

    @classmethod
    def from_folder(
        cls, folder: Path | str, device: torch.device | None = None, glossary: Path | None = None
    ) -> Self:
        """Load a model folder, with the file of a glossary; raises UserError if one cannot be used."""
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"{folder} is not a model folder: `make run` trains one into `model`")
        decoding, source_language = read_decoding(folder)
        return cls(
            model_folder.load(folder),
            Vocabulary.load(folder),
            decoding,
            known_words(folder),
            device,
            source_language or direction.read(folder).source.language,
            confidence.read(folder),
            Glossary.read(glossary) if glossary else None,
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
        divide: bool = False,
    ) -> list[str]:
        """The translation of each text, in order; an empty text stays empty.

        Sentences of a text are translated one by one and joined with their original spacing. Defaults are
        the settings of the model's registration (without one: beam 5, length penalty 1, fp32, split).
        Warns once, with TextWarning, of texts unlike the training data. Raises UserError naming the first
        text, counted from 0, that is not a string or has a sentence of more than 500 tokens: see `refusals`.
        With `divide` such a sentence, and one whose translation does not end, is translated in parts.
        Placeholders, addresses, numbers with units and terms of the glossary stay as they have to be, if the
        model was trained for it (see `protects`).
        """
        how = self.decoding.chosen(beam, length_penalty, max_length, precision, split_sentences)
        protection = Protection(self.vocabulary, self.glossary)
        parts, found = self._find(texts, how, batch_size, warn, divide, protection)
        return self._joined(parts, found, protection)

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
        divide: bool = False,
        attend: bool = True,
    ) -> list[Translation]:
        """As `translate`, with scores, confidence and divisions; if `attend`, with pieces and attention."""
        how = self.decoding.chosen(beam, length_penalty, max_length, precision, split_sentences)
        protection = Protection(self.vocabulary, self.glossary)
        parts, found = self._find(texts, how, batch_size, warn, divide, protection)
        ids = [h.ids if h else [] for h in found]
        if attend:
            shown = self._engine.attend(parts.ids, ids, self.decoding.length_penalty, batch_size)
        else:
            shown = [Translation(text, 0.0, [], [], None) for text in self.vocabulary.decode_all(ids)]
        shown = list(map(protection.restore_pieces, parts.sentences, shown))
        joined = parts.join(t.text if h else "" for t, h in zip(shown, found, strict=True))
        translations = []
        grouped = parts.group(zip(shown, found, strict=True))
        for text, pairs, splits in zip(joined, grouped, parts.splits, strict=True):
            hypotheses = [h for _, h in pairs if h]
            score, mean = (combined_score(hypotheses, penalty) for penalty in (how.length_penalty, 1.0))
            whole = concatenated([t for t, h in pairs if h])._replace(text=text, score=score, splits=splits)
            if hypotheses:
                whole = whole._replace(confidence=self._confidence(mean), mean_log_probability=mean)
            translations.append(whole)
        return translations

    def alternatives(
        self,
        texts: Sequence[str],
        best: Sequence[str],
        count: int,
        beam: int | None = None,
        batch_size: int = 64,
    ) -> list[list[Alternative]]:
        """For each text at most `count` translations that differ from its `best` one, by falling score.

        They come from a search of their own, whose beam is wider than `count`, so that `translate` gives the
        same with and without them.
        """
        how = self.decoding.chosen(beam, None, None, None, None)
        protection = Protection(self.vocabulary, self.glossary)
        parts = self._split(texts, how.split_sentences, protection)
        parts = parts.fitting(min(LONGEST, how.max_length), protection.encode)
        wide = how._replace(beam=max(how.beam, count + 1))
        found = self._engine.search(parts.ids, wide, batch_size)
        settled = protection.settle(parts.sentences, parts.ids, found, self._engine)
        complete = (
            [h for h in protection.complete(sentence, hypotheses) if h.ended] or ([best] if best else [])
            for sentence, hypotheses, best in zip(parts.sentences, found, settled, strict=True)
        )
        results = []
        for one, hypotheses, known in zip(parts.singly(), parts.group(complete), best, strict=True):

            def join(chosen: Sequence[Hypothesis | None], one: Parts = one) -> str:
                return self._joined(one, chosen, protection)[0]

            results.append(of_text(hypotheses, join, how.length_penalty, self._confidence, known, count))
        return results

    def translate_document(
        self, text: str, beam: int | None = None, batch_size: int = 64, warn: bool = True
    ) -> document.Result:
        """A text of paragraphs and lists: blank lines, indentation, list marks and line breaks stay.

        The lines of a wrapped paragraph are translated together. Sentences that are too long are divided;
        the result has the number of divisions.
        """

        def translate(texts: list[str]) -> list[Translation]:
            return self.translate_fully(
                texts, beam, batch_size=batch_size, warn=False, divide=True, attend=False
            )

        if reason := no_text(text):
            raise UserError(reason)
        if warn and (message := self.warning([text])):
            self._warnings.warn(message, sys._getframe(1))
        return document.translate(text, translate)

    def refusals(self, texts: Sequence[Any], split_sentences: bool | None = None) -> dict[int, str]:
        """The reasons why texts cannot be translated, by index: not a string, or a sentence too long."""
        reasons = {i: reason for i, text in enumerate(texts) if (reason := no_text(text))}
        readable = [i for i in range(len(texts)) if i not in reasons]
        split = self.decoding.split_sentences if split_sentences is None else split_sentences
        parts = self._split([texts[i] for i in readable], split, Protection(self.vocabulary, self.glossary))
        for i, ids in zip(readable, parts.group(parts.ids), strict=True):
            longest = max(map(len, ids))
            if longest > LONGEST:
                unit = "sentence" if split else "text"
                reasons[i] = f"a {unit} of {longest:,} tokens is too long, at most {LONGEST}: divide it"
        return reasons

    @property
    def protects(self) -> bool:
        """Whether the model was trained to copy protected spans (`tokenize.masked_share`)."""
        return bool(self.vocabulary.symbols)

    def attend(self, texts: list[str], targets: list[str], batch_size: int = 64) -> list[Translation]:
        """Given targets as translations, with attention weights from forced decoding.

        Their score is their log-probability by length^length_penalty.
        """
        sources = self.vocabulary.encode_all(texts)
        aimed = self.vocabulary.encode_all(targets, "target")
        return self._engine.attend(sources, aimed, self.decoding.length_penalty, batch_size)

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that are not in the training data; none if its words were not stored."""
        return self._doubts.unknown_words(text)

    def doubts(self, text: str) -> list[str]:
        """The reasons why a text is unlike the training data: capitals, another script, unknown words."""
        return self._doubts.of(text)

    def warning(self, texts: Sequence[str]) -> str:
        """One line with the texts in doubt, counted from 0, and the reasons; empty if there are none."""
        return summary((f"text {i}", self.doubts(text)) for i, text in enumerate(texts))

    def _confidence(self, mean_log_probability: float) -> float | None:
        return self.calibration.confidence(mean_log_probability) if self.calibration else None

    def _joined(self, parts: Parts, found: Sequence[Hypothesis | None], protection: Protection) -> list[str]:
        """The translation of each text from the hypotheses of its sentences."""
        decoded = self.vocabulary.decode_all([h.ids if h else [] for h in found])
        return list(parts.join(map(protection.restore, parts.sentences, decoded)))

    def _split(self, texts: Sequence[str], split: bool, protection: Protection) -> Parts:
        marked = [protection.mark(text) for text in texts]
        return Parts.of(marked, protection.encode, self.source_language, split)

    def _find(
        self,
        texts: Sequence[str],
        how: Decoding,
        batch_size: int,
        warn: bool,
        divide: bool,
        protection: Protection,
    ) -> tuple[Parts, list[Hypothesis | None]]:
        """The sentences of texts and their hypotheses; see `translate` for warnings, errors and `divide`."""
        self._check(texts)
        parts = self._split(texts, how.split_sentences, protection)
        if divide:
            parts = parts.fitting(min(LONGEST, how.max_length), protection.encode)
        if any(len(ids) > LONGEST for ids in parts.ids):
            self._check(texts, self.refusals(texts, how.split_sentences))
        if warn and (message := self.warning(texts)):
            self._warnings.warn(message, sys._getframe(2))

        def search(parts: Parts, rows: Sequence[int]) -> list[Hypothesis | None]:
            ids, sentences = [parts.ids[row] for row in rows], parts.sentences
            hypotheses = self._engine.search(ids, how, batch_size)
            return protection.settle([sentences[row] for row in rows], ids, hypotheses, self._engine)

        if divide:
            return parts.searched(search, protection.encode)
        return parts, search(parts, range(len(parts.ids)))

    def _check(self, texts: Sequence[Any], refusals: Mapping[int, str] | None = None) -> None:
        """Raise UserError for the first text that is refused."""
        if refusals is None:
            refusals = {i: reason for i, text in enumerate(texts) if (reason := no_text(text))}
        for i, reason in refusals.items():
            raise UserError(f"text {i}: {reason} ({str(texts[i])[:60]!r})")
