"""Finds training pairs that are, exactly or nearly, sentences of an evaluation set.

Why: a score is valid only for sentences that were not trained on, and a changed comma or word does not make
a new sentence. The evaluation sets are small: their n-grams are indexed, and train is matched against the
index, in time linear in its size and in constant memory.

On either side of a pair, the letters of two folded sentences are compared:

- *exact*: all are equal. Case, punctuation, spaces, digits and Unicode form make no difference.
- *near*: their share reaches the threshold: twice the letters in common runs, in the same order (Ratcliff
  and Metzener 1988), by the letters of both. So a change counts by its length, wherever it is, also in
  languages without spaces. A sentence of LONG letters is searched for inside longer ones too: its share
  is then relative to its own letters, or to the passage that its runs span if that is longer. A shorter
  one would be found in too many (Ein Mann.), and is compared with whole sentences only.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seq2seq.data.corpus import Pair, normalise
from seq2seq.data.shares import LONG, SLACK, Integers, Shares, code_points, ranges

BATCH = 500  # pairs matched at once: their arrays fit into a processor's cache
N = 6  # letters of the n-grams that are indexed
ENOUGH = 16  # common n-grams of the index after which two sentences are compared; fewer are often chance
MOST_BITS = 22  # of the index's table, 16 MiB
FEW = 8  # sentences whose n-grams are searched for one by one
MANY = 1000  # postings of a text that are counted apart from those of other texts, as of a template


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
        self._sides = [_Side([pair[side] or "" for pair in pairs], share) for side in (0, 1)]

    def match(self, pairs: Sequence[Pair]) -> list[list[Hit]]:
        """For each training pair the evaluation sentences it hits, in the order of the sets.

        Fastest with about BATCH pairs at once; the result does not depend on it.
        """
        sources, targets = (
            side.match([pair[number] or "" for pair in pairs]) for number, side in enumerate(self._sides)
        )
        return [
            self._hits(source, target) if source or target else []
            for source, target in zip(sources, targets, strict=True)
        ]

    def _hits(self, source: Found, target: Found) -> list[Hit]:
        hits = []
        for number in sorted(source.keys() | target.keys()):
            exact, share = max(found[number] for found in (source, target) if number in found)
            side = "target" if number not in source else "both" if number in target else "source"
            hits.append(Hit(*self._places[number], side, "exact" if exact else "near", share))
        return hits


Found = dict[int, tuple[bool, float]]  # evaluation sentence -> whether it is exact, share


def contaminated(
    sets: Mapping[str, Iterable[Pair]], train: Iterable[Pair], share: float
) -> dict[str, set[int]]:
    """The rows of each evaluation set that are hit by training pairs."""
    index = Index(sets, share)
    rows: dict[str, set[int]] = {name: set() for name in sets}
    train = iter(train)
    while batch := list(islice(train, BATCH)):
        for hit in chain.from_iterable(index.match(batch)):
            rows[hit.set].add(hit.row)
    return rows


def fold(text: str) -> str:
    """The letters of a text in one case and form, numbers as one 0; a text without letters is unchanged.

    A syllable or ideograph is doubled, because it carries more than a letter.
    """
    text = normalise(text)
    try:  # most texts: by bytes, ten times faster
        letters = text.encode("latin-1").translate(_LATIN, _NO_LETTERS).decode("latin-1")
    except UnicodeEncodeError:
        letters = text.translate(_LETTERS)
    if not letters.isascii():
        letters = unicodedata.normalize("NFKC", letters)  # letters and marks may now compose
    if "00" in letters:
        letters = re.sub("00+", "0", letters)
    return letters if letters.strip("0") else text


class _Letters(dict[int, str | None]):
    """The table of str.translate, filled on demand."""

    def __missing__(self, code: int) -> str | None:
        letter = chr(code)
        category = unicodedata.category(letter)
        if category == "Nd":
            self[code] = "0"
        elif category[0] in "LM" or category in ("Nl", "No"):  # marks are half of the characters of Hindi
            self[code] = letter * (2 if unicodedata.east_asian_width(letter) == "W" else 1)
        else:
            self[code] = None
        return self[code]


_LETTERS = _Letters()
_LATIN = bytes(ord(_LETTERS[code] or "\0") for code in range(256))
_NO_LETTERS = bytes(code for code in range(256) if _LETTERS[code] is None)


class _Side:
    """The sources, or the targets, of all sets; sentences with the same folded text are one.

    A near duplicate contains at least half the required share of a sentence's n-grams. It lacks so few that
    it must contain ENOUGH of the rarest, so that the most frequent need not be indexed. N-grams are indexed
    by hash: a collision costs a comparison, and changes no result.
    """

    def __init__(self, texts: Iterable[str], share: float) -> None:
        self._rows: dict[str, list[int]] = {}
        for row, text in enumerate(texts):
            if key := fold(text):
                self._rows.setdefault(key, []).append(row)
        self._keys = [key for key in self._rows if len(key) >= N and any(map(str.isalpha, key))]
        grams = [[*dict.fromkeys(key[at : at + N] for at in range(len(key) - N + 1))] for key in self._keys]
        self._grams = grams
        self._numbers: dict[str, int] = {}  # of each distinct n-gram
        numbered = (self._numbers.setdefault(gram, len(self._numbers) + 1) for gram in chain(*grams))
        self._flat = np.fromiter(numbered, np.int32)  # those of all sentences
        self._counts = np.fromiter(map(len, grams), np.int64, len(grams))
        self._starts = np.cumsum(self._counts) - self._counts
        self._present = np.zeros(len(self._numbers) + 1, np.bool_)  # in a text; false in between
        self._needed = np.ceil(share / 2 * self._counts).astype(np.int64)
        self._enough = np.minimum(self._needed, ENOUGH)
        self._shares = Shares(self._keys, share)

        lengths = np.fromiter(map(len, self._keys), np.int64, len(self._keys))
        self._shortest = np.ceil(lengths * share / (2 - share) - SLACK)  # of a text that may be near
        self._longest = np.where(lengths < LONG, lengths / share * (2 - share) + SLACK, np.inf)

        frequency = Counter(chain.from_iterable(grams))
        indexed: dict[str, list[int]] = {}
        for number, (own, needed) in enumerate(zip(grams, self._needed.tolist(), strict=True)):
            count = len(own) - needed + min(needed, ENOUGH)
            for gram in sorted(own, key=frequency.__getitem__)[:count]:
                indexed.setdefault(gram, []).append(number)
        self._shift = np.uint64(64 - min(MOST_BITS, (16 * len(indexed)).bit_length() + 1))
        slots = np.repeat(self._slots("".join(indexed))[::N], list(map(len, indexed.values())))
        self._postings = np.fromiter(chain.from_iterable(indexed.values()), np.int32)[np.argsort(slots)]
        sizes = np.bincount(slots, minlength=1 << (64 - int(self._shift)))
        self._edges = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)  # of the postings of a slot
        self._occupied = sizes > 0  # a quarter of the memory, so that more of it is in the cache

    def match(self, texts: Sequence[str]) -> list[Found]:
        """For each text the sentences it is similar to."""
        keys = [fold(text) for text in texts]
        found: list[Found] = [dict.fromkeys(self._rows.get(key, ()), (True, 1.0)) for key in keys]
        for at, numbers in self._candidates(keys):
            near = self._with_common_grams(keys[at], numbers)
            for number, share in self._shares.of(keys[at], near) if len(near) else ():
                if (sentence := self._keys[number]) != keys[at]:
                    found[at] |= dict.fromkeys(self._rows[sentence], (False, share))
        return found

    def _with_common_grams(self, key: str, numbers: Integers) -> Integers:
        """Those of some sentences with enough n-grams in a text."""
        if len(numbers) <= FEW:
            common = [sum(map(key.__contains__, self._grams[number])) for number in numbers.tolist()]
            few: Integers = numbers[np.array(common) >= self._needed[numbers]]
            return few
        known = (self._numbers.get(key[at : at + N], 0) for at in range(len(key) - N + 1))
        grams = np.fromiter(known, np.int64)
        self._present[grams] = True
        self._present[0] = False
        try:
            sizes = self._counts[numbers]
            present = self._present[self._flat[ranges(self._starts[numbers], sizes)]]
            sums = np.concatenate([[0], np.cumsum(present)])
            ends = np.cumsum(sizes)
            enough: Integers = numbers[sums[ends] - sums[ends - sizes] >= self._needed[numbers]]
        finally:
            self._present[grams] = False
        return enough

    def _candidates(self, keys: list[str]) -> Iterator[tuple[int, Integers]]:
        """For keys the sentences that may be near, if there are any: a superset of those that are."""
        slots = self._slots("\n".join(keys))  # an n-gram over two keys is in no sentence
        starts = np.flatnonzero(self._occupied[slots])
        slots = slots[starts]
        begins = self._edges[slots].astype(np.int64)
        sizes = self._edges[slots + 1] - begins
        lengths = np.fromiter(map(len, keys), np.int64, len(keys))
        owners = np.repeat(np.arange(len(keys)), lengths + 1)[starts]
        # Every posting of every n-gram; then the count of each sentence, key by key if a key has many.
        edges = np.searchsorted(owners, np.arange(len(keys) + 1))
        totals = np.diff(np.concatenate([[0], np.cumsum(sizes)])[edges])
        many = totals > MANY + len(self._keys) // 4
        for at in np.flatnonzero(many).tolist():
            of = slice(edges[at], edges[at + 1])
            postings = self._postings[ranges(begins[of], sizes[of])]
            counts = np.bincount(postings, minlength=len(self._keys))
            numbers = np.flatnonzero(counts)
            if len(numbers := numbers[self._may_be_near(numbers, counts[numbers], lengths[at])]):
                yield at, numbers
        few = ~many[owners]
        sizes, begins, owners = sizes[few], begins[few], owners[few] * len(self._keys)
        if len(keys) * len(self._keys) < 2**31:
            owners = owners.astype(np.int32)  # sorted in half the time
        pairs = np.repeat(owners, sizes) + self._postings[ranges(begins, sizes)]
        pairs.sort()
        edge = np.ones(len(pairs), np.bool_)
        np.not_equal(pairs[1:], pairs[:-1], out=edge[1:])
        first = np.flatnonzero(edge)
        counts = np.diff(first, append=len(pairs))
        owner, number = np.divmod(pairs[first].astype(np.int64), max(1, len(self._keys)))
        near = self._may_be_near(number, counts, lengths[owner])
        for at, group in groupby(np.flatnonzero(near).tolist(), owner.__getitem__):
            yield int(at), number[list(group)]

    def _may_be_near(self, numbers: Integers, counts: Integers, length: Any) -> npt.NDArray[np.bool_]:
        """Whether sentences with so many common indexed n-grams may be near texts of a length."""
        near: npt.NDArray[np.bool_] = counts >= self._enough[numbers]
        near &= (length >= self._shortest[numbers]) & (length <= self._longest[numbers])
        return near

    def _slots(self, text: str) -> npt.NDArray[np.int64]:
        """The slot of the index's table for the n-gram that starts at each letter of a text."""
        letters = code_points(text).astype(np.uint64)
        count = max(0, len(letters) - N + 1)
        hashes = letters[:count].copy()
        for place in range(1, N):
            hashes *= MULTIPLIER
            hashes += letters[place : place + count]
        return (hashes * MULTIPLIER >> self._shift).astype(np.int64)


MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # Knuth: 2**64 by the golden ratio spreads best
