"""Limits of `clean`: the share of train that filters may drop, and the errors that name figure and remedy.

Why: a filter that drops much of a corpus is more often set wrongly than right, and a run of hours on the rest
would hide it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seq2seq.common import paths
from seq2seq.common.errors import Figure, QualityError, UserError
from seq2seq.common.schema import Clean
from seq2seq.data import contamination_log, filters, scores
from seq2seq.data.cleaning import Tally
from seq2seq.data.contamination_log import EXACT, NEAR, shown

OF_ONE_PAIR = (*filters.NAMES, scores.REASON)
OF_THE_CORPUS = (EXACT, NEAR, "duplicate")  # reasons that depend on other pairs
REASONS = OF_ONE_PAIR + OF_THE_CORPUS
PRINTED, BRIEF = 3, 60  # dropped pairs in an error, and characters of a side there

REMEDIES = filters.REMEDIES | {
    scores.REASON: scores.REMEDY,
    EXACT: "the evaluation sets contain pairs of train: give splits that differ",
    NEAR: "the evaluation sets contain near duplicates of train: give splits that differ, or raise "
    "clean.contamination_share",
    "duplicate": "the corpus repeats pairs",
}


def beyond_shares(train: Tally, params: Clean) -> Iterator[QualityError]:
    """The limits exceeded: a filter or contamination drops more than its share, or too little is left.

    Exact duplicates are not counted, since a corpus may repeat itself; contamination has its own limit.
    """
    limits: list[tuple[tuple[str, ...], str, float]]
    limits = [((name,), "clean.max_dropped", params.max_dropped) for name in OF_ONE_PAIR]
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


def contaminated(found: dict[str, Any]) -> QualityError:
    """The error for contamination where none is allowed; `found` is the report of the log."""
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


def nothing_left(train: Tally) -> UserError:
    """The error for an empty train split; nobody can accept it, since there is nothing to train on."""
    if not train.read:
        return UserError("the sources have no training pair: is the path of each the right file?")
    reason, count = train.hits.most_common(1)[0]
    return QualityError(
        Figure("share of train kept", "0%", "at least one pair", "clean", REMEDIES[reason], acceptable=False),
        f"no training pair is left of {train.read:,}: {reason} dropped {count:,}; "
        f"{REMEDIES[reason]}{_samples(train, (reason,))}",
    )
