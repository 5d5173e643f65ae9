"""Encodes shards of a split into token ids, and counts the vocabulary's coverage and the profile.

Why: shards are encoded by any number of processes, and those that are finished outlast a kill. The
counts are merged in the order of the shards.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seq2seq.common import shard_folders
from seq2seq.data import words
from seq2seq.data.corpus import Pair, read_rows, split_path
from seq2seq.data.direction import SIDES
from seq2seq.data.profile_counts import SourceCounts
from seq2seq.data.span_masking import SpanMasker
from seq2seq.data.tokens import TokenSplit, TokenWriter
from seq2seq.data.vocabulary import Side, Vocabulary

ROWS = 50_000  # of a shard; not by the number of cores, so that finished shards fit any
BATCH = 5_000  # pairs encoded together
MOST_WORDS = 200_000  # a longer list of source words is not stored: few words would be unknown
ONLY = "corpus"  # the source of pairs that name none
IDS, COUNTS = "ids", "counts.json"


class Rows(NamedTuple):
    """The rows `start` to `stop` of a split; `number` is that of the shard in the split."""

    split: str
    number: int
    start: int
    stop: int

    def folder(self, work: Path) -> Path:
        """Its folder in the work folder, which exists if it is finished."""
        return work / f"{self.split}-{self.number:06}"


def cut(split: str, rows: int) -> list[Rows]:
    """The shards of a split, in order; an empty split has one."""
    starts = range(0, max(rows, 1), ROWS)
    return [Rows(split, number, start, min(start + ROWS, rows)) for number, start in enumerate(starts)]


@dataclass
class Counts:
    """Counts of a split, or of rows of it."""

    tallies: dict[str, Counter[str]] = field(default_factory=lambda: {side: Counter() for side in SIDES})
    sources: dict[str, SourceCounts] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)  # of the source; no more are added beyond MOST_WORDS
    found: dict[str, set[str]] = field(default_factory=lambda: {side: set() for side in SIDES})

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add the `state` of the counts of later rows."""
        for side in SIDES:
            self.tallies[side].update(state["tallies"][side])
            self.found[side].update(state["found"][side])
        for name, counts in state["sources"].items():
            self.sources.setdefault(name, SourceCounts()).merge(counts)
        if len(self.words) <= MOST_WORDS:
            self.words.update(state["words"])

    def state(self) -> dict[str, Any]:
        """State that `merge` takes, as JSON can hold it."""
        return {
            "tallies": self.tallies,
            "sources": {name: counts.state() for name, counts in self.sources.items()},
            "words": sorted(self.words),
            "found": {side: sorted(found) for side, found in self.found.items()},
        }


@dataclass(frozen=True)
class Encoder:
    """Encodes a shard into its folder; workers get one by pickle.

    `looked_for` has the words, by side, of which the shards' own are wanted: those of the other splits.
    """

    vocabulary: Vocabulary
    looked_for: Mapping[str, frozenset[str]]
    corpus: Path
    work: Path
    threads: int  # of SentencePiece, in each process
    masker: SpanMasker | None = None  # of training pairs

    def __call__(self, rows: Rows) -> int:
        """Write the folder of a shard; returns its number of rows."""
        counts = Counts()
        pairs = read_rows(split_path(self.corpus, rows.split), rows.start, rows.stop)
        with shard_folders.draft(rows.folder(self.work)) as folder:
            with TokenWriter(folder, IDS) as writer:
                while batch := list(islice(pairs, BATCH)):
                    self._encode(batch, writer, counts, self.masker if rows.split == "train" else None)
            text = json.dumps(counts.state(), ensure_ascii=False)
            (folder / COUNTS).write_text(text, encoding="utf-8", errors="surrogatepass")
        return rows.stop - rows.start

    def _encode(
        self, batch: list[Pair], writer: TokenWriter, counts: Counts, masker: SpanMasker | None
    ) -> None:
        """Write the ids of pairs, some of them masked, and count them as they are unmasked."""
        places: dict[str, list[int]] = {}
        for at, pair in enumerate(batch):
            places.setdefault(pair.origin or ONLY, []).append(at)
        both: dict[Side, list[str]] = {
            "source": [pair.source for pair in batch],
            "target": [pair.target for pair in batch],
        }
        masked = [masker.mask(*texts) if masker else None for texts in zip(*both.values(), strict=True)]
        lengths: dict[str, dict[str, Any]] = {}
        for number, (side, texts) in enumerate(both.items()):
            ids = self.vocabulary.encode_all(texts, side, self.threads)
            lengths[side] = self._tally(side, texts, ids, counts.tallies[side])
            replaced = {row: sides[number] for row, sides in enumerate(masked) if sides}
            of_masked = self.vocabulary.encode_all([*replaced.values()], side, self.threads)
            for row, ids_of_row in zip(replaced, of_masked, strict=True):
                ids[row] = ids_of_row
            writer.append(side, ids)
        for name, rows in places.items():
            own: dict[str, list[str]] = {side: [texts[row] for row in rows] for side, texts in both.items()}
            measured = {
                side: {kind: values[rows] for kind, values in of_side.items()}
                for side, of_side in lengths.items()
            }
            found = counts.sources.setdefault(name, SourceCounts()).add(own, measured)
            for name, own_words in found.items():
                counts.found[name].update(self.looked_for[name].intersection(own_words))
            if len(counts.words) <= MOST_WORDS:
                counts.words.update(found["source"])

    def _tally(
        self, side: Side, texts: list[str], ids: list[list[int]], tally: Counter[str]
    ) -> dict[str, Any]:
        """Count texts of a side and their ids; returns the texts' lengths in characters and in words."""
        normalised = self.vocabulary.normalise_all(texts, side)
        unspaced = list(map(words.is_unspaced, texts))
        characters = np.fromiter(map(len, texts), np.int64, len(texts))
        # Of a text with spaces only: to look at each word would take most of the time.
        numbers = (
            words.length(t) if alone else len(t.split()) for t, alone in zip(texts, unspaced, strict=True)
        )
        lengths = np.fromiter(numbers, np.int64, len(texts))
        tally["pieces"] += sum(map(len, ids))
        tally["words"] += int(lengths.sum())
        tally["texts"] += len(texts)
        tally["unspaced"] += sum(unspaced)
        tally["characters"] += sum(len(text) - text.count(" ") for text in texts)
        tally["in_bytes"] += self.vocabulary.characters_in_bytes(chain.from_iterable(ids))
        decoded = self.vocabulary.decode_all(ids, self.threads)
        tally["failures"] += sum(map(str.__ne__, normalised, decoded))
        tally["rewritten"] += sum(map(str.__ne__, normalised, texts))
        return {"characters": characters, "words": lengths}


def merged(shards: Iterable[Rows], work: Path, writer: TokenWriter | None = None) -> Counts:
    """The counts of finished shards of a split; their ids are added to `writer`, in order."""
    counts = Counts()
    for rows in shards:
        folder = rows.folder(work)
        counts.merge(json.loads((folder / COUNTS).read_text(encoding="utf-8", errors="surrogatepass")))
        if writer is not None:
            writer.extend(TokenSplit(folder, IDS))
    return counts
