"""The share of letters that sentences have in common with texts, for many pairs of them at once.

Why: a set of sentences made from one template is similar to each text of that template, so that texts are
compared with many sentences. Python's difflib takes a millisecond for each; here the common runs of all are
found together, in arrays. The runs are those of difflib's SequenceMatcher (Ratcliff and Metzener 1988: the
longest common run, then the longest on either side of it, and so on) of at least RUN letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seq2seq.data.corpus import code_points
from seq2seq.data.grams import Grams, Indices, Integers

RUN = 4  # letters of the shortest common run that counts; any two sentences share shorter ones
LONG = 40  # letters of a sentence that is searched for inside longer ones: about eight words
SLACK = 1e-6  # of a threshold computed in floating point
LETTERS = 2**16  # of sentences compared at once
MATCHES = 2**19  # pairs of equal letters looked at together; more only of one sentence with one text

Values = npt.NDArray[np.float64]


class Runs(NamedTuple):
    """Letters that sentences and texts have in common."""

    pair: Integers  # the number of the pair that has the run
    at: Integers  # in the sentence
    place: Integers  # in the text
    size: Integers

    def take(self, which: npt.NDArray[Any]) -> Runs:
        """Those runs, by their numbers or a mask."""
        return Runs(*(column[which] for column in self))

    def inorder(self) -> Runs:
        """Sorted by pair, place in the sentence and place in the text."""
        return self.take(np.lexsort((self.place, self.at, self.pair)))


class Shares:
    """Sentences, folded, that are compared with texts; `least` is the smallest share of interest."""

    def __init__(self, sentences: Sequence[str], least: float) -> None:
        self._least = least
        self.compared = 0  # pairs so far whose runs were looked for
        self._lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._letters = code_points("".join(sentences))
        self._grams = Grams(sentences, RUN)

    def of(self, texts: Sequence[str], owners: Integers, sentences: Integers) -> Values:
        """The share of each pair of a text and a sentence, by their numbers; 0 if it is below the least."""
        shares = np.zeros(len(owners))
        ends = np.cumsum(self._lengths[sentences])
        first = 0
        while first < len(owners):
            before = int(ends[first - 1]) if first else 0
            stop = max(first + 1, int(np.searchsorted(ends, before + LETTERS, "right")))
            used, own = np.unique(owners[first:stop], return_inverse=True)
            found = _Texts([texts[number] for number in used.tolist()], self._grams)
            shares[first:stop] = self._compare(found, own, sentences[first:stop])
            first = stop
        return shares

    def least_common(self, width: Indices, sentences: Integers) -> Values:
        """The letters that sentences must have in common with texts of some widths to be near."""
        lengths = self._lengths[sentences]
        inside = (lengths >= LONG) & (width > lengths)
        return self._least * np.where(inside, lengths, (lengths + width) / 2) - SLACK

    def _compare(self, texts: _Texts, owners: Integers, sentences: Integers) -> Values:
        shares = np.zeros(len(owners))
        lengths = self._lengths[sentences]
        letters = ranges(self._starts[sentences], lengths)
        first, times = texts.find(np.repeat(owners, lengths), self._grams.own[letters])
        near = self._is_covered(times > 0, lengths, self.least_common(texts.lengths[owners], sentences))
        if not near.any():
            return shares
        if not near.all():
            kept = np.repeat(near, lengths)
            letters, first, times = letters[kept], first[kept], times[kept]
            owners, sentences, lengths = owners[near], sentences[near], lengths[near]
        if times.sum() > MATCHES and len(owners) > 1:
            half = len(owners) // 2
            parts = (slice(half), slice(half, None))
            shares[near] = np.concatenate([self._compare(texts, owners[of], sentences[of]) for of in parts])
            return shares
        self.compared += len(owners)
        runs = self._runs(texts, owners, sentences, letters, first, times)
        found = _shares(_chosen(runs), lengths, texts.lengths[owners])
        shares[near] = np.where(found >= self._least, found, 0.0)
        return shares

    @staticmethod
    def _is_covered(matched: npt.NDArray[np.bool_], lengths: Integers, fewest: Values) -> Any:
        """Whether enough letters of a sentence are in common runs, whatever their order; a superset."""
        covered = matched.copy()
        for shift in range(1, RUN):  # never over an end: no gram starts at the last letters
            covered[shift:] |= matched[:-shift]
        ends = np.cumsum(lengths)
        sums = np.concatenate([[0], np.cumsum(covered)])
        return sums[ends] - sums[ends - lengths] >= fewest

    def _runs(
        self,
        texts: _Texts,
        owners: Integers,
        sentences: Integers,
        letters: Integers,
        first: Integers,
        times: Integers,
    ) -> Runs:
        """All common runs of some pairs, from the letters of the sentences and their equals in the texts."""
        lengths = self._lengths[sentences]
        # All pairs of equal grams: each letter of a sentence, as often as its gram stands in the text.
        place = texts.order[ranges(first, times)]
        letter = np.repeat(letters, times)
        pair = np.repeat(np.repeat(np.arange(len(owners)), lengths), times)
        at = letter - self._starts[sentences][pair]
        own = texts.starts[owners][pair]
        # A run begins where the letters before differ, and ends where those behind it do.
        before = (at > 0) & (place > own)
        before[before] = self._letters[letter[before] - 1] == texts.letters[place[before] - 1]
        behind = (at + RUN < lengths[pair]) & (place + RUN < own + texts.lengths[owners][pair])
        behind[behind] = self._letters[letter[behind] + RUN] == texts.letters[place[behind] + RUN]
        place -= own
        begins, ends = (
            edge[np.lexsort((at[edge], place[edge] - at[edge], pair[edge]))]
            for edge in (np.flatnonzero(~before), np.flatnonzero(~behind))
        )
        return Runs(pair[begins], at[begins], place[begins], at[ends] - at[begins] + RUN).inorder()


class _Texts:
    """Some texts, one after the other, with the places of the runs of RUN letters that sentences have."""

    def __init__(self, texts: Sequence[str], known: Grams) -> None:
        self.lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.letters = code_points("".join(texts))
        grams = known.of(self.letters, self.lengths)
        places = np.flatnonzero(grams)
        self._count = len(known)
        keys = np.repeat(np.arange(len(texts)), self.lengths)[places] * self._count + grams[places]
        order = np.argsort(keys, kind="stable")
        self.order, self._keys = places[order], keys[order]

    def find(self, owners: Integers, grams: Indices) -> tuple[Integers, Integers]:
        """Where in `order` the places of each run in its text begin, and how many there are."""
        wanted = owners * self._count + grams  # 0, of no run, is not among the keys
        first = np.searchsorted(self._keys, wanted)
        times = np.zeros(len(wanted), np.int64)
        found = np.flatnonzero(first < len(self._keys))
        found = found[self._keys[first[found]] == wanted[found]]
        times[found] = np.searchsorted(self._keys, wanted[found], "right") - first[found]
        return first, times


def _chosen(runs: Runs) -> Runs:
    """Of all common runs those that SequenceMatcher takes: the longest first, then on its left and right.

    Of equally long ones the first in the sentence is taken, then the first in the text. A run that a longer
    one overlaps is shortened, and is left out if it is then shorter than RUN.
    """
    if not len(runs.pair):
        return runs
    # Runs that neither overlap nor cross are all chosen: their order makes no difference.
    pair, at, place, size = runs
    same = pair[1:] == pair[:-1]
    apart = (at[1:] >= at[:-1] + size[:-1]) & (place[1:] >= place[:-1] + size[:-1])
    crossing = np.zeros(int(pair[-1]) + 1, np.bool_)
    crossing[pair[1:][same & ~apart]] = True
    left = crossing[pair]
    taken, rest = [runs.take(~left)], runs.take(left)
    part = rest.pair  # of a sentence and a text, in which the longest run is taken next
    while len(part):
        order = np.lexsort((rest.place, rest.at, -rest.size, part))
        rest, part = rest.take(order), part[order]
        is_best = np.concatenate([[True], part[1:] != part[:-1]])
        taken.append(best := rest.take(is_best))
        number = np.cumsum(is_best) - 1
        _, start, begin, length = best.take(number)
        shorter = np.minimum(rest.size, np.minimum(start - rest.at, begin - rest.place))
        cut = np.maximum(0, np.maximum(start + length - rest.at, begin + length - rest.place))
        before, behind = shorter >= RUN, rest.size - cut >= RUN
        moved = rest._replace(at=rest.at + cut, place=rest.place + cut, size=rest.size - cut)
        parts = rest._replace(size=shorter).take(before), moved.take(behind)
        rest = Runs(*map(np.concatenate, zip(*parts, strict=True)))
        part = np.concatenate([2 * number[before], 2 * number[behind] + 1])
    return Runs(*map(np.concatenate, zip(*taken, strict=True))).inorder()


def _shares(runs: Runs, lengths: Integers, widths: Integers) -> Values:
    """The shares of sentences with texts, by their lengths and chosen runs, which are in order."""
    shares: Values = 2 * np.bincount(runs.pair, runs.size, minlength=len(lengths)) / (lengths + widths)
    inside = (lengths >= LONG) & (widths > lengths)
    runs = runs.take(inside[runs.pair])
    if not len(runs.pair):
        return shares
    # Each passage from the begin of one run to the end of it or of a later one.
    edges = np.searchsorted(runs.pair, runs.pair, "right")
    numbers = np.arange(len(edges))
    first, last = np.repeat(numbers, edges - numbers), ranges(numbers, edges - numbers)
    sums = np.concatenate([[0], np.cumsum(runs.size)])
    passage = runs.place[last] + runs.size[last] - runs.place[first]
    pair = runs.pair[first]
    found = (sums[last + 1] - sums[first]) / np.maximum(lengths[pair], passage)
    starts = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]]))
    pairs = pair[starts]
    shares[pairs] = np.maximum(shares[pairs], np.maximum.reduceat(found, starts))
    return shares


def ranges(starts: Indices, lengths: Indices) -> Integers:
    """The numbers of some ranges, one range after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    firsts = (starts - (ends - lengths)).astype(starts.dtype)
    found: Integers = np.arange(total, dtype=starts.dtype) + np.repeat(firsts, lengths)
    return found
