"""clean: data/{mixed,raw,scores} -> data/corpus, reports/{cleaning,contamination}.json, reports/dropped.json.

Why: errors in the corpus are learnt, and a score is valid only if no sentence of the evaluation sets is in
train, exactly or nearly. Train is tidied, filtered, decontaminated and deduplicated, in this order. The
evaluation sets are tidied too, since a model cannot match references in another Unicode form; there the
filters only count. A filter that drops much of train stops the run.

The first three steps are done shard by shard, by several processes; finished shards outlast a kill. Then
duplicates are found, and one process writes the pairs in order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seq2seq.common import acceptance, memory, paths, shard_folders, shards
from seq2seq.common.progress import Progress, duration
from seq2seq.common.schema import Clean, Params
from seq2seq.data import (
    clean_limits,
    cleaning,
    contamination_log,
    direction,
    duplicates,
    filters,
    manifest,
    scores,
)
from seq2seq.data.clean_limits import REASONS
from seq2seq.data.cleaning import Cleaner, Shard, Tally
from seq2seq.data.contamination_log import ContaminationLog
from seq2seq.data.corpus import (
    SCHEMA,
    Pair,
    read_split,
    sample,
    split_path,
    write_split,
    write_tables,
)
from seq2seq.data.direction import Direction
from seq2seq.data.filters import Filters
from seq2seq.data.manifest import Entry

MEASURED = 20_000  # pairs of a source whose lengths are measured; of a larger one every n-th pair
LIMITS = {"max_dropped", "max_contaminated", "min_kept"}  # settings that no shard depends on
LIBRARIES = ("ftfy", "py3langid")  # which filters call


def clean(params: Params) -> None:
    """Clean the mixture of sources into data/corpus.

    Raises UserError if there is no training pair, QualityError for a limit that is exceeded and not accepted.
    """
    began = time.monotonic()
    memory.keep_freed_memory()
    limits = acceptance.Limits("clean", paths.CLEAN_ACCEPTED)
    filters.check(params.clean)
    mixture = manifest.read()
    mixture.check()
    sides = direction.read(paths.MIXED)
    direction.write(paths.CORPUS, sides)
    every = (pair for source in mixture.sources for pair in _sample(source))
    chosen = Filters.measured(params.clean, sides, every)
    of_source = _of_each(params.clean, sides, mixture.sources, chosen)
    for side in chosen.unchecked():
        print(f"clean: the language of the {side} is not checked: {getattr(sides, side)}")
    sets, tallies = {}, []
    for name in ("validation", "test", *mixture.evaluation_sets):
        tallies.append(Tally(name, filters.NAMES))
        sets[name] = list(_counted(chosen, tallies[-1]))
        write_split(paths.CORPUS, name, sets[name])

    log = ContaminationLog(sets, params.clean.contamination_share)
    parts = cleaning.cut(mixture.sources)
    least, worst = params.score.min_log_probability, params.score.worst_share
    scored = scores.Scored.of(paths.SCORED, mixture.rows, least, worst)
    work = shard_folders.begin("clean", _fingerprint(params, mixture.sources, list(sets)))
    _clean_shards(parts, Cleaner(of_source, chosen, log, scored, REASONS, work))
    train, by_source = _merge(parts, work, log)
    values = scores.read(paths.SCORED) if params.clean.keep == "best_scored" else None
    written = write_tables(paths.CORPUS, "train", _without_duplicates(parts, work, train, by_source, values))
    found = log.report(params.clean.contamination)
    _report(train, by_source, tallies, found, of_source)
    if params.clean.contamination == "fail" and found["hits"]:
        limits.exceeded(clean_limits.contaminated(found))
    if not (kept := train.kept()):
        raise clean_limits.nothing_left(train)
    for failure in clean_limits.beyond_shares(train, params.clean):
        limits.exceeded(failure)
    limits.write()
    shard_folders.end("clean")

    print(
        f"clean: {kept:,} of {train.read:,} train pairs kept in {duration(time.monotonic() - began)}; "
        f"dropped: {train}; rewritten: {train.rewritten:,}"
    )
    if len(by_source) > 1:
        for name, tally in by_source.items():
            print(f"  {name}: {tally.kept():,} of {tally.read:,} kept; dropped: {tally}")
    if any(source.weight != 1.0 for source in mixture.sources):
        print(f"clean: by their weights the pairs kept are {written:,} in train")
    flagged = "; ".join(
        f"{tally.read:,} {tally.split} (flagged: {tally}; rewritten: {tally.rewritten:,})"
        for tally in tallies
    )
    print(f"clean: kept whole: {flagged}")
    if params.clean.contamination == "report" and found["hits"]:
        print(f"clean: left in train: {contamination_log.counts(found)}; see {paths.CONTAMINATION}")


def _of_each(
    params: Clean, sides: Direction, sources: Sequence[Entry], common: Filters
) -> dict[str, Filters]:
    """The filters of each source: `common`, or those of its own lengths and of `clean.by_source`."""
    if len(sources) == 1 and not params.by_source:
        return {sources[0].name: common}
    return {
        source.name: Filters.measured(params.of_source(source.name), sides, _sample(source))
        for source in sources
    }


def _counted(chosen: Filters, tally: Tally) -> Iterator[Pair]:
    """All pairs of an evaluation set, tidied if `tidy_evaluation`; counts the filters' hits."""
    pairs = list(read_split(paths.MIXED, tally.split))
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


