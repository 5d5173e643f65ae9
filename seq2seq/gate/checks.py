"""The kinds of checks of a suite: how each finds its cases, and when a translation fails.

Why: the cases are made from the sentences of an evaluation set, so that no check depends on a language; a
check without suitable sentences has no cases. Options have no defaults: a suite's file is complete.
"""

from __future__ import annotations

import random
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import Annotated, Literal, NamedTuple

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from seq2seq.common.schema import Positive, Share
from seq2seq.data import words
from seq2seq.data.corpus import Pair, normalise
from seq2seq.evaluation.scores import sentence_chrf
from seq2seq.gate.text_features import in_ascii, mark, misspelt, numbers, repetition, spelt

BLANKS = ("", "   ", "\t")
CHARACTERS_IN_WORD = 4  # at most, where the translation is written without spaces
NO_ANSWER = "the model fails on it"


class Case(NamedTuple):
    """A source and the data to judge its translation by."""

    source: str
    reference: str = ""
    wanted: frozenset[str] = frozenset()  # numbers or words that the translation must contain
    clean: str | None = None  # the unchanged source, whose translation it should resemble
    origin: str = ""  # the sentence of the set, if the source is one of several variants of it

    @property
    def group(self) -> str:
        """The sentence that the case comes from: variants of one sentence are not independent."""
        return self.origin or self.source

    @property
    def sources(self) -> set[str]:
        """The texts whose translations the check needs."""
        return {self.source} if self.clean is None else {self.source, self.clean}


