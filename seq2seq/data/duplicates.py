"""Finds repeated digests in a list that may be longer than memory: of equal ones the first, or best, is kept.

Why: a set of all digests of 10^8 pairs takes 10 GB. Digests are written to partitions by their highest bits,
so that equal ones meet in one, and each partition is sorted alone. Memory holds one partition, and a bit for
each digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BufferedWriter
from pathlib import Path

import numpy as np
import numpy.typing as npt

ENTRIES = 2**20  # of a partition, about; sorting takes some 60 MB
MOST_BITS = 8  # of the number of a partition: so many files are open
MULTIPLIER = 0x9E3779B97F4A7C15  # odd, of Fibonacci hashing (Knuth, volume 3, section 6.4)
ENTRY = np.dtype([("digest", "<u8"), ("place", "<i8"), ("score", "<f4")])

Digests = npt.NDArray[np.uint64]
Scores = npt.NDArray[np.float32]


class Repeated:
    """The places of a list whose digest stands at an earlier place too."""

    def __init__(self, count: int) -> None:
        self.total = 0
        self._bits = np.zeros((count + 7) // 8, np.uint8)

    def add(self, places: npt.NDArray[np.int64]) -> None:
        """Mark places, each of them once."""
        self.total += len(places)
        np.bitwise_or.at(self._bits, places >> 3, np.left_shift(1, places & 7).astype(np.uint8))

    def of(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Whether each place from `start` to `stop` is marked."""
        begin = start // 8 * 8
        bits = np.unpackbits(self._bits[begin // 8 : (stop + 7) // 8], bitorder="little")
        return bits[start - begin : stop - begin].astype(np.bool_)


def find(
    parts: Iterable[Digests], count: int, folder: Path, scores: Iterable[Scores] | None = None
) -> Repeated:
    """The places of `count` digests, given in parts, that repeat one that is kept.

    Kept is the first of equal ones, or with `scores`, in the same parts, the first with the highest score.
    `folder` holds the partitions meanwhile.
    """
    repeated = Repeated(count)
    bits = min(MOST_BITS, max(0, (count - 1) // ENTRIES).bit_length())
    entries = _entries(parts, scores)
    if bits == 0:
        repeated.add(_other(np.concatenate([np.zeros(0, ENTRY), *entries])))
        return repeated
    folder.mkdir(parents=True, exist_ok=True)
    files = [(folder / f"digests.{number:03}").open("wb") for number in range(2**bits)]
    try:
        _divide(entries, bits, files)
    finally:
        for file in files:
            file.close()
    for file in files:
        repeated.add(_other(np.fromfile(file.name, ENTRY)))
        Path(file.name).unlink()
    return repeated


def _entries(parts: Iterable[Digests], scores: Iterable[Scores] | None) -> Iterator[npt.NDArray[np.void]]:
    place = 0
    given = iter(scores) if scores is not None else None
    for part in parts:
        entries = np.zeros(len(part), ENTRY)
        entries["digest"], entries["place"] = part, np.arange(place, place + len(part))
        if given is not None:
            entries["score"] = np.nan_to_num(next(given), nan=-np.inf)  # a pair without a score is the worst
        place += len(part)
        yield entries


def _divide(parts: Iterable[npt.NDArray[np.void]], bits: int, files: list[BufferedWriter]) -> None:
    for part in parts:
        numbers = part["digest"] >> np.uint64(64 - bits)
        order = np.argsort(numbers, kind="stable")
        edges = np.searchsorted(numbers[order], np.arange(2**bits + 1, dtype=np.uint64))
        entries = part[order]
        for number, file in enumerate(files):
            entries[edges[number] : edges[number + 1]].tofile(file)


def _other(entries: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """The places of entries, which ascend, whose digest is that of a better, or equal and earlier, entry."""
    scored = entries["score"].any()
    order = (
        np.lexsort((-entries["score"], entries["digest"]))  # stable: of equal ones the earlier comes first
        if scored
        else np.argsort(entries["digest"], kind="stable")
    )
    inorder = entries["digest"][order]
    found: npt.NDArray[np.int64] = entries["place"][order[1:][inorder[1:] == inorder[:-1]]]
    return found


def times(digests: Digests, weight: float) -> npt.NDArray[np.int64]:
    """How often each pair of a weighted source is in train; the digest alone decides about a fraction."""
    whole, part = divmod(weight, 1.0)
    mixed = digests * np.uint64(MULTIPLIER)  # the splits made by `ingest` are ranges of digests
    more = mixed.astype(np.float64) < part * 2.0**64
    return np.full(len(digests), int(whole), np.int64) + more
