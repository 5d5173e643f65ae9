"""clean: data/raw -> data/corpus, reports/{cleaning,contamination}.json and reports/dropped.json (a sample).

Why: errors in the corpus are learnt, and a score is valid only if no sentence of the evaluation sets is in
train, exactly or nearly. Train is tidied, filtered, decontaminated and deduplicated, in this order. The
evaluation sets are tidied too, since a model cannot match references in another Unicode form; there the
filters only count. A filter that drops much of train stops the run.

The first three steps are done shard by shard, by several processes; finished shards outlast a kill. Then
duplicates are found, and one process writes the pairs in order.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seq2seq.common import paths, shards
from seq2seq.common.errors import UserError
from seq2seq.common.params import Clean, Params
from seq2seq.common.progress import Progress, duration
from seq2seq.data import cleaning, contamination_log, direction, duplicates, filters
from seq2seq.data.cleaning import Cleaner, Shard, Source, Tally
from seq2seq.data.contamination_log import EXACT, NEAR, ContaminationLog, shown
from seq2seq.data.corpus import (
    SCHEMA,
    Pair,
    count_rows,
    read_split,
    sample,
    split_path,
    write_split,
    write_tables,
)

OF_THE_CORPUS = (EXACT, NEAR, "duplicate")  # reasons that depend on other pairs
REASONS = filters.NAMES + OF_THE_CORPUS
PRINTED, BRIEF = 3, 60  # dropped pairs in an error, and characters of a side there
MEASURED = 100_000  # pairs whose lengths are measured; of a larger corpus every n-th one
WORK = paths.CHECKPOINTS / "clean"  # finished shards, below a fingerprint of all that they depend on
LIMITS = {"max_dropped", "max_contaminated", "min_kept"}  # settings that no shard depends on
LIBRARIES = ("ftfy", "py3langid")  # which filters call

REMEDIES = filters.REMEDIES | {
    EXACT: "the evaluation sets contain pairs of train: give splits that differ",
    NEAR: "the evaluation sets contain near duplicates of train: give splits that differ, or raise "
    "clean.contamination_share",
    "duplicate": "the corpus repeats pairs",
}


def clean(params: Params) -> None:
    """Clean data/raw into data/corpus.

    Raises UserError if no training pair is left, or one is contaminated where that is not allowed.
    """
    began = time.monotonic()
    filters.check(params.clean)
    sides = direction.read(paths.RAW)
    direction.write(paths.CORPUS, sides)
    sources = [Source(split_path(paths.RAW, "train"))]
    chosen = filters.Filters.measured(params.clean, sides, _sample(sources))
    for side in chosen.unchecked():
        print(f"clean: the language of the {side} is not checked: {getattr(sides, side)}")
    sets, tallies = {}, []
    for name in ("validation", "test", *params.ingest.evaluation_sets):
        tallies.append(Tally(name, filters.NAMES))
        sets[name] = list(_counted(chosen, tallies[-1]))
        write_split(paths.CORPUS, name, sets[name])

    log = ContaminationLog(sets, params.clean.contamination_share)
    parts = cleaning.cut(sources)
    work = WORK / _fingerprint(params, [one.path for one in sources], list(sets))
    _clean_shards(parts, Cleaner(chosen, log, REASONS, work))
    train = _merge(parts, work, log)
    kept = write_tables(paths.CORPUS, "train", _without_duplicates(parts, work, train))
    found = log.report(params.clean.contamination)
    _report(train, tallies, found, chosen.params)
    if params.clean.contamination == "fail" and found["hits"]:
        raise UserError(contamination_log.refused(found))
    if not kept:
        raise UserError(_nothing_left(train))
    _check_shares(train, params.clean)
    shutil.rmtree(WORK)
    with suppress(OSError):  # it holds checkpoints
        paths.CHECKPOINTS.rmdir()

    seconds = time.monotonic() - began
    print(
        f"clean: {kept:,} of {train.read:,} train pairs kept in {duration(seconds)}; "
        f"dropped: {train}; rewritten: {train.rewritten:,}"
    )
    flagged = "; ".join(
        f"{tally.read:,} {tally.split} (flagged: {tally}; rewritten: {tally.rewritten:,})"
        for tally in tallies
    )
    print(f"clean: kept whole: {flagged}")
    if params.clean.contamination == "report" and found["hits"]:
        print(f"clean: left in train: {contamination_log.counts(found)}; see {paths.CONTAMINATION}")


def _counted(chosen: filters.Filters, tally: Tally) -> Iterator[Pair]:
    """All pairs of an evaluation set, tidied if `tidy_evaluation`; counts the filters' hits."""
    pairs = list(read_split(paths.RAW, tally.split))
    tidied = [(chosen.tidy(pair.source), chosen.tidy(pair.target)) for pair in pairs]
    for pair, (source, target), reason in zip(pairs, tidied, chosen.reasons(tidied), strict=True):
        if reason:
            tally.count(reason, pair)
        tally.read += 1
        changed, change = cleaning.rewritten(pair, source, target)
        if chosen.params.tidy_evaluation:
            tally.rewritten += change != cleaning.AS_READ
            pair = changed
        yield pair


