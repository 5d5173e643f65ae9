"""The share of letters that sentences have in common with a text, for many sentences at once.

Why: a set of sentences made from one template is similar to each text of that template, so that a text is
compared with all of them. Python's difflib takes a millisecond for each; here the common runs of all are
found together, in arrays. The runs are those of difflib's SequenceMatcher (Ratcliff and Metzener 1988: the
longest common run, then the longest on either side of it, and so on) of at least RUN letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RUN = 4  # letters of the shortest common run that counts; any two sentences share shorter ones
LONG = 40  # letters of a sentence that is searched for inside longer ones: about eight words
SLACK = 1e-6  # of a threshold computed in floating point

Integers = npt.NDArray[np.int64]


class Run(NamedTuple):
    """Letters that a sentence and a text have in common."""

    at: int  # in the sentence
    place: int  # in the text
    size: int


class Shares:
    """Sentences, folded, that are compared with texts; `least` is the smallest share of interest."""

    def __init__(self, sentences: Sequence[str], least: float) -> None:
        self._least = least
        self._lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._letters = code_points("".join(sentences))
        self._numbers: dict[str, int] = {}  # of each distinct run of RUN letters
        # The number of the run that starts at each letter; 0 for the last ones of a sentence.
        self._grams = np.zeros(len(self._letters), np.int32)
        for start, sentence in zip(self._starts.tolist(), sentences, strict=True):
            for at in range(len(sentence) - RUN + 1):
                gram = sentence[at : at + RUN]
                self._grams[start + at] = self._numbers.setdefault(gram, len(self._numbers) + 1)
        self._counts = np.zeros(len(self._numbers) + 1, np.int64)  # of a text, all zero in between

    def of(self, text: str, sentences: Integers) -> list[tuple[int, float]]:
        """Those of some sentences, by number, whose share with a text is the least one or larger."""
        grams = [self._numbers.get(text[place : place + RUN], 0) for place in range(len(text) - RUN + 1)]
        found = np.array(grams, np.int64)
        places = np.flatnonzero(found)
        np.add.at(self._counts, found[places], 1)
        try:
            return self._similar(code_points(text), found, places, sentences)
        finally:
            self._counts[found[places]] = 0

    def _similar(
        self, text: npt.NDArray[np.uint32], grams: Integers, places: Integers, sentences: Integers
    ) -> list[tuple[int, float]]:
        sentences = self._covered(len(text), sentences)
        if not len(sentences):
            return []
        lengths = self._lengths[sentences]
        letters = ranges(self._starts[sentences], lengths)
        owners = np.repeat(np.arange(len(sentences)), lengths)
        # All pairs of equal grams: each letter of a sentence, as often as its gram stands in the text.
        order = places[np.argsort(grams[places], kind="stable")]
        times = self._counts[self._grams[letters]]
        firsts = np.searchsorted(grams[order], self._grams[letters[times > 0]])
        place = order[ranges(firsts, times[times > 0])]
        letter, owner = np.repeat(letters, times), np.repeat(owners, times)
        at = letter - self._starts[sentences][owner]
        # A run begins where the letters before differ, and ends where those behind it do.
        before = (at > 0) & (place > 0)
        before[before] = self._letters[letter[before] - 1] == text[place[before] - 1]
        behind = (at + RUN < lengths[owner]) & (place + RUN < len(text))
        behind[behind] = self._letters[letter[behind] + RUN] == text[place[behind] + RUN]
        begins, ends = (
            edge[np.lexsort((at[edge], place[edge] - at[edge], owner[edge]))]
            for edge in (np.flatnonzero(~before), np.flatnonzero(~behind))
        )
        sizes = at[ends] - at[begins] + RUN
        inorder = np.lexsort((at[begins], owner[begins]))
        begins, sizes = begins[inorder], sizes[inorder]
        return self._shares(len(text), sentences, owner[begins], at[begins], place[begins], sizes)

    def _covered(self, width: int, sentences: Integers) -> Integers:
        """Those of which enough letters are in common runs, whatever their order; a superset."""
        lengths = self._lengths[sentences]
        letters = ranges(self._starts[sentences], lengths)
        matched = self._counts[self._grams[letters]] > 0
        covered = matched.copy()
        for shift in range(1, RUN):  # never over an end: no gram starts at the last letters
            covered[shift:] |= matched[:-shift]
        ends = np.cumsum(lengths)
        sums = np.concatenate([[0], np.cumsum(covered)])
        inside = (lengths >= LONG) & (width > lengths)
        fewest = self._least * np.where(inside, lengths, (lengths + width) / 2)
        enough: Integers = sentences[sums[ends] - sums[ends - lengths] >= fewest - SLACK]
        return enough

    def _shares(
        self, width: int, sentences: Integers, owner: Integers, at: Integers, place: Integers, size: Integers
    ) -> list[tuple[int, float]]:
        """The sentences that are near, from all common runs, sorted by sentence and place in it."""
        lengths = self._lengths[sentences]
        inside = (lengths >= LONG) & (width > lengths)
        # Runs that neither overlap nor cross are all chosen: their order makes no difference.
        same = owner[1:] == owner[:-1]
        apart = (at[1:] >= at[:-1] + size[:-1]) & (place[1:] >= place[:-1] + size[:-1])
        crossing = np.bincount(owner[1:][same & ~apart], minlength=len(sentences)) > 0
        sums = np.bincount(owner, size, minlength=len(sentences))
        shares = 2 * sums / (lengths + width)
        edges = np.searchsorted(owner, np.arange(len(sentences) + 1))
        for number in np.flatnonzero(crossing | inside).tolist():
            of = slice(edges[number], edges[number + 1])
            runs = list(map(Run, at[of].tolist(), place[of].tolist(), size[of].tolist()))
            if crossing[number]:
                runs = chosen(runs)
            shares[number] = _share(runs, int(lengths[number]), width)
        return [
            (int(sentences[number]), float(shares[number]))
            for number in np.flatnonzero(shares >= self._least).tolist()
        ]


def chosen(runs: list[Run]) -> list[Run]:
    """Of all common runs those that SequenceMatcher takes: the longest first, then on its left and right.

    Of equally long ones the first in the sentence is taken, then the first in the text. A run that a longer
    one overlaps is shortened, and is left out if it is then shorter than RUN.
    """
    if len(runs) < 2:
        return runs
    best = max(runs, key=lambda run: (run.size, -run.at, -run.place))
    left, right = [], []
    end, stop = best.at + best.size, best.place + best.size
    for run in runs:
        size = min(run.size, best.at - run.at, best.place - run.place)
        if size >= RUN:
            left.append(Run(run.at, run.place, size))
        cut = max(0, end - run.at, stop - run.place)
        if run.size - cut >= RUN:
            right.append(Run(run.at + cut, run.place + cut, run.size - cut))
    return [*chosen(left), best, *chosen(right)]


def _share(runs: list[Run], length: int, width: int) -> float:
    """The share of a sentence with a text, by their lengths and common runs."""
    shares = [2 * sum(run.size for run in runs) / (length + width)]
    if length >= LONG and width > length:
        for first, last in combinations_with_replacement(range(len(runs)), 2):
            piece = runs[last].place + runs[last].size - runs[first].place
            shares.append(sum(run.size for run in runs[first : last + 1]) / max(length, piece))
    return max(shares)


def ranges(starts: Integers, lengths: Integers) -> Integers:
    """The numbers of some ranges, one range after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    found: Integers = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return found


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
