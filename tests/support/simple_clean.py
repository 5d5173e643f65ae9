"""The rules of `clean` for train as one loop over all pairs, which are all in memory: the reference."""

from collections import Counter

from seq2seq.data.contamination import Index
from seq2seq.data.contamination_log import ContaminationLog, shown
from seq2seq.data.corpus import Pair, normalised
from seq2seq.data.filters import Filters

SAMPLED = 20


def clean(pairs, chosen: Filters, log: ContaminationLog, index: Index):
    """The pairs kept, the counts by reason, the sample of dropped pairs, and how many were rewritten."""
    kept, sample, seen = [], [], set()
    hits: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    for row, pair in enumerate(pairs):
        tidy = Pair(chosen.tidy(pair.source), chosen.tidy(pair.target))
        reason = chosen.reason(tidy.source, tidy.target)
        if reason is None and (found := index.match([tidy])[0]):
            reason = log.record(found, tidy, row)
            if chosen.params.contamination == "report":
                reason = None
        (identity,) = chosen.identities(normalised([tidy]))
        if reason is None and identity in seen:
            reason = "duplicate"
        if reason:
            hits[reason] += 1
            if hits[reason] <= SAMPLED:
                entry = {"split": "train", "row": row, "reason": reason}
                sample.append(entry | {"source": shown(pair.source), "target": shown(pair.target)})
            continue
        seen.add(identity)
        alignment = pair.alignment
        if tidy[:2] != pair[:2]:
            changed["rewritten"] += 1
            if any(len(a.split()) != len(b.split()) for a, b in zip(tidy[:2], pair[:2], strict=True)):
                changed["alignments_lost"] += alignment is not None
                alignment = None
        kept.append(Pair(tidy.source, tidy.target, alignment))
    return kept, hits, sample, changed
