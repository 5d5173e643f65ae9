"""Validation and test splits made from the training pairs of a source that has none.

Why: the split of a sentence depends on the sentence alone, so that a corpus may grow, and sources may be
added, without moving a sentence from test into train.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from itertools import islice

from seq2seq.data.corpus import Pair, digests, normalise_all

BATCH = 1_000  # pairs whose digests are computed together

SPACE = 2**64  # of digests, normalise_all
SHARE = 1 / 25  # of all sentences belongs to a split made from train: 1,000 of 25,000
BUCKETS = {"test": range(int(SPACE * SHARE)), "validation": range(int(SPACE * SHARE), int(2 * SPACE * SHARE))}


class HeldOut:
    """A split made from train's file: of its bucket the pairs with the lowest digests.

    A bucket is a fixed range of the 64-bit digest of the normalised source: the lowest 4 % belong to test,
    the next 4 % to validation. So a sentence's split depends on the sentence alone: repeated sources
    share it, and new data never move a sentence to another split. A new pair with a lower digest replaces
    the pair with the highest one, which then is in no split. Of pairs with the same source the first is
    used, as evaluation counts distinct sentences.
    """

    def __init__(self, split: str, size: int) -> None:
        self.name, self.bucket, self.size = split, BUCKETS[split], size
        self.owned = 0  # pairs in its bucket, kept or not
        self._kept: dict[int, Pair] = {}
        self._highest: list[int] = []  # a heap of negative digests, normalise_all

    def takes(self, number: int, pair: Pair) -> bool:
        """Whether the pair, whose source has this digest, is in the bucket; keeps it if it is low enough."""
        if number not in self.bucket:
            return False
        self.owned += 1
        if number not in self._kept:
            self._kept[number] = pair
            heapq.heappush(self._highest, -number)
            if len(self._kept) > self.size:
                del self._kept[-heapq.heappop(self._highest)]
        return True

    def pairs(self) -> list[Pair]:
        """The pairs kept so far, the lowest digest first."""
        return [self._kept[number] for number in sorted(self._kept)]

    def describe(self) -> str:
        """The size of the split, and of its bucket."""
        owned = f"{self.owned:,} pairs it owns ({SHARE:.0%} of all)"
        rows = len(self._kept)
        text = f"made {self.name} of the {rows:,} lowest hashes of the {owned}"
        if rows < self.size:
            return f"{text}; there are no {self.size:,}"
        return f"{text}; the others are in no split"


def training_pairs(pairs: Iterator[Pair], made: Mapping[str, HeldOut], size: int | None) -> Iterator[Pair]:
    """The first `size` pairs that are in no made split; `clean` drops pairs with an empty side."""
    rows = 0
    while batch := list(islice(pairs, BATCH)):
        sources = [pair.source if made else "" for pair in batch]
        numbers = digests(normalise_all(sources)).tolist()
        for pair, number in zip(batch, numbers, strict=True):
            full = pair.source.strip() and pair.target.strip()
            if full and any(split.takes(number, pair) for split in made.values()):
                continue
            if size is None or rows < size:
                rows += 1
                yield pair
            elif not made:
                return
