"""clean: data/raw -> data/corpus, reports/{cleaning,contamination}.json and reports/dropped.json (a sample).

Why: a model learns what its corpus shows, and a score means something only if no sentence of the
evaluation sets was trained on, nor nearly. Train is tidied, filtered, decontaminated and deduplicated,
in this order; the evaluation sets are tidied alike, since a model can match no reference in another Unicode
form, and there the filters only count. A filter that drops much of train stops the run.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.common.params import Clean, Params
from seq2seq.common.progress import Progress, duration
from seq2seq.data import direction, filters
from seq2seq.data.contamination import BATCH, Hit, Index
from seq2seq.data.corpus import Pair, count_pairs, digest, read_split, write_split

EXACT, NEAR = "contaminated_exact", "contaminated_near"
OF_THE_CORPUS = (EXACT, NEAR, "duplicate")  # reasons that are not of a pair alone
SAMPLED = 20  # dropped pairs shown, of each split and reason
LISTED = 50  # hits of contaminated pairs listed, of each set and kind
SHOWN = 300  # characters shown of a side
PRINTED, BRIEF = 3, 60  # dropped pairs in an error, and characters of a side there
MEASURED = 100_000  # pairs whose lengths are measured

REMEDIES = filters.REMEDIES | {
    EXACT: "the evaluation sets hold what train holds: give splits that differ",
    NEAR: "the evaluation sets hold nearly what train holds: give splits that differ, or raise "
    "clean.contamination_share",
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
            row = {"split": self.split, "row": self.read, "reason": reason}
            self.sample.append(row | {"source": _shown(pair.source), "target": _shown(pair.target)})

    def counts(self) -> dict[str, int]:
        """Hits by reason, zeros included."""
        return {reason: self.hits[reason] for reason in self.reasons}

    def __str__(self) -> str:
        said = ", ".join(f"{n:,} {reason}" for reason, n in self.counts().items() if n)
        return said or "none"


class Watch:
    """Holds training pairs against the evaluation sets, and notes which are too like one of them."""

    def __init__(self, sets: dict[str, list[Pair]], share: float) -> None:
        self._sets, self._share = sets, share
        self._index = Index(sets, share)
        self._rows: dict[str, set[int]] = {name: set() for name in sets}
        self._pairs = {name: {"pairs": 0, "exact": 0, "near": 0} for name in sets}
        self._hits: list[dict[str, Any]] = []
        self._listed: Counter[tuple[str, str]] = Counter()

    def hits(self, pairs: list[Pair]) -> list[list[Hit]]:
        """For each training pair the evaluation sentences that it is too like."""
        return self._index.match(pairs)

    def note(self, hits: list[Hit], pair: Pair, row: int) -> str:
        """Count the hits of a training pair and list them; returns the reason it would be dropped for."""
        for name in {hit.set for hit in hits}:
            self._pairs[name]["pairs"] += 1
            for kind in {hit.kind for hit in hits if hit.set == name}:  # of several sentences perhaps both
                self._pairs[name][kind] += 1
        for hit in hits:
            self._rows[hit.set].add(hit.row)
            self._list(hit, pair, row)
        return EXACT if any(hit.kind == "exact" for hit in hits) else NEAR

    def _list(self, hit: Hit, pair: Pair, row: int) -> None:
        self._listed[hit.set, hit.kind] += 1
        if self._listed[hit.set, hit.kind] <= LISTED:
            sentence = self._sets[hit.set][hit.row]
            self._hits.append(
                {
                    **hit._asdict(),
                    "share": round(hit.share, 4),
                    "train_row": row,
                    "train_source": _shown(pair.source),
                    "train_target": _shown(pair.target),
                    "source": _shown(sentence.source),
                    "target": _shown(sentence.target),
                }
            )

    def report(self, action: str) -> dict[str, Any]:
        """What reports/contamination.json says."""
        sets = {
            name: {"sentences": len(pairs), "contaminated": len(self._rows[name]), **self._pairs[name]}
            for name, pairs in self._sets.items()
        }
        return {"action": action, "share": self._share, "sets": sets, "hits": self._hits}


def clean(params: Params) -> None:
    """Clean data/raw into data/corpus.

    Raises UserError if no training pair is left, or one is contaminated where that is not allowed.
    """
    began = time.monotonic()
    filters.check(params.clean)
    settings = _with_ratio(params.clean)
    direction.write(paths.CORPUS, direction.read(paths.RAW))
    sets, tallies = {}, []
    for name in ("validation", "test", *params.ingest.evaluation_sets):
        tallies.append(Tally(name, filters.NAMES))
        sets[name] = list(_counted(settings, tallies[-1]))
        write_split(paths.CORPUS, name, sets[name])

    watch = Watch(sets, params.clean.contamination_share)
    train = Tally("train", filters.NAMES + OF_THE_CORPUS)
    with Progress("clean", "pairs", count_pairs(paths.RAW, "train")) as progress:
        pairs = progress.over(read_split(paths.RAW, "train"))
        kept = write_split(paths.CORPUS, "train", _fit(pairs, settings, watch, train))
    found = watch.report(params.clean.contamination)
    _report(train, tallies, found, settings)
    if params.clean.contamination == "fail" and found["hits"]:
        raise UserError(_refused(found))
    if not kept:
        raise UserError(_nothing_left(train))
    _check_shares(train, params.clean)

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
        print(f"clean: left in train: {_counts(found)}; see {paths.CONTAMINATION}")


def _counted(params: Clean, tally: Tally) -> Iterator[Pair]:
    """All pairs of an evaluation set, tidied if `tidy_evaluation`, with what the filters find counted."""
    for pair in read_split(paths.RAW, tally.split):
        source = filters.tidy(pair.source, params.unicode_form)
        target = filters.tidy(pair.target, params.unicode_form)
        if reason := filters.reason(source, target, params):
            tally.hit(reason, pair)
        tally.read += 1
        yield _rewritten(pair, source, target, tally) if params.tidy_evaluation else pair


def _with_ratio(params: Clean) -> Clean:
    """The settings with a typical ratio of lengths: where none is named, the median of train's pairs.

    Half of the pairs may be wrong before it moves far. Of a large corpus every n-th pair is measured.
    """
    if params.typical_length_ratio is not None:
        return params
    step = max(1, count_pairs(paths.RAW, "train") // MEASURED)
    ratios = []
    for pair in islice(read_split(paths.RAW, "train"), 0, None, step):
        source, target = (filters.tidy(text, params.unicode_form) for text in pair[:2])
        if source and target:
            ratios.append(len(target) / len(source))
    ratio = round(statistics.median(ratios), 3) if ratios else 1.0
    return params.model_copy(update={"typical_length_ratio": max(ratio, 0.001)})


def _fit(pairs: Iterable[Pair], params: Clean, watch: Watch, tally: Tally) -> Iterator[Pair]:
    """Of train's pairs those fit to train on, tidied, in order.

    Of each pair kept, 64 bits are remembered: about 100 bytes of memory a pair in a Python set.
    """
    seen: set[int] = set()
    pairs = iter(pairs)
    while batch := list(islice(pairs, BATCH)):
        form = params.unicode_form
        tidied = [Pair(filters.tidy(pair.source, form), filters.tidy(pair.target, form)) for pair in batch]
        reasons = [filters.reason(tidy.source, tidy.target, params) for tidy in tidied]
        # Only what the filters leave is compared: a whole book on one line would take hours.
        fit = [tidy for tidy, reason in zip(tidied, reasons, strict=True) if reason is None]
        found = iter(watch.hits(fit))
        for pair, tidy, reason in zip(batch, tidied, reasons, strict=True):
            if reason is None and (hits := next(found)):
                contaminated = watch.note(hits, tidy, tally.read)
                reason = None if params.contamination == "report" else contaminated
            if reason is None:
                both = (digest(tidy.source) * 3 + digest(tidy.target)) % 2**64  # (a, b) differs from (b, a)
                reason = "duplicate" if both in seen else None
                seen.add(both)
            if reason:
                tally.hit(reason, pair)
            else:
                yield _rewritten(pair, tidy.source, tidy.target, tally)
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


def _report(train: Tally, evaluation: list[Tally], contamination: dict[str, Any], settings: Clean) -> None:
    """Write the counts of all splits, what is contaminated, and a sample of dropped (or flagged) pairs."""
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


def _refused(found: dict[str, Any]) -> str:
    first = found["hits"][0]
    sentence = {name: first[name] for name in ("source", "target")}
    return (
        f"{_counts(found)}, e.g. pair {first['train_row']:,} of train, {first['train_source']!r} → "
        f"{first['train_target']!r}, is {sentence['source']!r} → {sentence['target']!r} of {first['set']} "
        f"(all in {paths.CONTAMINATION}); give sets that differ, or set clean.contamination: drop"
    )


def _counts(found: dict[str, Any]) -> str:
    """How many training pairs are contaminated, by set."""
    sets = ((name, one) for name, one in found["sets"].items() if one["pairs"])
    return ", ".join(
        f"{one['pairs']:,} of train too like {one['contaminated']:,} of {name}" for name, one in sets
    )


def _shown(text: str, most: int = SHOWN) -> str:
    return text if len(text) <= most else text[:most] + "…"


def _check_shares(train: Tally, params: Clean) -> None:
    """Raise UserError if a filter or contamination dropped more than its limit, or too little is left.

    Exact duplicates count for neither, since a corpus may repeat itself; contamination has its own limit.
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
                f"{REMEDIES[max(reasons, key=train.hits.__getitem__)]}; if they are to go, raise {key}"
                f"{_samples(train, reasons)}"
            )
    judged = train.read - sum(train.hits[reason] for reason in OF_THE_CORPUS)
    kept = train.read - train.hits.total()
    if kept < params.min_kept * judged:
        raise UserError(
            f"only {kept:,} of {judged:,} train pairs ({kept / judged:.0%}, duplicates and contamination "
            f"aside) are left, clean.min_kept asks for {params.min_kept:.0%}; dropped: {train}; if that is "
            f"right, lower clean.min_kept{_samples(train, train.reasons)}"
        )


def _samples(train: Tally, reasons: tuple[str, ...]) -> str:
    """The first dropped pairs, a line each, and where there are more."""
    found = [row for row in train.sample if row["reason"] in reasons][:PRINTED]
    lines = (
        f"\n  {row['reason']}: {_shown(row['source'], BRIEF)} → {_shown(row['target'], BRIEF)}"
        for row in found
    )
    return "".join(lines) + f"\n  more of them: {paths.DROPPED}"


def _nothing_left(train: Tally) -> str:
    if not train.read:
        return f"{paths.RAW} has no training pair: is ingest.path the file that was meant?"
    reason, count = train.hits.most_common(1)[0]
    return (
        f"no training pair is left of {train.read:,}: {reason} dropped {count:,}; "
        f"{REMEDIES[reason]}{_samples(train, (reason,))}"
    )
