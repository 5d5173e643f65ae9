"""Finds training pairs that are, exactly or nearly, sentences of an evaluation set.

Why: a score is valid only for sentences that were not trained on, and a changed comma or word does not make
a new sentence. Train is matched against an index of the evaluation sets, in time linear in its size and in
constant memory.

On either side of a pair, the letters of two folded sentences are compared:

- *exact*: all are equal. Case, punctuation, spaces, digits and Unicode form make no difference.
- *near*: their share reaches the threshold: twice the letters in common runs, in the same order (Ratcliff
  and Metzener 1988), by the letters of both. So a change counts by its length, wherever it is, also in
  languages without spaces. A sentence of LONG letters is searched for inside longer ones too: its share
  is then relative to its own letters, or to the passage that its runs span if that is longer. A shorter
  one would be found in too many (Ein Mann.), and is compared with whole sentences only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from seq2seq.data.contamination_window import EXACT, NEAR, WINDOW, Batch, Known, Rows, Window
from seq2seq.data.corpus import Pair
from seq2seq.data.folding import fold_all

BATCH = 1_000  # pairs matched at once
CANDIDATES = 4_000_000  # of them, at most: 24 bytes each, and copies


class Hit(NamedTuple):
    """An evaluation sentence that a training pair is too similar to."""

    set: str
    row: int
    side: str  # source, target or both
    kind: str  # exact if any side is, else near
    share: float  # of the more similar side


class Index:
    """An index of the sentences of evaluation sets, for matching training pairs."""

    def __init__(self, sets: Mapping[str, Iterable[Pair]], share: float) -> None:
        places, pairs = [], []
        for name, rows in sets.items():
            for row, pair in enumerate(rows):
                places.append((name, row))
                pairs.append(pair)
        self._places = places
        self._names = list(sets)
        numbers = {name: number for number, name in enumerate(self._names)}
        self._set = np.array([numbers[name] for name, _ in places], np.int64)
        self._sides = [Rows([pair[side] or "" for pair in pairs], share, self._set) for side in (0, 1)]

    def known(self) -> Known:
        """No records of hits."""
        return Known(self._names, self._set)

    def compared(self) -> int:
        """The number of pairs of a text and a sentence, so far, whose common runs were searched for."""
        return sum(side.shares.compared for side in self._sides)

    def match(self, pairs: Sequence[Pair]) -> list[list[Hit]]:
        """For each training pair the evaluation sentences it hits, in the order of the sets.

        Fastest with about BATCH pairs at once; the result does not depend on it.
        """
        return list(self._match(pairs, None))

    def match_new(self, pairs: Sequence[Pair], known: Known) -> Iterator[list[Hit]]:
        """Of the hits of each training pair those that change a record of earlier ones.

        These are all hits of a set and kind of which not enough are listed, all sentences not hit before, and
        one of each other set and kind that the pair hits. The records are read again while the results are
        iterated, so that the hits of one pair are recorded before those of the next are asked for.
        """
        return self._match(pairs, known)

    def _match(self, pairs: Sequence[Pair], known: Known | None) -> Iterator[list[Hit]]:
        """In portions with at most CANDIDATES on each side, if not in one pair alone."""
        size = max(1, CANDIDATES // max(1, *(len(side.keys) for side in self._sides)))
        for first in range(0, len(pairs), size):
            yield from self._portion(pairs[first : first + size], known)

    def _portion(self, pairs: Sequence[Pair], known: Known | None) -> Iterator[list[Hit]]:
        keys = [fold_all([pair[side] or "" for pair in pairs]) for side in (0, 1)]
        batch = Batch(self._sides, keys)
        left, done = batch.texts, 0
        while len(left):
            window = Window(batch, left[:WINDOW], known)
            for number, hits in window.hits():
                yield from ([] for _ in range(done, number))
                yield [self._hit(*hit) for hit in hits]
                done = number + 1
            left = left[len(window) :]
        yield from ([] for _ in range(done, len(pairs)))

    def _hit(self, sentence: int, side: str, is_exact: bool, share: float) -> Hit:
        return Hit(*self._places[sentence], side, EXACT if is_exact else NEAR, share)


def contaminated(
    sets: Mapping[str, Iterable[Pair]], train: Iterable[Pair], share: float
) -> dict[str, set[int]]:
    """The rows of each evaluation set that are hit by training pairs."""
    index = Index(sets, share)
    known = index.known()
    for name in sets:
        known.enough(name, EXACT)
        known.enough(name, NEAR)
    rows: dict[str, set[int]] = {name: set() for name in sets}
    train = iter(train)
    while batch := list(islice(train, BATCH)):
        for hits in index.match_new(batch, known):
            for hit in hits:
                rows[hit.set].add(hit.row)
                known.add(hit.set, hit.row)
    return rows
