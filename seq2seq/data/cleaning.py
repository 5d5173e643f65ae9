"""Cleans shards of train: tidied, filtered, compared with the evaluation sets; each shard is a folder.

Why: shards are cleaned by any number of processes, in any order, and those that are finished outlast a kill.
A shard's folder appears under its name only when it is complete. Duplicates depend on all shards
(`duplicates`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seq2seq.common import shard_folders
from seq2seq.data import scores
from seq2seq.data.contamination_log import ContaminationLog, shown
from seq2seq.data.corpus import SCHEMA, Pair, normalised, read_rows, to_table
from seq2seq.data.filters import Filters
from seq2seq.data.manifest import Entry, with_origin
from seq2seq.data.scores import Scored

ROWS = 50_000  # of a shard; not by the number of cores, so that finished shards fit any
BATCH = 2_000  # pairs filtered together
SAMPLED = 20  # dropped pairs reported, of each split and reason
AS_READ, REWRITTEN, UNALIGNED = range(3)  # of a pair kept: unchanged, tidied, and without its alignment then
PAIRS, DIGESTS, COUNTS = "pairs.arrow", "digests.npy", "counts.json"
KEPT = SCHEMA.append(pa.field("row", pa.int64())).append(pa.field("change", pa.int8()))


class Shard(NamedTuple):
    """Rows `start` to `stop` of a source; `first` is the number of the first in all sources together."""

    number: int
    source: Entry
    start: int
    stop: int
    first: int

    def folder(self, work: Path) -> Path:
        """Its folder in the work folder, which exists if it is finished."""
        return work / f"{self.number:06}"


def cut(sources: Iterable[Entry], rows: int = ROWS) -> list[Shard]:
    """The shards of some sources, in order; a shard belongs to one source."""
    shards: list[Shard] = []
    first = 0
    for source in sources:
        for start in range(0, source.rows, rows):
            stop = min(start + rows, source.rows)
            shards.append(Shard(len(shards), source, start, stop, first + start))
        first += source.rows
    return shards


@dataclass
class Tally:
    """Counts of the pairs of one split, or of rows of it, with a sample of those that are dropped."""

    split: str
    reasons: tuple[str, ...]
    first: int = 0  # the number of the first row
    read: int = 0
    rewritten: int = 0
    alignments_lost: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    sample: list[dict[str, Any]] = field(default_factory=list)

    def count(self, reason: str, pair: Pair, row: int | None = None) -> None:
        """Count a pair that `reason` drops (of an evaluation split: would drop); default: the row read."""
        self.hits[reason] += 1
        if self.hits[reason] <= SAMPLED:
            number = self.first + self.read if row is None else row
            entry = {"split": self.split, "row": number, "reason": reason}
            self.sample.append(entry | {"source": shown(pair.source), "target": shown(pair.target)})

    def add(self, state: dict[str, Any]) -> None:
        """Add the `state` of the tally of later rows."""
        self.read += state["read"]
        left = {reason: SAMPLED - self.hits[reason] for reason in state["hits"]}
        for row in state["sample"]:
            if left[row["reason"]] > 0:
                left[row["reason"]] -= 1
                self.sample.append(row)
        self.hits.update(state["hits"])

    def state(self) -> dict[str, Any]:
        """State that `add` takes, as JSON can hold it."""
        return {"read": self.read, "hits": dict(self.hits), "sample": self.sample}

    def kept(self) -> int:
        """The number of pairs that no reason drops."""
        return self.read - self.hits.total()

    def counts(self) -> dict[str, int]:
        """Hits by reason, zeros included."""
        return {reason: self.hits[reason] for reason in self.reasons}

    def __str__(self) -> str:
        counts = ", ".join(f"{n:,} {reason}" for reason, n in self.counts().items() if n)
        return counts or "none"


@dataclass
class Kept:
    """The pairs kept of a shard: each with its row, kind of change, and digest."""

    pairs: list[Pair] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    digests: list[npt.NDArray[np.uint64]] = field(default_factory=lambda: [np.empty(0, np.uint64)])

    def write(self, folder: Path) -> None:
        """Write PAIRS and DIGESTS into a folder."""
        table = to_table(self.pairs)
        for name, values in (("row", self.rows), ("change", self.changes)):
            table = table.append_column(KEPT.field(name), pa.array(values, KEPT.field(name).type))
        with pa.OSFile(str(folder / PAIRS), "wb") as file:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            with pa.ipc.new_file(file, KEPT, options=options) as writer:
                writer.write_table(table)
        np.save(folder / DIGESTS, np.concatenate(self.digests))


@dataclass(frozen=True)
class Cleaner:
    """Cleans a shard into its folder, apart from duplicates; workers get one by pickle."""

    of_source: Mapping[str, Filters]  # by the name of a source
    common: Filters  # by which pairs of different sources are duplicates
    log: ContaminationLog
    scored: Scored
    reasons: tuple[str, ...]
    work: Path

    def __call__(self, shard: Shard) -> int:
        """Write the folder of a shard; returns its number of rows."""
        tally, log, kept = Tally("train", self.reasons, shard.first), self.log.blank(), Kept()
        read = with_origin(read_rows(shard.source.path, shard.start, shard.stop), shard.source.name)
        while batch := list(islice(read, BATCH)):
            self._clean(batch, self.of_source[shard.source.name], log, tally, kept)
        with shard_folders.draft(shard.folder(self.work)) as folder:
            kept.write(folder)
            counts = {"tally": tally.state(), "log": log.state()}
            (folder / COUNTS).write_text(json.dumps(counts), encoding="utf-8")
        return tally.read

    def _clean(
        self, batch: Sequence[Pair], chosen: Filters, log: ContaminationLog, tally: Tally, kept: Kept
    ) -> None:
        """Add the tidied pairs of a batch that are not dropped, and count the others by reason."""
        tidied = [Pair(chosen.tidy(pair.source), chosen.tidy(pair.target)) for pair in batch]
        first = tally.first + tally.read
        low = self.scored.low(first, first + len(batch))
        reasons = [
            reason or (scores.REASON if drop else None)
            for reason, drop in zip(chosen.reasons([tidy[:2] for tidy in tidied]), low, strict=True)
        ]
        # Pairs that a filter drops are not compared: a whole book on one line would take hours.
        left = [at for at, reason in enumerate(reasons) if reason is None]
        forms = normalised([tidied[at] for at in left])
        contaminated = log.reasons(forms, [tidied[at] for at in left], [first + at for at in left])
        if chosen.params.contamination != "report":
            for at, reason in zip(left, contaminated, strict=True):
                reasons[at] = reason
        for at, reason in enumerate(reasons):
            if reason:
                tally.count(reason, batch[at], first + at)
                continue
            pair, change = rewritten(batch[at], tidied[at].source, tidied[at].target)
            kept.pairs.append(pair)
            kept.rows.append(first + at)
            kept.changes.append(change)
        tally.read += len(batch)
        kept.digests.append(
            self.common.identities(
                [form for at, form in zip(left, forms, strict=True) if reasons[at] is None]
            )
        )


def rewritten(pair: Pair, source: str, target: str) -> tuple[Pair, int]:
    """The tidied pair, without its alignment if the number of words has changed, and the kind of change."""
    if source == pair.source and target == pair.target:
        return pair, AS_READ
    if pair.alignment is not None and (
        len(source.split()) != len(pair.source.split()) or len(target.split()) != len(pair.target.split())
    ):
        return Pair(source, target, None, pair.origin), UNALIGNED
    return Pair(source, target, pair.alignment, pair.origin), REWRITTEN


def counts(shard: Shard, work: Path) -> dict[str, Any]:
    """The states of tally and log of a finished shard."""
    found: dict[str, Any] = json.loads((shard.folder(work) / COUNTS).read_text(encoding="utf-8"))
    return found


def digests(shard: Shard, work: Path) -> npt.NDArray[np.uint64]:
    """The digests of the pairs kept of a finished shard."""
    found: npt.NDArray[np.uint64] = np.load(shard.folder(work) / DIGESTS)
    return found


def kept_pairs(shard: Shard, work: Path) -> pa.Table:
    """The pairs kept of a finished shard, a table of KEPT."""
    with pa.OSFile(str(shard.folder(work) / PAIRS)) as file:
        return pa.ipc.open_file(file).read_all()


def read_row(shards: Sequence[Shard], row: int) -> Pair:
    """The pair of a row, as it was before cleaning."""
    shard = next(one for one in shards if one.first <= row < one.first + one.stop - one.start)
    at = shard.start + row - shard.first
    return next(read_rows(shard.source.path, at, at + 1))
