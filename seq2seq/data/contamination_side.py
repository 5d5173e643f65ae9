"""The sources, or the targets, of evaluation sets, and the search for those that may be near a training text.

Why: the evaluation sets are small, so that their n-grams are indexed, and train is compared with the few
sentences that have enough n-grams in common with it. Sentences of one template have n-grams in common with
each text of that template: then all are counted together, in a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seq2seq.data.corpus import code_points
from seq2seq.data.folding import fold_all
from seq2seq.data.gram_tables import GramTable, RunBound
from seq2seq.data.grams import Grams, Indices, Integers
from seq2seq.data.shares import LONG, SLACK, Shares, Values, ranges

N = 6  # letters of the n-grams that are indexed
ENOUGH = 12  # common n-grams of the index after which two sentences are compared; fewer are often chance
MOST_BITS = 22  # of the index's table, 16 MiB
DENSE = 4_000  # entries of the index beyond which a text is counted in a table
CELLS = 2**18  # of a table, 2 MiB
ONE = np.uint64(1)
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # Knuth: 2**64 by the golden ratio spreads best


class Candidates(NamedTuple):
    """Texts and sentences, by their numbers, that may be near; sorted by text."""

    text: Integers
    sentence: Integers
    common: Values  # n-grams in common, by those of both

    def take(self, which: npt.NDArray[np.generic] | slice) -> Candidates:
        """Those candidates, by their numbers or a mask."""
        return Candidates(self.text[which], self.sentence[which], self.common[which])


class Side:
    """The sources, or the targets, of all sets; sentences with the same folded text are one.

    A near duplicate contains at least half the required share of a sentence's n-grams. It lacks so few that
    it must contain ENOUGH of the rarest, so that the most frequent need not be indexed. N-grams are indexed
    by hash: a collision costs a comparison, and changes no result.
    """

    def __init__(self, texts: Sequence[str], share: float) -> None:
        rows: dict[str, list[int]] = {}
        for row, key in enumerate(fold_all(texts)):
            if key:
                rows.setdefault(key, []).append(row)
        self.rows = {key: np.array(found, np.int64) for key, found in rows.items()}
        self.keys = [key for key in rows if len(key) >= N and any(map(str.isalpha, key))]
        self._number = {key: number for number, key in enumerate(self.keys)}
        self.shares = Shares(self.keys, share)
        self._known = Grams(self.keys, N)
        lengths = np.fromiter(map(len, self.keys), np.int64, len(self.keys))
        self._shortest = np.ceil(lengths * share / (2 - share) - SLACK)  # of a text that may be near
        self._longest = np.where(lengths < LONG, lengths / share * (2 - share) + SLACK, np.inf)
        # The distinct n-grams of each sentence.
        at = np.flatnonzero(self._known.own)
        owners = np.repeat(np.arange(len(self.keys)), lengths)[at]
        distinct, first = np.unique(owners * len(self._known) + self._known.own[at], return_index=True)
        owners, self._grams = np.divmod(distinct, len(self._known))
        self._counts = np.bincount(owners, minlength=len(self.keys))
        self._starts = np.cumsum(self._counts) - self._counts
        self._needed = np.ceil(share / 2 * self._counts).astype(np.int64)

        enough = np.minimum(self._needed, ENOUGH)
        frequency = np.bincount(self._grams, minlength=len(self._known))
        order = np.lexsort((frequency[self._grams], owners))
        limit = self._counts - self._needed + enough
        chosen = order[np.arange(len(order)) - self._starts[owners] < limit[owners]]
        indexed = len(np.unique(self._grams[chosen]))
        self._shift = np.uint64(64 - min(MOST_BITS, (16 * indexed + 32).bit_length() + 1))
        slots = self._slots("".join(self.keys))[at[first[chosen]]]
        # Postings have ranks of sentences: those for which the same number of n-grams is enough are adjacent.
        self._by_rank = np.argsort(enough, kind="stable")
        self._enough, self._ends = np.unique(enough, return_counts=True)
        self._ends = np.cumsum(self._ends)
        ranks = np.argsort(self._by_rank).astype(np.int32)[owners[chosen]]
        self._postings = ranks[np.argsort(slots, kind="stable")]
        sizes = np.bincount(slots, minlength=1 << (64 - int(self._shift)))
        # A bit for each slot, and the postings' edges of occupied ones alone: small, they stay in the cache.
        self._bits = np.packbits(sizes > 0, bitorder="little").view(np.uint64)
        before = np.cumsum(np.bitwise_count(self._bits))
        self._before = np.concatenate([[0], before[:-1]]).astype(np.int32)  # occupied slots before a word
        self._edges = np.concatenate([[0], np.cumsum(sizes[sizes > 0])])

    @cached_property
    def _table(self) -> GramTable:
        return GramTable(self.keys, N, repeated=False)

    @cached_property
    def _bound(self) -> RunBound:
        return RunBound(self.keys)

    def candidates(self, texts: Sequence[str]) -> Candidates:
        """The sentences with enough n-grams in common with folded texts, other than a text itself."""
        slots = self._slots("\n".join(texts))  # an n-gram over two texts is in no sentence
        words = self._bits.take(slots >> 6)
        places = (slots & 63).astype(np.uint64)
        starts = np.flatnonzero((words >> places & ONE).astype(np.bool_))
        before = words[starts] & ((ONE << places[starts]) - ONE)
        ranks = self._before.take(slots[starts] >> 6) + np.bitwise_count(before).astype(np.int64)
        begins = self._edges[ranks]
        sizes = self._edges[ranks + 1] - begins
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        ends = np.concatenate([[0], np.searchsorted(starts, np.cumsum(lengths + 1))])
        sums = np.concatenate([[0], np.cumsum(sizes)])
        is_dense = np.diff(sums[ends]) > DENSE
        owners = np.repeat(np.arange(len(texts)), np.diff(ends))
        if is_dense.any():
            sparse = ~is_dense[owners]
            begins, sizes, owners = begins[sparse], sizes[sparse], owners[sparse]
        found = [self._counted(texts, *self._frequent(owners, begins, sizes, len(texts)), lengths)]
        dense = np.flatnonzero(is_dense)
        rows = max(1, CELLS // max(1, len(self.keys)))
        found += [
            self._tabulated(texts, dense[first : first + rows], lengths)
            for first in range(0, len(dense), rows)
        ]
        if not len(dense):
            return found[0]
        every = Candidates(*map(np.concatenate, zip(*found, strict=True)))
        return every.take(np.argsort(every.text, kind="stable"))

    def _frequent(
        self, owners: Integers, begins: Indices, sizes: Indices, count: int
    ) -> tuple[Integers, Integers]:
        """Texts and sentences with enough entries of the index in common."""
        width = len(self.keys)
        integer = np.dtype(np.int32 if width * count < 2**31 else np.int64)
        number = np.repeat(np.arange(len(sizes)), sizes)
        places = (begins - (np.cumsum(sizes) - sizes)).take(number)
        places += np.arange(len(places))
        cells: Indices = self._postings.take(places).astype(integer, copy=False)
        np.multiply(cells, integer.type(count), out=cells)
        np.add(cells, owners.astype(integer).take(number), out=cells)
        cells.sort()  # by sentence, then by text
        found = [cells[:0]]
        first = 0
        for enough, end in zip(self._enough.tolist(), self._ends.tolist(), strict=True):
            last = int(np.searchsorted(cells, integer.type(end * count)))
            part = cells[first:last]
            often = part[enough - 1 :][part[enough - 1 :] == part[: max(0, len(part) - enough + 1)]]
            found.append(often[np.flatnonzero(np.diff(often, prepend=-1))])
            first = last
        rank, text = np.divmod(np.concatenate(found).astype(np.int64), max(1, count))
        order = np.argsort(text, kind="stable")
        return text[order], self._by_rank[rank[order]]

    def _counted(
        self, texts: Sequence[str], text: Integers, sentence: Integers, lengths: Integers
    ) -> Candidates:
        """Those of some texts and sentences that may be near, by all their n-grams."""
        is_near = (lengths[text] >= self._shortest[sentence]) & (lengths[text] <= self._longest[sentence])
        text, sentence = text[is_near], sentence[is_near]
        used, owner = np.unique(text, return_inverse=True)
        own = [texts[number] for number in used.tolist()]
        numbers = self._known.of(code_points("".join(own)), lengths[used])
        grams = (np.repeat(np.arange(len(used)), lengths[used]) * len(self._known) + numbers)[numbers > 0]
        grams.sort()
        sizes = self._counts[sentence]
        wanted = np.repeat(owner, sizes) * len(self._known)
        wanted += self._grams[ranges(self._starts[sentence], sizes)]
        places = np.searchsorted(grams, wanted)
        places[places == len(grams)] = 0
        hit = grams[places] == wanted if len(grams) else np.zeros(len(wanted), np.bool_)
        common = np.bincount(np.repeat(np.arange(len(text)), sizes), hit, minlength=len(text))
        same = np.array([self._number.get(key, -1) for key in own], np.int64)[owner] == sentence
        found = Candidates(text, sentence, common / (lengths[text] + sizes))
        return found.take((common >= self._needed[sentence]) & ~same)

    def _tabulated(self, texts: Sequence[str], chosen: Integers, lengths: Integers) -> Candidates:
        """The sentences that may be near to some texts, with all n-grams counted."""
        own = [texts[number] for number in chosen.tolist()]
        table = self._table.of(own)
        for place, text in enumerate(own):
            if text in self._number:
                table[place, self._number[text]] = 0
        width = lengths[chosen][:, None]
        is_near = (table >= self._needed) & (width >= self._shortest) & (width <= self._longest)
        row, sentence = np.nonzero(is_near)
        common = table[row, sentence] / (lengths[chosen[row]] + self._counts[sentence])
        return Candidates(chosen[row], sentence, common)

    def bounded(self, texts: Sequence[str], found: Candidates) -> npt.NDArray[np.bool_]:
        """Whether an upper bound on the share of each candidate reaches the least."""
        owners, row = np.unique(found.text, return_inverse=True)
        bound = self._bound.of([texts[number] for number in owners.tolist()])
        widths = np.array([len(texts[number]) for number in owners.tolist()], np.int64)[row]
        reached: npt.NDArray[np.bool_] = bound[row, found.sentence] >= self.shares.least_common(
            widths, found.sentence
        )
        return reached

    def _slots(self, text: str) -> npt.NDArray[np.int64]:
        """The slot of the index's table for the n-gram that starts at each letter of a text."""
        letters = code_points(text).astype(np.uint64)
        count = max(0, len(letters) - N + 1)
        hashes = letters[:count].copy()
        for place in range(1, N):
            hashes *= MULTIPLIER
            hashes += letters[place : place + count]
        return (hashes * MULTIPLIER >> self._shift).astype(np.int64)
