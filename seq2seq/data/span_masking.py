"""Replaces spans of training pairs by symbols, the same on both sides.

Why: a model copies a symbol reliably only if its training pairs have it, in the places of a sentence where a
placeholder or a term of a glossary will be. Spans that are equal on both sides are masked, and words whose
translation the corpus shows.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from seq2seq.data.placeholders import SYMBOLS, spans

WORD = re.compile(r"[^\W\d_]+(?:[-'\u2019][^\W\d_]+)*")
LONGEST = 40  # words of a side; longer pairs add no translations, since their words occur together by chance
FEWEST = 5  # pairs in which a word and its translation occur together
MOST_FREQUENT = 0.02  # share of the pairs: more frequent words are those of grammar, as "not" or "the"
LEAST_DICE = 0.6  # 2 pairs(s, t) / (pairs(s) + pairs(t)), see Dice 1945
MOST_MASKED = 3  # spans of a pair
Place = tuple[int, int]


def learn_lexicon(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Source words and their translations: each the other's best by Dice coefficient, above LEAST_DICE.

    Frequent words have none.
    """
    total = 0
    sources, targets = Counter[str](), Counter[str]()
    both = Counter[tuple[str, str]]()
    for source, target in pairs:
        total += 1
        source_words, target_words = set(WORD.findall(source)), set(WORD.findall(target))
        if max(len(source_words), len(target_words)) <= LONGEST:
            sources.update(source_words)
            targets.update(target_words)
            both.update(product(source_words, target_words))
    dice = {
        (source, target): 2 * count / (sources[source] + targets[target])
        for (source, target), count in both.items()
        if count >= FEWEST and sources[source] <= MOST_FREQUENT * total
    }
    best: dict[str, tuple[float, str]] = {}
    of_target: dict[str, tuple[float, str]] = {}
    for (source, target), value in dice.items():
        best[source] = max(best.get(source, (0.0, "")), (value, target))
        of_target[target] = max(of_target.get(target, (0.0, "")), (value, source))
    return {
        source: target
        for source, (value, target) in sorted(best.items())
        if value >= LEAST_DICE and of_target[target][1] == source
    }


@dataclass(frozen=True)
class SpanMasker:
    """Masks spans in `share` of the pairs that have any; which ones depends on seed and texts alone."""

    share: float
    seed: int
    lexicon: Mapping[str, str]

    def mask(self, source: str, target: str) -> tuple[str, str] | None:
        """Both sides with up to MOST_MASKED spans as symbols; None for a pair that stays as it is."""
        digest = hashlib.sha256(f"{self.seed}\0{source}\0{target}".encode("utf-8", "surrogatepass")).digest()
        rng = random.Random(digest)
        if rng.random() >= self.share or not (found := list(self._candidates(source, target))):
            return None
        count = min(rng.randint(1, MOST_MASKED), len(found))
        chosen = rng.sample(found, count)
        symbols = rng.sample(SYMBOLS, count)
        sides = []
        for side, text in enumerate((source, target)):
            places = [(place[side], symbol) for place, symbol in zip(chosen, symbols, strict=True)]
            sides.append(_replaced(text, places))
        return sides[0], sides[1]

    def _candidates(self, source: str, target: str) -> Iterator[tuple[Place, Place]]:
        """The places on both sides of spans that occur once on each, and that do not overlap."""
        copied = _unique((span[0], span.span()) for span in spans(source))
        copies = _unique((span[0], span.span()) for span in spans(target))
        taken: tuple[list[Place], list[Place]] = ([], [])
        for text, place in copied.items():
            if other := copies.get(text):
                taken[0].append(place)
                taken[1].append(other)
                yield place, other
        places = _unique((word[0], word.span()) for word in WORD.finditer(source))
        others = _unique((word[0], word.span()) for word in WORD.finditer(target))
        for word, place in places.items():
            translation = self.lexicon.get(word)
            other = others.get(translation) if translation else None
            if other and not _overlaps(place, taken[0]) and not _overlaps(other, taken[1]):
                yield place, other


def _unique(found: Iterable[tuple[str, Place]]) -> dict[str, Place]:
    """The places of texts that occur once."""
    items = list(found)
    counts = Counter(text for text, _ in items)
    return {text: place for text, place in items if counts[text] == 1}


def _overlaps(place: Place, taken: Iterable[Place]) -> bool:
    return any(place[0] < end and begin < place[1] for begin, end in taken)


def _replaced(text: str, places: Iterable[tuple[Place, str]]) -> str:
    """The text with a symbol at each place."""
    for (begin, end), symbol in sorted(places, reverse=True):
        text = text[:begin] + symbol + text[end:]
    return text
