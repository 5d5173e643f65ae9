"""A corpus in figures, by source and side: reports/profile.json.

Why: a corpus that changes unnoticed changes the model. Two profiles are compared without their corpora, since
the bins are fixed and frequent characters and words are named. One pass in bounded memory; the same corpus
gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.common.progress import Progress
from seq2seq.data import identify, quality, words
from seq2seq.data.corpus import Pair, count_pairs, read_split
from seq2seq.data.direction import SIDES, Direction, Side

ONLY = "corpus"  # the source of pairs that name none
BATCH = 5_000  # pairs counted together
# Lower edges of the bins; the last bin has no upper edge.
CHARACTERS = (0, 10, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 1000)
WORDS = (0, 3, 5, 7, 10, 15, 20, 25, 30, 40, 60, 100)
RATIOS = (
    0.0,
    *(round(2 ** (step / 4), 4) for step in range(-8, 9)),
)  # of characters, target by source
EDGES: Mapping[str, Sequence[float]] = {"characters": CHARACTERS, "words": WORDS}
LONGEST = 10_000  # a greater length counts as this one in the deciles
LETTERS, FREQUENT = 100, 200  # characters and words named
MOST_WORDS = 100_000  # counted at the same time; the rarer half is dropped beyond
SAMPLED = 2_000  # texts whose language is identified, of each source and side
MOST_HASHES = 1 << 16  # of distinct texts; of more texts every 2nd, 4th ... hash is counted

Counts = Mapping[str, int]
Profile = dict[str, Any]


def of_corpus(folder: Path, direction: Direction, coverage: Mapping[str, Any]) -> Profile:
    """The profile of a folder of splits: train by source, and the share of the other splits unknown to train.

    `coverage` is that of reports/tokenizer.json, whose characters without a piece are included.
    """
    others = {name: _words_of(folder, name) for name in coverage if name != "train"}
    unseen = {side: {word for found in others.values() for word in found[side]} for side in SIDES}
    sources: dict[str, _Source] = {}
    with Progress("profile", "pairs", count_pairs(folder, "train")) as progress:
        pairs = progress.over(read_split(folder, "train"))
        while batch := list(islice(pairs, BATCH)):
            for name, part in _by_origin(batch).items():
                sources.setdefault(name, _Source()).add(part, unseen)
    return {
        "pairs": sum(source.pairs for source in sources.values()),
        "bins": {"characters": CHARACTERS, "words": WORDS, "ratio": RATIOS},
        "sources": {name: sources[name].result(direction) for name in sorted(sources)},
        "unknown": {
            name: {
                side: {
                    "words": _share(found[side], unseen[side]),
                    "characters": coverage[name][side]["characters_in_bytes"],
                }
                for side in SIDES
            }
            for name, found in others.items()
        },
    }


def language_share(profile: Profile, side: str) -> float | None:
    """The share of a side's sampled texts in its language; None if the identifier does not know that."""
    found = [source[side]["languages"] for source in profile["sources"].values()]
    if not found or any(one["expected"] is None for one in found):
        return None
    # The samples of the sources have about equal sizes: weighted by the sources' pairs.
    weights: list[int] = [source["pairs"] for source in profile["sources"].values()]
    share = sum(weight * float(one["expected"]) for weight, one in zip(weights, found, strict=True))
    return round(share / sum(weights), 4)


class _Source:
    """The counts of one source."""

    def __init__(self) -> None:
        self.pairs = 0
        self._ratios = np.zeros(len(RATIOS), np.int64)
        self._sides = {side: _Side() for side in SIDES}

    def add(self, pairs: Sequence[Pair], unseen: Mapping[str, set[str]]) -> None:
        """Count pairs; their words are removed from those that are `unseen`."""
        self.pairs += len(pairs)
        texts = {"source": [pair.source for pair in pairs], "target": [pair.target for pair in pairs]}
        lengths = {side: self._sides[side].add(texts[side], unseen[side]) for side in SIDES}
        ratios = lengths["target"] / np.maximum(lengths["source"], 1)
        self._ratios += _histogram(ratios, RATIOS)

    def result(self, direction: Direction) -> Profile:
        sides = {side: self._sides[side].result(getattr(direction, side)) for side in SIDES}
        return {"pairs": self.pairs, "ratio": self._ratios.tolist(), **sides}


