"""Finds repeated digests in a list that may be longer than memory: of equal ones the first is kept.

Why: a set of all digests of 10^8 pairs takes 10 GB. Digests are written to partitions by their highest bits,
so that equal ones meet in one, and each partition is sorted alone. Memory holds one partition, and a bit for
each digest.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BufferedWriter
from pathlib import Path

import numpy as np
import numpy.typing as npt

ENTRIES = 2**20  # of a partition, about; sorting takes some 60 MB
MOST_BITS = 8  # of the number of a partition: so many files are open
MULTIPLIER = 0x9E3779B97F4A7C15  # odd, of Fibonacci hashing (Knuth, volume 3, section 6.4)
ENTRY = np.dtype([("digest", "<u8"), ("place", "<i8")])

Digests = npt.NDArray[np.uint64]


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


def find(parts: Iterable[Digests], count: int, folder: Path) -> Repeated:
    """The repeated places of `count` digests, given in parts; `folder` holds the partitions meanwhile."""
    repeated = Repeated(count)
    bits = min(MOST_BITS, max(0, (count - 1) // ENTRIES).bit_length())
    if bits == 0:
        every = np.concatenate([np.zeros(0, np.uint64), *parts])
        repeated.add(_later(every, np.arange(len(every), dtype=np.int64)))
        return repeated
    folder.mkdir(parents=True, exist_ok=True)
    files = [(folder / f"digests.{number:03}").open("wb") for number in range(2**bits)]
    try:
        _divide(parts, bits, files)
    finally:
        for file in files:
            file.close()
    for file in files:
        entries = np.fromfile(file.name, ENTRY)
        repeated.add(_later(entries["digest"], entries["place"]))
        Path(file.name).unlink()
    return repeated


def _divide(parts: Iterable[Digests], bits: int, files: list[BufferedWriter]) -> None:
    place = 0
    for part in parts:
        numbers = part >> np.uint64(64 - bits)
        order = np.argsort(numbers, kind="stable")
        entries = np.empty(len(part), ENTRY)
        entries["digest"], entries["place"] = part[order], place + order
        edges = np.searchsorted(numbers[order], np.arange(2**bits + 1, dtype=np.uint64))
        for number, file in enumerate(files):
            entries[edges[number] : edges[number + 1]].tofile(file)
        place += len(part)


def _later(digests: Digests, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The places, which ascend, whose digest stands at a smaller place too."""
    order = np.argsort(digests, kind="stable")
    inorder = digests[order]
    found: npt.NDArray[np.int64] = places[order[1:][inorder[1:] == inorder[:-1]]]
    return found


def times(digests: Digests, weight: float) -> npt.NDArray[np.int64]:
    """How often each pair of a weighted source is in train; the digest alone decides about a fraction."""
    whole, part = divmod(weight, 1.0)
    mixed = digests * np.uint64(MULTIPLIER)  # the splits made by `ingest` are ranges of digests
    more = mixed.astype(np.float64) < part * 2.0**64
    return np.full(len(digests), int(whole), np.int64) + more