def _sample(source: Entry) -> Iterator[Pair]:
    """All training pairs of a source, or of more than MEASURED every n-th one."""
    return sample(source.path, max(1, source.rows // MEASURED))


def _fingerprint(params: Params, sources: Sequence[Entry], sets: Sequence[str]) -> str:
    """40 hex digits over all that the shards depend on: settings, code, and files of the corpus."""
    settings = [
        params.clean.model_dump(exclude=LIMITS),
        params.score.min_log_probability,
        params.score.worst_share,
        [(source.name, source.sha256) for source in sources],  # compared with their files before
        cleaning.ROWS,
    ]
    code = [Path(__file__), *sorted(Path(cleaning.__file__).parent.glob("*.py"))]
    inputs = [paths.MIXED / direction.FILE, *(split_path(paths.MIXED, name) for name in sets)]
    inputs.append(paths.SCORED / scores.FILE)
    return shard_folders.fingerprint(settings, LIBRARIES, (*code, *filter(Path.is_file, inputs)))


def _clean_shards(parts: Sequence[Shard], cleaner: Cleaner) -> None:
    """Write the folders of the shards that have none yet."""
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


def _merge(parts: Sequence[Shard], work: Path, log: ContaminationLog) -> tuple[Tally, dict[str, Tally]]:
    """The counts of all shards and by source but for duplicates; adds their contamination to the log."""
    train = Tally("train", REASONS)
    by_source: dict[str, Tally] = {}
    for shard in parts:
        counts = cleaning.counts(shard, work)
        train.add(counts["tally"])
        by_source.setdefault(shard.source.name, Tally("train", REASONS)).add(counts["tally"])
        log.add(counts["log"])
    return train, by_source


def _without_duplicates(
    parts: Sequence[Shard],
    work: Path,
    train: Tally,
    by_source: Mapping[str, Tally],
    values: scores.Values | None,
) -> Iterator[pa.Table]:
    """The pairs of finished shards without duplicates, in order and by the weights of their sources.

    Of duplicates the first is kept, or with `values`, the scores of all rows, the best. Counts them, and
    the pairs rewritten.
    """
    digests = (cleaning.digests(shard, work) for shard in parts)
    best = None
    if values is not None:
        best = (values[cleaning.kept_pairs(shard, work).column("row").to_numpy()] for shard in parts)
    repeated = duplicates.find(digests, train.kept(), work / "digests", best)
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
        by_source[shard.source.name].hits["duplicate"] += int(again.sum())
        changes = np.bincount(table.column("change").to_numpy(), minlength=3)
        train.alignments_lost += int(changes[cleaning.UNALIGNED])
        train.rewritten += int(changes[cleaning.REWRITTEN] + changes[cleaning.UNALIGNED])
        table = table.select(SCHEMA.names)
        if shard.source.weight != 1.0:
            times = duplicates.times(cleaning.digests(shard, work)[~again], shard.source.weight)
            table = table.take(pa.array(np.repeat(np.arange(len(table)), times)))
        yield table
    train.hits["duplicate"] = repeated.total
    train.sample.sort(key=lambda entry: int(entry["row"]))


def _report(
    train: Tally,
    by_source: Mapping[str, Tally],
    evaluation: list[Tally],
    contamination: dict[str, Any],
    chosen: Mapping[str, Filters],
) -> None:
    """Write the counts of all splits, the contamination, and a sample of dropped (or flagged) pairs."""
    report: dict[str, Any] = {
        "train": {
            "read": train.read,
            "kept": train.kept(),
            "rewritten": train.rewritten,
            "alignments_lost": train.alignments_lost,
            "dropped": train.counts(),
            "sources": {
                name: {
                    "read": tally.read,
                    "kept": tally.kept(),
                    "dropped": {reason: count for reason, count in tally.counts().items() if count},
                    "typical_length_ratio": chosen[name].params.typical_length_ratio,
                }
                for name, tally in by_source.items()
            },
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