class _Side:
    """The counts of one side of a source."""

    def __init__(self) -> None:
        self._texts = 0
        self._lengths = {name: np.zeros(LONGEST + 1, np.int64) for name in EDGES}
        self._alphabet: Counter[int] = Counter()
        self._frequent, self._total = Counter[str](), 0
        self._sample: list[str] = []
        self._spacing, self._next = 1, 0  # of the sample
        self._hashes: set[int] = set()
        self._kept = 0  # bits of a hash that must be zero

    def add(self, texts: list[str], unseen: set[str]) -> Any:
        """Count texts; returns their lengths in characters."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        counts = np.fromiter(map(_length, texts), np.int64, len(texts))
        for name, values in (("characters", lengths), ("words", counts)):
            self._lengths[name] += np.bincount(np.minimum(values, LONGEST), minlength=LONGEST + 1)
        joined = "\n".join(texts)
        numbers = np.bincount(np.frombuffer(joined.encode("utf-32-le"), np.uint32))
        codes = np.flatnonzero(numbers)
        self._alphabet.update(dict(zip(codes.tolist(), numbers[codes].tolist(), strict=True)))
        found = words.words(joined)
        unseen.difference_update(found)
        self._count(found)
        for text in texts:
            self._sample_text(text)
            self._hash(text)
        return lengths

    def _count(self, found: list[str]) -> None:
        """Count words in bounded memory; counts of rare ones are lost, those of frequent ones are near."""
        self._total += len(found)
        self._frequent.update(found)
        if len(self._frequent) > MOST_WORDS:
            self._frequent = Counter(dict(_first(self._frequent, MOST_WORDS // 2)))

    def _sample_text(self, text: str) -> None:
        """Keep every n-th text, with n doubled whenever the sample has twice its size."""
        if self._texts == self._next:
            self._sample.append(text)
            self._next += self._spacing
            if len(self._sample) == 2 * SAMPLED:
                self._sample, self._spacing = self._sample[::2], 2 * self._spacing
                self._next = len(self._sample) * self._spacing
        self._texts += 1

    def _hash(self, text: str) -> None:
        """Count distinct texts by a sample of their hashes (Gibbons 2001, distinct sampling)."""
        data = text.encode()
        value = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
        if value & ((1 << self._kept) - 1) == 0:
            self._hashes.add(value)
            while len(self._hashes) > MOST_HASHES:
                self._kept += 1
                self._hashes = {one for one in self._hashes if one & ((1 << self._kept) - 1) == 0}

    def result(self, side: Side) -> Profile:
        letters = Counter({chr(c): n for c, n in self._alphabet.items() if not chr(c).isspace()})
        scripts: Counter[str] = Counter()
        for letter, count in letters.items():
            if found := words.script(letter):
                scripts[found] += count
        distinct = len(self._hashes) << self._kept
        return {
            "repeated": round(max(0.0, 1 - distinct / max(self._texts, 1)), 4),
            **{name: _lengths(self._lengths[name], edges) for name, edges in EDGES.items()},
            "alphabet": {
                "number": len(letters),
                "total": letters.total(),
                "counts": dict(_first(letters, LETTERS)),
            },
            "scripts": dict(_first(scripts, len(scripts))),
            "languages": _languages(self._sample[::2] if len(self._sample) > SAMPLED else self._sample, side),
            "frequent": {"total": self._total, "counts": dict(_first(self._frequent, FREQUENT))},
        }


def _languages(sample: list[str], side: Side) -> Profile:
    """The languages identified in a sample, and the share of texts in the side's own."""
    found = Counter(label for label, _ in identify.identify(sample))
    wanted = quality.accepted(side)
    expected = None if wanted is None else sum(found[label] for label in wanted) / max(len(sample), 1)
    return {
        "counts": dict(_first(found, len(found))),
        "expected": None if expected is None else round(expected, 4),
    }


def _lengths(counts: Any, edges: Sequence[float]) -> Profile:
    """A distribution of lengths by bins and by its deciles."""
    cumulative = np.cumsum(counts)
    starts = np.asarray(edges, np.int64)
    before = np.concatenate([[0], cumulative])[np.append(starts, len(counts))]
    places = np.searchsorted(cumulative, np.arange(1, 10) * cumulative[-1] / 10)
    return {"counts": np.diff(before).tolist(), "deciles": places.tolist()}


def _histogram(values: Any, edges: Sequence[float]) -> Any:
    return np.bincount(np.searchsorted(edges, values, "right") - 1, minlength=len(edges))


def _length(text: str) -> int:
    """The number of words of a tidied text, as `words.length`."""
    return words.length(text) if words.is_unspaced(text) else text.count(" ") + 1


def _by_origin(pairs: Iterable[Pair]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(getattr(pair, "origin", None) or ONLY, []).append(pair)
    return found


def _words_of(folder: Path, split: str) -> dict[str, Counter[str]]:
    """The words of both sides of an evaluation split."""
    counts = {side: Counter[str]() for side in SIDES}
    for pair in read_split(folder, split):
        counts["source"].update(words.words(pair.source))
        counts["target"].update(words.words(pair.target))
    return counts


def _share(found: Counter[str], unseen: set[str]) -> float:
    return round(sum(found[word] for word in found.keys() & unseen) / max(found.total(), 1), 6)


def _first(counts: Counter[Any], number: int) -> Iterator[tuple[Any, int]]:
    """The most frequent, equally frequent ones in their own order: the same in every process."""
    return islice(iter(sorted(counts.items(), key=lambda one: (-one[1], one[0]))), number)
