"""Token ids on disk, memory-mapped: one flat array a side, and the offsets of its sentences.

Why: training opens two million pairs as fast as two thousand, and reads only the pairs of a batch.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

SIDES = ("source", "target")
ID = np.dtype("<u4")
COUNTED = 1 << 22  # ids counted together

Ids = npt.NDArray[np.uint32]
Lengths = npt.NDArray[np.int64]


class TokenWriter:
    """Appends encoded pairs to a split's files; use as a context manager."""

    def __init__(self, folder: Path, split: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = {side: folder / f"{split}.{side}" for side in SIDES}
        self._files = {
            side: path.with_suffix(f".{side}.ids").open("wb") for side, path in self._paths.items()
        }
        self._lengths = {side: array("I") for side in SIDES}  # four bytes each

    def append(self, side: str, sentences: Iterable[list[int]]) -> None:
        """Add sentences to one side; in the end both sides must have equally many."""
        sentences = list(sentences)
        self._files[side].write(np.fromiter(chain.from_iterable(sentences), ID).tobytes())
        self._lengths[side].extend(map(len, sentences))

    def extend(self, split: TokenSplit) -> None:
        """Add all pairs of another split."""
        for side in SIDES:
            self._files[side].write(split.ids[side].data)
            self._lengths[side].frombytes(np.diff(split.offsets[side]).astype(np.uintc).tobytes())

    def __enter__(self) -> TokenWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        for side, path in self._paths.items():
            self._files[side].close()
            offsets = np.zeros(len(self._lengths[side]) + 1, np.int64)
            np.cumsum(np.frombuffer(self._lengths[side], np.uintc), out=offsets[1:])
            np.save(path.with_suffix(f".{side}.offsets.npy"), offsets)


class TokenSplit:
    """The encoded pairs of a split, without bos and eos.

    Attributes: `ids` of each side, `offsets` of its sentences in them, `source_lengths` and
    `target_lengths`, tokens of each sentence.
    """

    def __init__(self, folder: Path, split: str) -> None:
        self.ids: dict[str, Ids] = {}
        self.offsets: dict[str, Lengths] = {}
        for side in SIDES:
            path = folder / f"{split}.{side}.ids"
            # An empty file cannot be mapped.
            self.ids[side] = np.memmap(path, ID, "r") if path.stat().st_size else np.empty(0, ID)
            self.offsets[side] = np.load(folder / f"{split}.{side}.offsets.npy")
        self.source_lengths: Lengths = np.diff(self.offsets["source"])
        self.target_lengths: Lengths = np.diff(self.offsets["target"])

    def __len__(self) -> int:
        return len(self.source_lengths)

    def counts(self, side: str, size: int) -> Lengths:
        """How often each of `size` ids occurs on one side."""
        total = np.zeros(size, np.int64)
        for begin in range(0, len(self.ids[side]), COUNTED):
            total += np.bincount(self.ids[side][begin : begin + COUNTED], minlength=size)
        return total

    def source(self, index: int) -> Ids:
        """Source ids of a pair."""
        return self._sentence("source", index)

    def target(self, index: int) -> Ids:
        """Target ids of a pair."""
        return self._sentence("target", index)

    def _sentence(self, side: str, index: int) -> Ids:
        begin, end = self.offsets[side][index : index + 2]
        return self.ids[side][begin:end]