def _sample(sources: Sequence[Source]) -> Iterator[Pair]:
    """All training pairs, or of more than MEASURED every n-th one."""
    counts = [count_rows(source.path) for source in sources]
    step, before = max(1, sum(counts) // MEASURED), 0
    for source, count in zip(sources, counts, strict=True):
        yield from sample(source.path, step, first=-before % step)
        before += count


def _fingerprint(params: Params, sources: Sequence[Path], sets: Sequence[str]) -> str:
    """40 hex digits over all that the shards depend on: settings, code, and files of data/raw."""
    settings = params.clean.model_dump(exclude=LIMITS)
    versions = [platform.python_version(), *map(version, LIBRARIES)]
    total = hashlib.sha256(json.dumps([settings, cleaning.ROWS, versions], sort_keys=True).encode())
    code = [Path(__file__), *sorted(Path(cleaning.__file__).parent.glob("*.py"))]
    inputs = [paths.RAW / direction.FILE, *(split_path(paths.RAW, name) for name in sets), *sources]
    for path in (*code, *filter(Path.is_file, inputs)):
        with path.open("rb") as file:
            total.update(f"{path.name}\0".encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:40]


def _clean_shards(parts: Sequence[Shard], cleaner: Cleaner) -> None:
    """Write the folders of the shards that have none yet."""
    for other in WORK.glob("*"):
        if other != cleaner.work:  # of other settings or another corpus
            shutil.rmtree(other)
    cleaner.work.mkdir(parents=True, exist_ok=True)
    for draft in cleaner.work.glob("*.*"):  # of processes that were killed
        shutil.rmtree(draft) if draft.is_dir() else draft.unlink()
    left = [shard for shard in parts if not shard.folder(cleaner.work).is_dir()]
    total = sum(shard.stop - shard.start for shard in parts)
    done = total - sum(shard.stop - shard.start for shard in left)
    if done:
        print(f"clean: continues a stopped run: {done:,} of {total:,} pairs are compared and filtered")
    with (
        Progress("clean", "pairs", total, start=done) as progress,
        closing(shards.over(cleaner, left)) as rows,
    ):
        for count in rows:
            progress.advance(count)


def _merge(parts: Sequence[Shard], work: Path, log: ContaminationLog) -> Tally:
    """The counts of all shards but for duplicates; adds their contamination to the log."""
    train = Tally("train", REASONS)
    for shard in parts:
        counts = cleaning.counts(shard, work)
        train.add(counts["tally"])
        log.add(counts["log"])
    return train


def _without_duplicates(parts: Sequence[Shard], work: Path, train: Tally) -> Iterator[pa.Table]:
    """The pairs of finished shards without duplicates, in order; counts them, and the pairs rewritten."""
    count = train.read - train.hits.total()
    repeated = duplicates.find((cleaning.digests(shard, work) for shard in parts), count, work / "digests")
    place = 0
    for shard in parts:
        table = cleaning.kept_pairs(shard, work)
        again = repeated.of(place, place + len(table))
        place += len(table)
        if again.any():
            for row in table.column("row").filter(pa.array(again))[: cleaning.SAMPLED].to_pylist():
                if train.hits["duplicate"] < cleaning.SAMPLED:
                    train.count("duplicate", cleaning.read_row(parts, row), row)
            table = table.filter(pa.array(~again))
        changes = np.bincount(table.column("change").to_numpy(), minlength=3)
        train.alignments_lost += int(changes[cleaning.UNALIGNED])
        train.rewritten += int(changes[cleaning.REWRITTEN] + changes[cleaning.UNALIGNED])
        yield table.select(SCHEMA.names)
    train.hits["duplicate"] = repeated.total
    train.sample.sort(key=lambda entry: int(entry["row"]))


def _report(train: Tally, evaluation: list[Tally], contamination: dict[str, Any], settings: Clean) -> None:
    """Write the counts of all splits, the contamination, and a sample of dropped (or flagged) pairs."""
    report: dict[str, Any] = {
        "train": {
            "read": train.read,
            "kept": train.read - train.hits.total(),
            "rewritten": train.rewritten,
            "alignments_lost": train.alignments_lost,
            "dropped": train.counts(),
            "typical_length_ratio": settings.typical_length_ratio,
        }
    }
    for tally in evaluation:
        report[tally.split] = {"read": tally.read, "kept": tally.read, "flagged": tally.counts()}
        report[tally.split]["rewritten"] = tally.rewritten
    paths.REPORTS.mkdir(parents=True, exist_ok=True)
    paths.CLEANING.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    dropped = [
        row
        for tally in (train, *evaluation)
        for row in sorted(tally.sample, key=lambda row: tally.reasons.index(row["reason"]))
    ]
    text = json.dumps(dropped, ensure_ascii=False, indent=1)
    paths.DROPPED.write_text(text + "\n", encoding="utf-8")
    text = json.dumps(contamination, ensure_ascii=False, indent=1)
    paths.CONTAMINATION.write_text(text + "\n", encoding="utf-8")


def _check_shares(train: Tally, params: Clean) -> None:
    """Raise UserError if a filter or contamination dropped more than its limit, or too little is left.

    Exact duplicates are not counted, since a corpus may repeat itself; contamination has its own limit.
    """
    limits: list[tuple[tuple[str, ...], str, float]]
    limits = [((name,), "clean.max_dropped", params.max_dropped) for name in filters.NAMES]
    limits.append(((EXACT, NEAR), "clean.max_contaminated", params.max_contaminated))
    for reasons, key, limit in limits:
        count = sum(train.hits[reason] for reason in reasons)
        if count > limit * train.read:
            raise UserError(
                f"{' and '.join(reasons)}: {count:,} of {train.read:,} train pairs "
                f"({count / train.read:.0%}) would be dropped, {key} allows {limit:.0%}; "
                f"{REMEDIES[max(reasons, key=train.hits.__getitem__)]}; if that is right, raise {key}"
                f"{_samples(train, reasons)}"
            )
    counted = train.read - sum(train.hits[reason] for reason in OF_THE_CORPUS)
    kept = train.read - train.hits.total()
    if kept < params.min_kept * counted:
        raise UserError(
            f"only {kept:,} of {counted:,} train pairs ({kept / counted:.0%}, duplicates and contamination "
            f"aside) are left, clean.min_kept is {params.min_kept:.0%}; dropped: {train}; if that is "
            f"right, lower clean.min_kept{_samples(train, train.reasons)}"
        )


def _samples(train: Tally, reasons: tuple[str, ...]) -> str:
    """The first dropped pairs, a line each, and the file with more."""
    found = [row for row in train.sample if row["reason"] in reasons][:PRINTED]
    lines = (
        f"\n  {row['reason']}: {shown(row['source'], BRIEF)} → {shown(row['target'], BRIEF)}" for row in found
    )
    return "".join(lines) + f"\n  more of them: {paths.DROPPED}"


def _nothing_left(train: Tally) -> str:
    if not train.read:
        return f"{paths.RAW} has no training pair: is ingest.path the right file?"
    reason, count = train.hits.most_common(1)[0]
    return (
        f"no training pair is left of {train.read:,}: {reason} dropped {count:,}; "
        f"{REMEDIES[reason]}{_samples(train, (reason,))}"
    )
