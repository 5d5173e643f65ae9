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

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import chain, combinations_with_replacement, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seq2seq.data.corpus import Pair, normalise

BATCH = 500  # pairs matched at once: their arrays fit into a processor's cache
N = 6  # letters of the n-grams that are indexed
ENOUGH = 8  # common n-grams of the index after which two sentences are compared
RUN = 4  # letters of the shortest common run that counts; any two sentences share shorter ones
LONG = 40  # letters of a sentence that is searched for inside longer ones: about eight words
SLACK = 1e-6  # of a threshold computed in floating point
MOST_BITS = 22  # of the index's table, 16 MiB
MOST_POSTINGS = 4_000_000  # looked up at once, to bound memory


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


class _Side:
    """The sources, or the targets, of all sets; sentences with the same folded text are one.

    A near duplicate contains at least half the required share of a sentence's n-grams. It lacks so few that
    it must contain ENOUGH of the rarest, so that the most frequent need not be indexed. N-grams are indexed
    by hash: a collision costs a comparison, and changes no result.
    """

    def __init__(self, texts: Iterable[str], share: float) -> None:
        self._share = share
        self._rows: dict[str, list[int]] = {}
        for row, text in enumerate(texts):
            if key := fold(text):
                self._rows.setdefault(key, []).append(row)
        self._keys = [key for key in self._rows if len(key) >= N and any(map(str.isalpha, key))]
        self._grams = [{key[at : at + N] for at in range(len(key) - N + 1)} for key in self._keys]
        self._needed = [math.ceil(share / 2 * len(grams)) for grams in self._grams]
        self._enough = np.array([min(needed, ENOUGH) for needed in self._needed], np.int64)

        lengths = np.fromiter(map(len, self._keys), np.int64, len(self._keys))
        self._shortest = np.ceil(lengths * share / (2 - share) - SLACK)  # of a text that may be near
        self._longest = np.where(lengths < LONG, lengths / share * (2 - share) + SLACK, np.inf)

        frequency = Counter(chain.from_iterable(self._grams))
        indexed: dict[str, list[int]] = {}
        for number, (grams, needed) in enumerate(zip(self._grams, self._needed, strict=True)):
            count = len(grams) - needed + min(needed, ENOUGH)
            for gram in sorted(grams, key=frequency.__getitem__)[:count]:
                indexed.setdefault(gram, []).append(number)
        self._shift = np.uint64(64 - min(MOST_BITS, (16 * len(indexed)).bit_length() + 1))
        slots = np.repeat(self._slots("".join(indexed))[::N], list(map(len, indexed.values())))
        self._postings = np.fromiter(chain.from_iterable(indexed.values()), np.int32)[np.argsort(slots)]
        sizes = np.bincount(slots, minlength=1 << (64 - int(self._shift)))
        self._ends = np.cumsum(sizes).astype(np.int32)
        self._sizes = sizes.astype(np.int32)

    def match(self, texts: Sequence[str]) -> list[Found]:
        """For each text the sentences it is similar to."""
        keys = [fold(text) for text in texts]
        found: list[Found] = [dict.fromkeys(self._rows.get(key, ()), (True, 1.0)) for key in keys]
        for at, number in self._candidates(keys):
            key, sentence = keys[at], self._keys[number]
            common = sum(map(key.__contains__, self._grams[number]))
            if sentence != key and common >= self._needed[number]:
                share = _share(sentence, key, self._share)
                if share >= self._share:
                    found[at] |= dict.fromkeys(self._rows[sentence], (False, share))
        return found

    def _candidates(self, keys: list[str]) -> Iterator[tuple[int, int]]:
        """Pairs of keys and sentences that may be near: a superset of those that are."""
        slots = self._slots("\n".join(keys))  # an n-gram over two keys is in no sentence
        sizes = self._sizes[slots]
        if len(keys) > 1 and int(sizes.sum()) > MOST_POSTINGS:  # sentences made from one template
            half = len(keys) // 2
            for begin, part in ((0, keys[:half]), (half, keys[half:])):
                yield from ((begin + at, number) for at, number in self._candidates(part))
            return
        starts = np.flatnonzero(sizes)
        sizes, slots = sizes[starts], slots[starts]
        lengths = np.fromiter(map(len, keys), np.int64, len(keys))
        owners = np.searchsorted(np.cumsum(lengths + 1), starts, side="right") * len(self._keys)
        if len(keys) * len(self._keys) < 2**31:
            owners = owners.astype(np.int32)  # sorted in half the time

        # Every posting of every n-gram, as one number for key and sentence; then the count of each.
        ends = np.cumsum(sizes)
        postings = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self._ends[slots] - ends, sizes)
        pairs = np.repeat(owners, sizes) + self._postings[postings]
        pairs.sort()
        edges = np.flatnonzero(np.diff(pairs, prepend=-1))
        counts = np.diff(edges, append=len(pairs))
        at, number = np.divmod(pairs[edges], max(1, len(self._keys)))
        near = (counts >= self._enough[number]) & (lengths[at] >= self._shortest[number])
        near &= lengths[at] <= self._longest[number]
        yield from zip(at[near].tolist(), number[near].tolist(), strict=True)

    def _slots(self, text: str) -> npt.NDArray[np.int64]:
        """The slot of the index's table for the n-gram that starts at each letter of a text."""
        letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
        count = max(0, len(letters) - N + 1)
        hashes = letters[:count].copy()
        for place in range(1, N):
            hashes *= MULTIPLIER
            hashes += letters[place : place + count]
        return (hashes * MULTIPLIER >> self._shift).astype(np.int64)


MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # Knuth: 2**64 by the golden ratio spreads best


def _share(sentence: str, text: str, least: float) -> float:
    """The share of a sentence with a text, both folded; 0.0 if it is certainly below the least."""
    length, width = len(sentence), len(text)
    inside = length >= LONG and width > length
    fewest = least * (length if inside else (length + width) / 2)
    if _covered(sentence, text) < fewest - SLACK:
        return 0.0
    blocks = SequenceMatcher(None, sentence, text, autojunk=False).get_matching_blocks()
    runs = [run for run in blocks if run.size >= RUN]
    shares = [2 * sum(run.size for run in runs) / (length + width)]
    if inside:
        for first, last in combinations_with_replacement(range(len(runs)), 2):
            piece = runs[last].b + runs[last].size - runs[first].b
            shares.append(sum(run.size for run in runs[first : last + 1]) / max(length, piece))
    return max(shares)


def _covered(sentence: str, text: str) -> int:
    """The number of letters of a sentence in runs of at least RUN letters that the text contains."""
    covered = end = 0
    for start in range(len(sentence) - RUN + 1):
        if sentence[start : start + RUN] in text:
            covered += start + RUN - max(start, end)
            end = start + RUN
    return covered
