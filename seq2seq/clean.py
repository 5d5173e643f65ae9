"""clean: data/raw -> data/corpus, reports/cleaning.json and reports/dropped.json (a sample).

Why: a model learns what its corpus shows, and a score means something only if no sentence of the
evaluation splits was trained on. Train is tidied, filtered, decontaminated and deduplicated, in
this order; validation and test pass untouched, and there the filters only count.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from seq2seq import filters, paths
from seq2seq.corpus import Pair, count_pairs, digest, read_split, write_split
from seq2seq.errors import UserError
from seq2seq.params import Clean, Params
from seq2seq.progress import Progress, duration

EVALUATION = ("validation", "test")
OF_THE_CORPUS = ("source_in_evaluation", "target_in_evaluation", "duplicate")  # not of a pair alone
SAMPLED = 20  # dropped pairs shown, of each split and reason
SHOWN = 300  # characters shown of a side

REMEDIES = filters.REMEDIES | {
    "source_in_evaluation": "validation and test hold what train holds: give splits that differ",
    "target_in_evaluation": "validation and test hold what train holds: give splits that differ",
    "duplicate": "the corpus says one pair again and again",
}


@dataclass
class Tally:
    """What happened to the pairs of one split."""

    split: str
    reasons: tuple[str, ...]
    read: int = 0
    rewritten: int = 0
    alignments_lost: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    sample: list[dict[str, Any]] = field(default_factory=list)

    def hit(self, reason: str, pair: Pair) -> None:
        """Count a pair that `reason` drops (of an evaluation split: would drop)."""
        self.hits[reason] += 1
        if self.hits[reason] <= SAMPLED:
            source, target = (text if len(text) <= SHOWN else text[:SHOWN] + "…" for text in pair[:2])
            row = {"split": self.split, "row": self.read, "reason": reason}
            self.sample.append(row | {"source": source, "target": target})

    def counts(self) -> dict[str, int]:
        """Hits by reason, zeros included."""
        return {reason: self.hits[reason] for reason in self.reasons}

    def __str__(self) -> str:
        said = ", ".join(f"{n:,} {reason}" for reason, n in self.counts().items() if n)
        return said or "none"


@dataclass
class Digests:
    """64 bits for each source and each target of the evaluation splits, raw and tidied."""

    sources: set[int] = field(default_factory=set)
    targets: set[int] = field(default_factory=set)


def clean(params: Params) -> None:
    """Clean data/raw into data/corpus; raises UserError if no training pair is left."""
    began = time.monotonic()
    filters.check(params.clean)
    evaluation = Digests()
    tallies = []
    for split in EVALUATION:
        tallies.append(Tally(split, filters.NAMES))
        write_split(paths.CORPUS, split, _untouched(params.clean, evaluation, tallies[-1]))

    train = Tally("train", filters.NAMES + OF_THE_CORPUS)
    with Progress("clean", "pairs", count_pairs(paths.RAW, "train")) as progress:
        pairs = progress.over(read_split(paths.RAW, "train"))
        kept = write_split(paths.CORPUS, "train", _fit(pairs, params.clean, evaluation, train))
    _report(train, tallies)
    if not kept:
        raise UserError(_nothing_left(train))

    seconds = time.monotonic() - began
    print(
        f"clean: {kept:,} of {train.read:,} train pairs kept in {duration(seconds)}; "
        f"dropped: {train}; rewritten: {train.rewritten:,}"
    )
    said = "; ".join(f"{tally.read:,} {tally.split} (flagged: {tally})" for tally in tallies)
    print(f"clean: untouched: {said}")


def _untouched(params: Clean, digests: Digests, tally: Tally) -> Iterator[Pair]:
    """The pairs of an evaluation split as they are, counted, their digests added to `digests`."""
    for pair in read_split(paths.RAW, tally.split):
        source = filters.tidy(pair.source, params.unicode_form)
        target = filters.tidy(pair.target, params.unicode_form)
        # Train is compared as tidied, `evaluate` compares what lies on disk: neither may find any.
        digests.sources |= {digest(pair.source), digest(source)}
        digests.targets |= {digest(pair.target), digest(target)}
        if reason := filters.reason(source, target, params):
            tally.hit(reason, pair)
        tally.read += 1
        yield pair


def _fit(pairs: Iterable[Pair], params: Clean, evaluation: Digests, tally: Tally) -> Iterator[Pair]:
    """Of train's pairs those fit to train on, tidied, in order.

    Of each pair kept, 64 bits are remembered: about 100 bytes of memory a pair in a Python set.
    """
    seen: set[int] = set()
    for pair in pairs:
        source = filters.tidy(pair.source, params.unicode_form)
        target = filters.tidy(pair.target, params.unicode_form)
        reason = filters.reason(source, target, params)
        if reason is None:
            source_digest, target_digest = digest(source), digest(target)
            both = (source_digest * 3 + target_digest) % 2**64  # (a, b) differs from (b, a)
            if source_digest in evaluation.sources:
                reason = "source_in_evaluation"
            elif target_digest in evaluation.targets:
                reason = "target_in_evaluation"
            elif both in seen:
                reason = "duplicate"
            else:
                seen.add(both)
        if reason:
            tally.hit(reason, pair)
        else:
            yield _rewritten(pair, source, target, tally)
        tally.read += 1


def _rewritten(pair: Pair, source: str, target: str, tally: Tally) -> Pair:
    """The tidied pair; its alignment counts words, so another number of words makes it unknown."""
    if source == pair.source and target == pair.target:
        return pair
    tally.rewritten += 1
    alignment = pair.alignment
    if alignment is not None and (
        len(source.split()) != len(pair.source.split()) or len(target.split()) != len(pair.target.split())
    ):
        tally.alignments_lost += 1
        alignment = None
    return Pair(source, target, alignment)


def _report(train: Tally, evaluation: list[Tally]) -> None:
    """Write the counts of all splits and the sample of dropped (or flagged) pairs."""
    report: dict[str, Any] = {
        "train": {
            "read": train.read,
            "kept": train.read - train.hits.total(),
            "rewritten": train.rewritten,
            "alignments_lost": train.alignments_lost,
            "dropped": train.counts(),
        }
    }
    for tally in evaluation:
        report[tally.split] = {"read": tally.read, "kept": tally.read, "flagged": tally.counts()}
    paths.REPORTS.mkdir(parents=True, exist_ok=True)
    paths.CLEANING.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    dropped = [
        row
        for tally in (train, *evaluation)
        for row in sorted(tally.sample, key=lambda row: tally.reasons.index(row["reason"]))
    ]
    text = json.dumps(dropped, ensure_ascii=False, indent=1)
    paths.DROPPED.write_text(text + "\n", encoding="utf-8")


def _nothing_left(train: Tally) -> str:
    if not train.read:
        return f"{paths.RAW} has no training pair: is ingest.path the file that was meant?"
    reason, count = train.hits.most_common(1)[0]
    return (
        f"no training pair is left of {train.read:,}: {reason} dropped {count:,} "
        f"(samples in {paths.DROPPED}); {REMEDIES[reason]}"
    )
