"""Counts the n-grams that texts have in common with each of many sentences that are much alike.

Why: sentences of one template have most n-grams in common, so that a list of the sentences of each n-gram is
long, and a text finds many such lists. But few of them differ: n-grams that are in the same sentences are
counted together, and their list is read once for a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from seq2seq.data.corpus import code_points
from seq2seq.data.grams import Grams, Indices, Integers
from seq2seq.data.shares import RUN, ranges


class GramTable:
    """The n-grams of some sentences; each counts once for a sentence, `repeated` as often as it is there."""

    def __init__(self, sentences: Sequence[str], n: int, repeated: bool) -> None:
        self._width = len(sentences)
        self._grams = Grams(sentences, n)
        lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        # Pairs of an n-gram and a sentence, in order; the postings of an n-gram are its sentences.
        pairs = self._grams.own * np.int64(max(1, self._width)) + np.repeat(np.arange(self._width), lengths)
        pairs = pairs[self._grams.own > 0]
        pairs = np.sort(pairs) if repeated else np.unique(pairs)
        gram, sentence = np.divmod(pairs, max(1, self._width))
        edges = np.searchsorted(gram, np.arange(len(self._grams) + 1))
        different: dict[bytes, int] = {}
        flat = sentence.astype(np.int32)
        numbers = [
            different.setdefault(flat[first:last].tobytes(), len(different))
            for first, last in pairwise(edges.tolist())
        ]
        self._lists = np.array(numbers, np.int64)  # the number of the list of each n-gram
        lists = [np.frombuffer(content, np.int32) for content in different]
        self._flat = np.concatenate([np.empty(0, np.int32), *lists])
        self._sizes = np.fromiter(map(len, lists), np.int64, len(lists))
        self._starts = np.cumsum(self._sizes) - self._sizes

    def of(self, texts: Sequence[str]) -> Integers:
        """The count of each text and sentence, a row for each text."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        numbers = self._grams.of(code_points("".join(texts)), lengths)
        entries = np.repeat(np.arange(len(texts)), lengths) * len(self._grams) + numbers
        owners, grams = np.divmod(np.unique(entries[numbers > 0]), len(self._grams))
        found, counts = np.unique(owners * len(self._sizes) + self._lists[grams], return_counts=True)
        owners, lists = np.divmod(found, len(self._sizes))
        sizes = self._sizes[lists]
        cells = np.repeat(owners * self._width, sizes)
        cells += self._flat[ranges(self._starts[lists], sizes)]
        table = np.bincount(cells, np.repeat(counts, sizes), minlength=len(texts) * self._width)
        whole: Integers = table.astype(np.int64).reshape(len(texts), self._width)
        return whole


class RunBound:
    """An upper bound on the letters of sentences in runs of RUN letters that they have in common with texts.

    A stretch of k adjacent n-grams of RUN letters covers k + RUN - 1 letters, so that all cover RUN times
    their number less RUN - 1 times the number of those that follow another one. An n-gram of one letter more
    is two that follow each other: with the number of these instead the sum can only be larger.
    """

    def __init__(self, sentences: Sequence[str]) -> None:
        self._single = GramTable(sentences, RUN, repeated=True)
        self._double = GramTable(sentences, RUN + 1, repeated=True)

    def of(self, texts: Sequence[str]) -> Indices:
        """The bound of each text and sentence, a row for each text."""
        return RUN * self._single.of(texts) - (RUN - 1) * self._double.of(texts)
