"""Records the training pairs that are too similar to evaluation sets, for reports/contamination.json.

Why: a person decides by examples whether the sets or the corpus are to be changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from seq2seq.common import paths
from seq2seq.data.contamination import BATCH, Hit, Index
from seq2seq.data.corpus import Pair

EXACT, NEAR = "contaminated_exact", "contaminated_near"
LISTED = 50  # hits of contaminated pairs reported, of each set and kind
SHOWN = 300  # characters reported of a side


class ContaminationLog:
    """Compares training pairs with the evaluation sets, and records those that are too similar."""

    def __init__(self, sets: dict[str, list[Pair]], share: float, index: Index | None = None) -> None:
        self._sets, self._share = sets, share
        self._index = index or Index(sets, share)
        self._rows: dict[str, set[int]] = {name: set() for name in sets}
        self._pairs = {name: {"pairs": 0, "exact": 0, "near": 0} for name in sets}
        self._hits: list[dict[str, Any]] = []
        self._listed: Counter[tuple[str, str]] = Counter()
        self._known = self._index.known()

    def blank(self) -> ContaminationLog:
        """A log without records, with the same index."""
        return ContaminationLog(self._sets, self._share, self._index)

    def state(self) -> dict[str, Any]:
        """All records, as JSON can hold them."""
        rows = {name: sorted(found) for name, found in self._rows.items()}
        return {"rows": rows, "pairs": self._pairs, "hits": self._hits}

    def add(self, state: dict[str, Any]) -> None:
        """Add the records of later rows, by the `state` of their log."""
        for name, counts in state["pairs"].items():
            self._rows[name].update(state["rows"][name])
            for kind, count in counts.items():
                self._pairs[name][kind] += count
        for hit in state["hits"]:
            self._listed[hit["set"], hit["kind"]] += 1
            if self._listed[hit["set"], hit["kind"]] <= LISTED:
                self._hits.append(hit)

    def reasons(self, forms: Sequence[Pair], pairs: Sequence[Pair], rows: Sequence[int]) -> list[str | None]:
        """Record the training pairs that are too similar to evaluation sentences: their reasons, else None.

        `forms` are the normalised pairs, which are compared.
        """
        found: list[str | None] = []
        for first in range(0, len(pairs), BATCH):
            for hits in self._index.match_new(forms[first : first + BATCH], self._known):
                at = len(found)
                found.append(self.record(hits, pairs[at], rows[at]) if hits else None)
        return found

    def compared(self) -> int:
        """The number of pairs of a text and a sentence, so far, whose common runs were searched for."""
        return self._index.compared()

    def record(self, hits: list[Hit], pair: Pair, row: int) -> str:
        """Count and list the hits of a training pair; returns the reason for dropping it."""
        for name in {hit.set for hit in hits}:
            self._pairs[name]["pairs"] += 1
            for kind in {hit.kind for hit in hits if hit.set == name}:  # may be both
                self._pairs[name][kind] += 1
        for hit in hits:
            self._rows[hit.set].add(hit.row)
            self._known.add(hit.set, hit.row)
            self._list(hit, pair, row)
        return EXACT if any(hit.kind == "exact" for hit in hits) else NEAR

    def _list(self, hit: Hit, pair: Pair, row: int) -> None:
        self._listed[hit.set, hit.kind] += 1
        if self._listed[hit.set, hit.kind] == LISTED:
            self._known.enough(hit.set, hit.kind)
        if self._listed[hit.set, hit.kind] <= LISTED:
            sentence = self._sets[hit.set][hit.row]
            self._hits.append(
                {
                    **hit._asdict(),
                    "share": round(hit.share, 4),
                    "train_row": row,
                    "train_source": shown(pair.source),
                    "train_target": shown(pair.target),
                    "source": shown(sentence.source),
                    "target": shown(sentence.target),
                }
            )

    def report(self, action: str) -> dict[str, Any]:
        """The contents of reports/contamination.json."""
        sets = {
            name: {"sentences": len(pairs), "contaminated": len(self._rows[name]), **self._pairs[name]}
            for name, pairs in self._sets.items()
        }
        return {"action": action, "share": self._share, "sets": sets, "hits": self._hits}


def refused(found: dict[str, Any]) -> str:
    """The error where contamination is not allowed, from a report."""
    first = found["hits"][0]
    sentence = {name: first[name] for name in ("source", "target")}
    return (
        f"{counts(found)}, e.g. pair {first['train_row']:,} of train, {first['train_source']!r} → "
        f"{first['train_target']!r}, is {sentence['source']!r} → {sentence['target']!r} of {first['set']} "
        f"(all in {paths.CONTAMINATION}); give sets that differ, or set clean.contamination: drop"
    )


def counts(found: dict[str, Any]) -> str:
    """The numbers of contaminated training pairs, by set."""
    sets = ((name, one) for name, one in found["sets"].items() if one["pairs"])
    return ", ".join(
        f"{one['pairs']:,} of train too similar to {one['contaminated']:,} of {name}" for name, one in sets
    )


def shown(text: str, most: int = SHOWN) -> str:
    """The first characters of a text."""
    return text if len(text) <= most else text[:most] + "…"
