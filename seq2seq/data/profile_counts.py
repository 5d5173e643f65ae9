"""The counts of a profile for the pairs of a source: in bounded memory, and mergeable.

Why: shards of a corpus are counted by several processes, and their counts are merged in the order of the
shards. A shard has a constant size, so that the result does not depend on the number of processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from seq2seq.data import words
from seq2seq.data.corpus import digests
from seq2seq.data.direction import SIDES

RATIOS = (0.0, *(round(2 ** (step / 4), 4) for step in range(-8, 9)))  # of characters, target by source
LENGTHS = ("characters", "words")
LONGEST = 10_000  # a greater length counts as this one
MOST_WORDS = 100_000  # counted at the same time; the rarer half is dropped beyond
SAMPLED = 2_000  # distinct texts of each source and side, for their language: those with the lowest digests
MOST_HASHES = 1 << 16  # of distinct texts; of more texts every 2nd, 4th ... hash is counted (Gibbons 2001)

State = dict[str, Any]
Integers = npt.NDArray[np.int64]


class SideCounts:
    """The counts of one side of a source."""

    def __init__(self) -> None:
        self.texts = 0
        self.lengths = {name: np.zeros(LONGEST + 1, np.int64) for name in LENGTHS}
        self.alphabet: Counter[int] = Counter()
        self.words, self.total = Counter[str](), 0
        self._sample: dict[int, str] = {}  # by digest
        self._hashes: set[int] = set()
        self._halvings = 0  # of the hashes that are kept: so many bits are zero

    def add(self, texts: Sequence[str], lengths: Mapping[str, Integers]) -> list[str]:
        """Count texts, whose `lengths` are known; returns their words."""
        self.texts += len(texts)
        for name, values in lengths.items():
            self.lengths[name] += np.bincount(np.minimum(values, LONGEST), minlength=LONGEST + 1)
        joined = "\n".join(texts)
        numbers = np.bincount(np.frombuffer(joined.encode("utf-32-le"), np.uint32))
        codes = np.flatnonzero(numbers)
        self.alphabet.update(dict(zip(codes.tolist(), numbers[codes].tolist(), strict=True)))
        found = words.words(joined)
        self._count(Counter(found))
        hashes = digests(texts)
        limit = max(self._sample) if len(self._sample) >= SAMPLED else None
        low = range(len(texts)) if limit is None else np.flatnonzero(hashes < limit).tolist()
        self._take({int(hashes[at]): texts[at] for at in low})
        mask = np.uint64((1 << self._halvings) - 1)
        self._hash(hashes[hashes & mask == 0].tolist())
        return found

    def merge(self, state: State) -> None:
        """Add the `state` of the counts of later texts."""
        self.texts += state["texts"]
        for name, counts in state["lengths"].items():
            for length, count in counts:
                self.lengths[name][length] += count
        self.alphabet.update({int(code): count for code, count in state["alphabet"].items()})
        self._count(Counter(state["words"]), state["total"])
        self._take({int(value): text for value, text in state["sample"].items()})
        self._halvings = max(self._halvings, state["halvings"])
        self._hashes = self._kept(self._hashes)
        self._hash(self._kept(state["hashes"]))

    def state(self) -> State:
        """State that `merge` takes, as JSON can hold it."""
        lengths = {
            name: [[at, int(counts[at])] for at in np.flatnonzero(counts).tolist()]
            for name, counts in self.lengths.items()
        }
        return {
            "texts": self.texts,
            "lengths": lengths,
            "alphabet": self.alphabet,
            "words": self.words,
            "total": self.total,
            "sample": self._sample,
            "hashes": sorted(self._hashes),
            "halvings": self._halvings,
        }

    def distinct(self) -> int:
        """The number of distinct texts, estimated if there are more than MOST_HASHES."""
        return len(self._hashes) << self._halvings

    def sample(self) -> list[str]:
        """At most SAMPLED texts, chosen by their digests."""
        return list(self._sample.values())

    def _count(self, found: Counter[str], total: int | None = None) -> None:
        """Count words in bounded memory; counts of rare ones are lost, those of frequent ones are near."""
        self.total += found.total() if total is None else total
        self.words.update(found)
        if len(self.words) > MOST_WORDS:
            self.words = Counter(dict(first(self.words, MOST_WORDS // 2)))

    def _take(self, texts: Mapping[int, str]) -> None:
        if not texts:
            return
        self._sample.update(texts)
        self._sample = {value: self._sample[value] for value in sorted(self._sample)[:SAMPLED]}

    def _hash(self, values: Iterable[int]) -> None:
        """Count distinct texts by those of their hashes that are kept."""
        self._hashes.update(values)
        while len(self._hashes) > MOST_HASHES:
            self._halvings += 1
            self._hashes = self._kept(self._hashes)

    def _kept(self, hashes: Iterable[int]) -> set[int]:
        mask = (1 << self._halvings) - 1
        return {one for one in hashes if one & mask == 0}


class SourceCounts:
    """The counts of a source: its pairs, the ratios of their lengths, and both sides."""

    def __init__(self) -> None:
        self.pairs = 0
        self.ratios = np.zeros(len(RATIOS), np.int64)
        self.sides = {side: SideCounts() for side in SIDES}

    def add(
        self, texts: Mapping[str, Sequence[str]], lengths: Mapping[str, Mapping[str, Integers]]
    ) -> dict[str, list[str]]:
        """Count pairs by the texts of their sides; returns the words of each side."""
        self.pairs += len(texts["source"])
        ratios = lengths["target"]["characters"] / np.maximum(lengths["source"]["characters"], 1)
        bins = np.searchsorted(RATIOS, ratios, "right") - 1
        self.ratios += np.bincount(bins, minlength=len(RATIOS))
        return {side: self.sides[side].add(texts[side], lengths[side]) for side in SIDES}

    def merge(self, state: State) -> None:
        """Add the `state` of the counts of later pairs."""
        self.pairs += state["pairs"]
        self.ratios += np.array(state["ratios"], np.int64)
        for side, counts in self.sides.items():
            counts.merge(state["sides"][side])

    def state(self) -> State:
        """State that `merge` takes, as JSON can hold it."""
        sides = {side: counts.state() for side, counts in self.sides.items()}
        return {"pairs": self.pairs, "ratios": self.ratios.tolist(), "sides": sides}


def first(counts: Counter[Any], number: int) -> list[tuple[Any, int]]:
    """The most frequent, equally frequent ones in their own order: the same in every process."""
    return list(islice(sorted(counts.items(), key=lambda one: (-one[1], one[0])), number))