class Strict(BaseModel):
    """Part of a suite's file: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Check(Strict):
    """The options and methods that all kinds of checks share."""

    check: str  # its name
    threshold: Share  # of the cases, which must pass
    # `most` and `fewest` are the names in suites of earlier releases.
    max_cases: Annotated[Positive, Field(validation_alias=AliasChoices("max_cases", "most"))]
    min_sentences: Annotated[Positive, Field(validation_alias=AliasChoices("min_sentences", "fewest"))]

    def cases(self, pairs: Sequence[Pair], rng: random.Random) -> list[Case]:
        """The cases, made from the pairs of an evaluation set and in their order."""
        found = list(self._find(pairs, rng))
        chosen = sorted(rng.sample(range(len(found)), min(self.max_cases, len(found))))
        return [found[i] for i in chosen]

    def failure(self, case: Case, translations: Mapping[str, str]) -> str:
        """The reason why a case fails, empty if it passes; `translations` maps sources to translations."""
        return self._failure(case, translations) if case.sources <= translations.keys() else NO_ANSWER

    @abstractmethod
    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        """All cases that the pairs hold, in their order."""

    @abstractmethod
    def _failure(self, case: Case, translations: Mapping[str, str]) -> str:
        """The reason why a translated case fails, empty if it passes."""


class Numbers(Check):
    """The translation contains the numbers, in digits, that source and reference share.

    `new_numbers` replaces them by others, in several variants up to `max_cases`, so that memorised
    sentences do not help. `numbers` leaves out single digits, which may correctly be spelt as words.
    """

    check: Literal["numbers", "new_numbers"]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        either = [Case(p.source, wanted=numbers(p.source) & numbers(p.target)) for p in pairs]
        if self.check == "numbers":
            long = (case._replace(wanted=frozenset(n for n in case.wanted if len(n) > 1)) for case in either)
            yield from (case for case in long if case.wanted)
        elif having := [case for case in either if case.wanted]:
            yield from (other_numbers(case, rng) for case in islice(cycle(having), self.max_cases))

    def _failure(self, case: Case, translations: Mapping[str, str]) -> str:
        return _missing(case.wanted - numbers(translations[case.source]))


class Names(Check):
    """The translation contains the names: capitalised words, not first, that source and reference share."""

    check: Literal["names"]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        for pair in pairs:
            capitalised = {word for word in spelt(pair.source)[1:] if word[0].isupper()}
            if shared := capitalised.intersection(spelt(pair.target)):
                yield Case(pair.source, wanted=frozenset(shared))

    def _failure(self, case: Case, translations: Mapping[str, str]) -> str:
        return _missing(case.wanted.difference(spelt(translations[case.source])))


class OneWord(Check):
    """Each of the most frequent words, alone, gets a short translation."""

    check: Literal["one_word"]
    longest: Positive  # words of a translation

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        count = Counter(word for pair in pairs for word in set(spelt(pair.source)))
        frequent = sorted((word for word in count if count[word] > 1), key=lambda word: (-count[word], word))
        yield from map(Case, frequent[: self.max_cases])

    def _failure(self, case: Case, translations: Mapping[str, str]) -> str:
        answer = translations[case.source]
        if not answer.strip():
            return "it is empty"
        unit = words.unit([answer])
        most = self.longest * (CHARACTERS_IN_WORD if unit == words.CHARACTER else 1)
        count = words.length(answer)
        return f"{count} {unit}s for one word" if count > most else ""


class Empty(Check):
    """The translation of a blank text is empty."""

    check: Literal["empty"]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        yield from map(Case, BLANKS)

    def _failure(self, case: Case, translations: Mapping[str, str]) -> str:
        return "the translation of a blank text is not empty" if translations[case.source] else ""


class Changed(Check):
    """A source with two letters swapped, or in another case, gets nearly the same translation."""

    check: Literal["typos", "lowercase", "uppercase"]
    similarity: Annotated[float, Field(ge=0, le=100)]  # chrF of the two translations, case folded

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        changes: dict[str, Callable[[str], str]] = {
            "typos": lambda text: misspelt(text, rng),
            "lowercase": str.lower,
            "uppercase": str.upper,
        }
        for pair in pairs:
            if (source := changes[self.check](pair.source)) != pair.source:
                yield Case(source, clean=pair.source)

    def _failure(self, case: Case, translations: Mapping[str, str]) -> str:
        clean = translations[str(case.clean)]
        one, other = translations[case.source].casefold(), clean.casefold()
        chrf = 100.0 if one == other else sentence_chrf(one, other)
        return "" if chrf >= self.similarity else f"chrF {chrf:.0f} to {clean!r}, as {case.clean!r} gives"


class Repetition(Check):
    """The translation repeats no phrase that source and reference do not repeat, and is not empty."""

    check: Literal["repetition", "long"]
    times: Annotated[int, Field(ge=2)]  # in a row
    characters: Positive  # sentences are joined to sources of at least this length; 1 joins none

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        strung: list[Pair] = []
        for pair in pairs:
            strung.append(pair)
            source, reference = " ".join(p.source for p in strung), " ".join(p.target for p in strung)
            if len(source) >= self.characters:
                if not (repetition(source, self.times) or repetition(reference, self.times)):
                    yield Case(source)
                strung = []

    def _failure(self, case: Case, translations: Mapping[str, str]) -> str:
        if not translations[case.source]:
            return "it is empty"
        phrase = repetition(translations[case.source], self.times)
        return f"{phrase!r} {self.times} times in a row" if phrase else ""


class Length(Check):
    """A translation is neither much shorter nor much longer than the reference."""

    check: Literal["length"]
    low: Annotated[float, Field(gt=0, lt=1)]  # characters by the reference's: not every script has words
    high: Annotated[float, Field(gt=1)]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        full = (pair for pair in pairs if pair.source.strip() and pair.target.strip())
        yield from (Case(pair.source, pair.target) for pair in full)

    def _failure(self, case: Case, translations: Mapping[str, str]) -> str:
        ratio = len(translations[case.source]) / len(case.reference)
        return "" if self.low <= ratio <= self.high else f"{ratio:.2f} times as long as the reference"


class Copy(Check):
    """The translation is not a copy of the source, where the reference differs from it."""

    check: Literal["copy"]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        full = (pair for pair in pairs if pair.source.strip())
        different = (pair for pair in full if normalise(pair.source) != normalise(pair.target))
        yield from (Case(pair.source) for pair in different)

    def _failure(self, case: Case, translations: Mapping[str, str]) -> str:
        copied = normalise(translations[case.source]) == normalise(case.source)
        return "a copy of the source" if copied else ""


class Ending(Check):
    """Where source and reference end with a punctuation mark, the translation ends with the reference's."""

    check: Literal["ending"]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        both = (pair for pair in pairs if mark(pair.source) and mark(pair.target))
        yield from (Case(pair.source, pair.target) for pair in both)

    def _failure(self, case: Case, translations: Mapping[str, str]) -> str:
        wanted = mark(case.reference)
        return "" if mark(translations[case.source]) == wanted else f"it should end with {wanted!r}"


AnyCheck = Annotated[
    Numbers | Names | OneWord | Empty | Changed | Repetition | Length | Copy | Ending,
    Field(discriminator="check"),
]


def other_numbers(case: Case, rng: random.Random) -> Case:
    """A case with its wanted numbers replaced by others of as many digits, at least two."""
    new = {}
    for old in sorted(case.wanted):
        least = 10 ** max(len(old) - 1, 1)
        new[old] = old
        while new[old] == old:
            new[old] = str(rng.randrange(least, 10 * least))
    parts = re.split(r"(\d+)", case.source)
    source = "".join(new.get(in_ascii(part), part) for part in parts)
    return Case(source, wanted=frozenset(new.values()), origin=case.source)


def _missing(wanted: Iterable[str]) -> str:
    return f"without {', '.join(sorted(wanted))}" if wanted else ""
