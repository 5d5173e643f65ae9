"""The kinds of checks a suite may hold: where their cases come from, and what a translation must not do.

Why: the cases are made from an evaluation set's own sentences, so that no check knows a language; one that
needs sentences of a kind has no case where the set has none. Their options have no defaults: a suite's file
says them all.
"""

from __future__ import annotations

import random
import re
import unicodedata
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from seq2seq.common.params import Positive, Share
from seq2seq.data import words
from seq2seq.data.corpus import Pair, normalise
from seq2seq.evaluation.scores import sentence_chrf

BLANKS = ("", "   ", "\t")
SHORTEST_MISSPELT = 5  # letters: with two swapped, a shorter word is often another word
LONGEST_PHRASE = 60  # characters that are looked for again
CHARACTERS_IN_WORD = 4  # at most, where the translation is written without spaces
NO_ANSWER = "the model fails on it"


class Case(NamedTuple):
    """A source, and what its translation is held against."""

    source: str
    reference: str = ""
    wanted: frozenset[str] = frozenset()  # numbers or words that must be in it
    clean: str | None = None  # a source whose translation it should resemble
    origin: str = ""  # the sentence of the set that it is one of several variants of

    @property
    def unit(self) -> str:
        """What stands for itself: variants of a sentence are no evidence independent of each other."""
        return self.origin or self.source

    @property
    def sources(self) -> set[str]:
        """What has to be translated to judge it."""
        return {self.source} if self.clean is None else {self.source, self.clean}


