"""clean: data/{mixed,raw} -> data/corpus, reports/{cleaning,contamination}.json, reports/dropped.json.

Why: errors in the corpus are learnt, and a score is valid only if no sentence of the evaluation sets is in
train, exactly or nearly. Train is tidied, filtered, decontaminated and deduplicated, in this order. The
evaluation sets are tidied too, since a model cannot match references in another Unicode form; there the
filters only count. A filter that drops much of train stops the run.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from seq2seq.common import acceptance, paths
from seq2seq.common.errors import Figure, QualityError, UserError
from seq2seq.common.params import Clean, Params
from seq2seq.common.progress import Progress, duration
from seq2seq.data import contamination_log, direction, filters, manifest, scores
from seq2seq.data.contamination import BATCH
from seq2seq.data.contamination_log import EXACT, NEAR, ContaminationLog, shown
from seq2seq.data.corpus import Pair, read_split, write_split

OF_THE_CORPUS = (EXACT, NEAR, "duplicate")  # reasons that depend on other pairs
SAMPLED = 20  # dropped pairs reported, of each split and reason
PRINTED, BRIEF = 3, 60  # dropped pairs in an error, and characters of a side there
MEASURED = 100_000  # pairs whose lengths are measured; of a larger corpus every n-th one

OF_TRAIN = (*filters.NAMES, scores.REASON)  # reasons that depend on one pair
REMEDIES = filters.REMEDIES | {
    scores.REASON: scores.REMEDY,
    EXACT: "the evaluation sets contain pairs of train: give splits that differ",
    NEAR: "the evaluation sets contain near duplicates of train: give splits that differ, or raise "
    "clean.contamination_share",
    "duplicate": "the corpus repeats pairs",
}


@dataclass
class Tally:
    """Counts of the pairs of one split, with a sample of those that are dropped."""

    split: str
    reasons: tuple[str, ...]
    read: int = 0
    rewritten: int = 0
    alignments_lost: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    sample: list[dict[str, Any]] = field(default_factory=list)

    def count(self, reason: str, pair: Pair) -> None:
        """Count a pair that `reason` drops (of an evaluation split: would drop)."""
        self.hits[reason] += 1
        if self.hits[reason] <= SAMPLED:
            row = {"split": self.split, "row": self.read, "reason": reason}
            self.sample.append(row | {"source": shown(pair.source), "target": shown(pair.target)})

    def counts(self) -> dict[str, int]:
        """Hits by reason, zeros included."""
        return {reason: self.hits[reason] for reason in self.reasons}

    def __str__(self) -> str:
        counts = ", ".join(f"{n:,} {reason}" for reason, n in self.counts().items() if n)
        return counts or "none"


def clean(params: Params) -> None:
    """Clean the mixture of sources into data/corpus.

    Raises UserError if there is no training pair, QualityError for a limit that is exceeded and not accepted.
    """
    began = time.monotonic()
    limits = acceptance.Limits("clean", paths.CLEAN_ACCEPTED)
    filters.check(params.clean)
    mixture = manifest.read()
    mixture.check()
    sides = direction.read(paths.MIXED)
    direction.write(paths.CORPUS, sides)
    step = max(1, mixture.rows // MEASURED)
    sample = islice(mixture.train(), 0, None, step)
    chosen = filters.Filters.measured(params.clean, sides, sample)
    for side in chosen.unchecked():
        print(f"clean: the language of the {side} is not checked: {getattr(sides, side)}")
    sets, tallies = {}, []
    for name in ("validation", "test", *mixture.evaluation_sets):
        tallies.append(Tally(name, filters.NAMES))
        sets[name] = list(_counted(chosen, tallies[-1]))
        write_split(paths.CORPUS, name, sets[name])

    log = ContaminationLog(sets, params.clean.contamination_share)
    train = Tally("train", OF_TRAIN + OF_THE_CORPUS)
    rows = mixture.rows
    least, worst = params.score.min_log_probability, params.score.worst_share
    scored = scores.Scored.of(paths.SCORED, rows, least, worst)
    with Progress("clean", "pairs", rows) as progress:
        pairs = progress.over(mixture.train())
        kept = write_split(paths.CORPUS, "train", _clean_train(pairs, chosen, scored.rows(), log, train))
    found = log.report(params.clean.contamination)
    _report(train, tallies, found, chosen.params)
    if params.clean.contamination == "fail" and found["hits"]:
        limits.exceeded(_contaminated(found))
    if not kept:
        raise _nothing_left(train)
    for failure in _beyond_shares(train, params.clean):
        limits.exceeded(failure)
    limits.write()

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
    for pair in read_split(paths.MIXED, tally.split):
        source, target = chosen.tidy(pair.source), chosen.tidy(pair.target)
        if reason := chosen.reason(source, target):
            tally.count(reason, pair)
        tally.read += 1
        yield _rewritten(pair, source, target, tally) if chosen.params.tidy_evaluation else pair


def _clean_train(
    pairs: Iterable[Pair],
    chosen: filters.Filters,
    improbable: Iterator[bool],  # of each pair: its score is below the limit
    log: ContaminationLog,
    tally: Tally,
) -> Iterator[Pair]:
    """The tidied pairs of train that are neither dropped nor duplicates, in order.

    Stores 64 bits of each pair kept: about 100 bytes of memory a pair in a Python set.
    """
    seen: set[int] = set()
    params = chosen.params
    pairs = iter(pairs)
    while batch := list(islice(pairs, BATCH)):
        tidied = [Pair(chosen.tidy(pair.source), chosen.tidy(pair.target)) for pair in batch]
        low = islice(improbable, len(batch))
        reasons = [
            chosen.reason(tidy.source, tidy.target) or (scores.REASON if drop else None)
            for tidy, drop in zip(tidied, low, strict=True)
        ]
        # Pairs that a filter drops are not compared: a whole book on one line would take hours.
        kept = [tidy for tidy, reason in zip(tidied, reasons, strict=True) if reason is None]
        found = iter(log.hits(kept))
        for pair, tidy, reason in zip(batch, tidied, reasons, strict=True):
            if reason is None and (hits := next(found)):
                contaminated = log.record(hits, tidy, tally.read)
                reason = None if params.contamination == "report" else contaminated
            if reason is None:
                key = chosen.identity(tidy)
                reason = "duplicate" if key in seen else None
                seen.add(key)
            if reason:
                tally.count(reason, pair)
            else:
                yield _rewritten(pair, tidy.source, tidy.target, tally)
            tally.read += 1


def _rewritten(pair: Pair, source: str, target: str, tally: Tally) -> Pair:
    """The tidied pair, without its alignment if the number of words has changed."""
    if source == pair.source and target == pair.target:
        return pair
    tally.rewritten += 1
    alignment = pair.alignment
    if alignment is not None and (
        len(source.split()) != len(pair.source.split()) or len(target.split()) != len(pair.target.split())
    ):
        tally.alignments_lost += 1
        alignment = None
    return Pair(source, target, alignment, pair.origin)


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


def _beyond_shares(train: Tally, params: Clean) -> Iterator[QualityError]:
    """The limits exceeded: a filter or contamination drops more than its share, or too little is left.

    Exact duplicates are not counted, since a corpus may repeat itself; contamination has its own limit.
    """
    limits: list[tuple[tuple[str, ...], str, float]]
    limits = [((name,), "clean.max_dropped", params.max_dropped) for name in OF_TRAIN]
    limits.append(((EXACT, NEAR), "clean.max_contaminated", params.max_contaminated))
    for reasons, key, limit in limits:
        count = sum(train.hits[reason] for reason in reasons)
        if count > limit * train.read:
            name, share = " and ".join(reasons), f"{count / train.read:.0%}"
            remedy = f"{REMEDIES[max(reasons, key=train.hits.__getitem__)]}; if that is right, raise {key}"
            yield QualityError(
                Figure(f"share of train dropped by {name}", share, f"{limit:.0%}", key, remedy),
                f"{name}: {count:,} of {train.read:,} train pairs ({share}) would be dropped, "
                f"{key} allows {limit:.0%}; {remedy}{_samples(train, reasons)}",
            )
    counted = train.read - sum(train.hits[reason] for reason in OF_THE_CORPUS)
    kept = train.read - train.hits.total()
    if kept < params.min_kept * counted:
        share, remedy = f"{kept / counted:.0%}", "if that is right, lower clean.min_kept"
        yield QualityError(
            Figure("share of train kept", share, f"{params.min_kept:.0%}", "clean.min_kept", remedy),
            f"only {kept:,} of {counted:,} train pairs ({share}, duplicates and contamination "
            f"aside) are left, clean.min_kept is {params.min_kept:.0%}; dropped: {train}; "
            f"{remedy}{_samples(train, train.reasons)}",
        )


def _contaminated(found: dict[str, Any]) -> QualityError:
    remedy = "give splits that differ, or set clean.contamination=drop"
    counts = contamination_log.counts(found)
    figure = Figure("contamination of train", counts, "none", "clean.contamination", remedy)
    return QualityError(figure, contamination_log.refused(found))


def _samples(train: Tally, reasons: tuple[str, ...]) -> str:
    """The first dropped pairs, a line each, and the file with more."""
    found = [row for row in train.sample if row["reason"] in reasons][:PRINTED]
    lines = (
        f"\n  {row['reason']}: {shown(row['source'], BRIEF)} → {shown(row['target'], BRIEF)}" for row in found
    )
    return "".join(lines) + f"\n  more of them: {paths.DROPPED}"


def _nothing_left(train: Tally) -> UserError:
    """The error for an empty train split; nobody can accept it, since there is nothing to train on."""
    if not train.read:
        return UserError("the sources have no training pair: is the path of each the right file?")
    reason, count = train.hits.most_common(1)[0]
    return QualityError(
        Figure("share of train kept", "0%", "at least one pair", "clean", REMEDIES[reason], acceptable=False),
        f"no training pair is left of {train.read:,}: {reason} dropped {count:,}; "
        f"{REMEDIES[reason]}{_samples(train, (reason,))}",
    )
