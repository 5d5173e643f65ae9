"""Numbers the n-grams of sentences, and finds them in texts, all letters at once.

Why: a look-up of each n-gram in a dictionary takes longer than all else that is done with its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seq2seq.data.corpus import code_points

LETTERS = 3  # in one word of 64 bits
BITS = np.uint64(21)  # of a code point
MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)

Integers = npt.NDArray[np.int64]
Indices = npt.NDArray[np.signedinteger[Any]]
Words = npt.NDArray[np.uint64]


class Grams:
    """The distinct n-grams of some sentences, with numbers from 1 on; `n` is from 4 to 6.

    `own` are the numbers at each letter of the joined sentences; 0 for the last letters of each.
    """

    def __init__(self, sentences: Sequence[str], n: int) -> None:
        self._n = n
        words, valid = self._words(code_points("".join(sentences)), _lengths(sentences))
        order = np.lexsort(words)
        order = order[valid[order]]
        inorder = words[:, order]
        is_new = np.any(np.diff(inorder, axis=1, prepend=~inorder[:, :1]), axis=0)
        self._grams = np.concatenate([np.zeros((2, 1), np.uint64), inorder[:, is_new]], axis=1)
        self.own = np.zeros(words.shape[1], np.int32)
        self.own[order] = np.cumsum(is_new)
        # A hash table: an n-gram is in its slot, or in the next one that was free.
        count = self._grams.shape[1]
        self._shift = np.uint64(64 - (4 * count).bit_length())
        self._table = np.zeros(1 << (4 * count).bit_length(), np.int32)
        left = np.arange(1, count)
        slots = self._slots(self._grams[:, 1:])
        while len(left):
            free = self._table[slots] == 0
            self._table[slots[free]] = left[free]
            lost = self._table[slots] != left
            left, slots = left[lost], (slots[lost] + 1) % len(self._table)

    def __len__(self) -> int:
        """The largest number, and one for no n-gram."""
        return len(self._grams[0])

    def of(self, letters: npt.NDArray[np.uint32], lengths: Indices) -> Integers:
        """The number at each letter of joined texts of some lengths; 0 for one that no sentence has."""
        words, valid = self._words(letters, lengths)
        numbers = np.zeros(len(letters), np.int64)
        left = np.flatnonzero(valid)
        slots = self._slots(words)[left]
        while len(left):
            found = self._table[slots]
            same = np.all(self._grams[:, found] == words[:, left], axis=0) & (found > 0)
            numbers[left[same]] = found[same]
            more = (found > 0) & ~same
            left, slots = left[more], (slots[more] + 1) % len(self._table)
        return numbers

    def _words(
        self, letters: npt.NDArray[np.uint32], lengths: Indices
    ) -> tuple[Words, npt.NDArray[np.bool_]]:
        """The n-gram at each letter as two words, and whether it is inside a text."""
        words = np.zeros((2, len(letters)), np.uint64)
        for place in range(self._n):
            word = words[place // LETTERS]
            word <<= BITS
            word[: max(0, len(letters) - place)] |= letters[place:]
        ends = np.cumsum(lengths)
        valid = np.ones(len(letters), np.bool_)
        for shift in range(1, self._n):
            valid[(ends - shift)[lengths >= shift]] = False
        return words, valid

    def _slots(self, words: Words) -> Integers:
        slots: Integers = (
            (words[0] * MULTIPLIERS[0] + words[1] * MULTIPLIERS[1]) * MULTIPLIERS[0] >> self._shift
        ).astype(np.int64)
        return slots


def _lengths(texts: Sequence[str]) -> Integers:
    return np.fromiter(map(len, texts), np.int64, len(texts))