class Strict(BaseModel):
    """Part of a suite's file: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Check(Strict):
    """One kind of check, with what all of them have."""

    check: str  # its name
    threshold: Share  # of the cases, that has to pass
    most: Positive  # cases taken, evenly drawn
    fewest: Positive  # sentences without which it decides nothing

    def cases(self, pairs: Sequence[Pair], rng: random.Random) -> list[Case]:
        """What a model is asked, made from the pairs of an evaluation set and in their order."""
        found = list(self._find(pairs, rng))
        chosen = sorted(rng.sample(range(len(found)), min(self.most, len(found))))
        return [found[i] for i in chosen]

    def fault(self, case: Case, said: Mapping[str, str]) -> str:
        """Why a case does not pass, empty if it does; `said` has the translations there are."""
        return self._fault(case, said) if case.sources <= said.keys() else NO_ANSWER

    @abstractmethod
    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        """All cases that the pairs hold, in their order."""

    @abstractmethod
    def _fault(self, case: Case, said: Mapping[str, str]) -> str:
        """Why a case that was answered does not pass, empty if it does."""


class Numbers(Check):
    """Numbers, in digits, that source and reference share are in the translation.

    `new_numbers` puts others in their place, again and again until it has `most` cases: what was learnt
    by heart is no help there. Single digits are left out: they may rightly be spelt as words.
    """

    check: Literal["numbers", "new_numbers"]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        either = [Case(p.source, wanted=numbers(p.source) & numbers(p.target)) for p in pairs]
        if self.check == "numbers":
            long = (case._replace(wanted=frozenset(n for n in case.wanted if len(n) > 1)) for case in either)
            yield from (case for case in long if case.wanted)
        elif having := [case for case in either if case.wanted]:
            yield from (other_numbers(case, rng) for case in islice(cycle(having), self.most))

    def _fault(self, case: Case, said: Mapping[str, str]) -> str:
        return _missing(case.wanted - numbers(said[case.source]))


class Names(Check):
    """Names are copied: capitalised words, not at the beginning, that source and reference share."""

    check: Literal["names"]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        for pair in pairs:
            capitalised = {word for word in _spelt(pair.source)[1:] if word[0].isupper()}
            if shared := capitalised.intersection(_spelt(pair.target)):
                yield Case(pair.source, wanted=frozenset(shared))

    def _fault(self, case: Case, said: Mapping[str, str]) -> str:
        return _missing(case.wanted.difference(_spelt(said[case.source])))


class OneWord(Check):
    """Each of the most frequent words, alone, is translated, and shortly."""

    check: Literal["one_word"]
    longest: Positive  # words of a translation

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        count = Counter(word for pair in pairs for word in set(_spelt(pair.source)))
        frequent = sorted((word for word in count if count[word] > 1), key=lambda word: (-count[word], word))
        yield from map(Case, frequent[: self.most])

    def _fault(self, case: Case, said: Mapping[str, str]) -> str:
        answer = said[case.source]
        if not answer.strip():
            return "it is empty"
        unit = words.unit([answer])
        most = self.longest * (CHARACTERS_IN_WORD if unit == words.CHARACTER else 1)
        count = words.length(answer)
        return f"{count} {unit}s for one word" if count > most else ""


class Empty(Check):
    """Nothing is made of nothing."""

    check: Literal["empty"]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        yield from map(Case, BLANKS)

    def _fault(self, case: Case, said: Mapping[str, str]) -> str:
        return "something is made of nothing" if said[case.source] else ""


class Changed(Check):
    """A source with two letters swapped, or in another case, is translated nearly as it was."""

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

    def _fault(self, case: Case, said: Mapping[str, str]) -> str:
        clean = said[str(case.clean)]
        one, other = said[case.source].casefold(), clean.casefold()
        chrf = 100.0 if one == other else sentence_chrf(one, other)
        return "" if chrf >= self.similarity else f"chrF {chrf:.0f} to {clean!r}, as {case.clean!r} gives"


class Repetition(Check):
    """Nothing is said over and over that is not so in source or reference; and something is said."""

    check: Literal["repetition", "long"]
    times: Annotated[int, Field(ge=2)]  # in a row
    characters: Positive  # sentences are strung together to sources of as many; 1 leaves each by itself

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        strung: list[Pair] = []
        for pair in pairs:
            strung.append(pair)
            source, reference = " ".join(p.source for p in strung), " ".join(p.target for p in strung)
            if len(source) >= self.characters:
                if not (repetition(source, self.times) or repetition(reference, self.times)):
                    yield Case(source)
                strung = []

    def _fault(self, case: Case, said: Mapping[str, str]) -> str:
        if not said[case.source]:
            return "it is empty"
        phrase = repetition(said[case.source], self.times)
        return f"{phrase!r} {self.times} times in a row" if phrase else ""


class Length(Check):
    """A translation is neither much shorter nor much longer than the reference."""

    check: Literal["length"]
    low: Annotated[float, Field(gt=0, lt=1)]  # characters by the reference's: not every script has words
    high: Annotated[float, Field(gt=1)]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        full = (pair for pair in pairs if pair.source.strip() and pair.target.strip())
        yield from (Case(pair.source, pair.target) for pair in full)

    def _fault(self, case: Case, said: Mapping[str, str]) -> str:
        ratio = len(said[case.source]) / len(case.reference)
        return "" if self.low <= ratio <= self.high else f"{ratio:.2f} times as long as the reference"


class Copy(Check):
    """What is translated otherwise in the reference is not left as it is."""

    check: Literal["copy"]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        full = (pair for pair in pairs if pair.source.strip())
        different = (pair for pair in full if normalise(pair.source) != normalise(pair.target))
        yield from (Case(pair.source) for pair in different)

    def _fault(self, case: Case, said: Mapping[str, str]) -> str:
        return "the source again" if normalise(said[case.source]) == normalise(case.source) else ""


class Ending(Check):
    """Where source and reference end with a punctuation mark, the translation ends as the reference."""

    check: Literal["ending"]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        both = (pair for pair in pairs if mark(pair.source) and mark(pair.target))
        yield from (Case(pair.source, pair.target) for pair in both)

    def _fault(self, case: Case, said: Mapping[str, str]) -> str:
        wanted = mark(case.reference)
        return "" if mark(said[case.source]) == wanted else f"it should end with {wanted!r}"


AnyCheck = Annotated[
    Numbers | Names | OneWord | Empty | Changed | Repetition | Length | Copy | Ending,
    Field(discriminator="check"),
]


def numbers(text: str) -> frozenset[str]:
    """The runs of digits in a text, of whatever script, in ASCII."""
    return frozenset(map(in_ascii, re.findall(r"\d+", text)))


def in_ascii(text: str) -> str:
    """A text with its decimal digits in ASCII."""
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


def other_numbers(case: Case, rng: random.Random) -> Case:
    """A case with other numbers of as many digits, or of two, in place of those that are wanted."""
    new = {}
    for old in sorted(case.wanted):
        least = 10 ** max(len(old) - 1, 1)
        new[old] = old
        while new[old] == old:
            new[old] = str(rng.randrange(least, 10 * least))
    parts = re.split(r"(\d+)", case.source)
    source = "".join(new.get(in_ascii(part), part) for part in parts)
    return Case(source, wanted=frozenset(new.values()), origin=case.source)


def misspelt(text: str, rng: random.Random) -> str:
    """Two neighbouring letters inside a word swapped; the text itself where no word is long enough.

    A letter that has a mark stays where it is: the mark would go to another letter.
    """
    places = [
        i
        for word in words.in_letters(text)
        if len(word[0]) >= SHORTEST_MISSPELT
        for i in range(word.start() + 1, word.end() - 2)
        if text[i] != text[i + 1]
        and text[i : i + 2].isalpha()
        and not unicodedata.category(text[i + 2]).startswith("M")
    ]
    if not places:
        return text
    i = rng.choice(places)
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :]


def repetition(text: str, times: int) -> str:
    """The first phrase, or piece of a word, said so many times in a row; empty if there is none."""
    spaced, again = " ".join(text.split()) + " ", times - 1
    phrases = rf"(?<!\S)(\S.{{0,{LONGEST_PHRASE}}}? )\1{{{again}}}"
    pieces = rf"(\S{{2,{LONGEST_PHRASE}}}?)\2{{{again}}}"
    for found in re.finditer(f"{phrases}|{pieces}", spaced):
        phrase = (found[1] or found[2]).strip()
        if any(map(str.isalpha, phrase)):
            return phrase
    return ""


def mark(text: str) -> str:
    """The punctuation mark at the end of a text; empty if it ends otherwise."""
    last = text.rstrip()[-1:]
    return last if last and unicodedata.category(last).startswith("P") else ""


def _spelt(text: str) -> list[str]:
    """The words of a text, without its digits, in NFC: both sides may spell a name in different forms."""
    return [word[0] for word in words.in_letters(unicodedata.normalize("NFC", text))]


def _missing(wanted: Iterable[str]) -> str:
    return f"without {', '.join(sorted(wanted))}" if wanted else ""
