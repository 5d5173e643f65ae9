"""Two profiles of corpora compared: the distributions that moved, and by how much.

Why: one measure for all distributions allows one limit. It is the Jensen-Shannon divergence with logarithms
to base 2 (Lin 1991): 0 for equal distributions, 1 for disjoint ones, defined where a category is missing.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from seq2seq.data.direction import SIDES

ALL = "all sources"
OTHER = "(others)"  # those that a profile does not name; no word has brackets
SHOWN = 3  # categories of a figure that changed most

Shares = Mapping[str, float]


class Move(NamedTuple):
    """One figure of both corpora: a distribution with its `divergence`, or a share with None."""

    scope: str  # a source, or all of them
    side: str  # empty for figures of both
    figure: str
    divergence: float | None
    change: str  # the categories that changed most, before → after

    @property
    def name(self) -> str:
        """The figure with side and scope."""
        return " ".join(part for part in (self.figure, self.side and f"of {self.side}") if part) + (
            "" if self.scope == ALL else f", {self.scope}"
        )


def divergence(one: Shares, other: Shares) -> float:
    """The Jensen-Shannon divergence of two distributions, in bits."""
    total = 0.0
    for category in one.keys() | other.keys():
        p, q = one.get(category, 0.0), other.get(category, 0.0)
        middle = (p + q) / 2
        total += sum(share * math.log2(share / middle) for share in (p, q) if share > 0) / 2
    return min(max(total, 0.0), 1.0)


def compare(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Move]:
    """All figures of a profile against those of an earlier one, the largest divergence first."""
    moves = list(_of_sources(ours, theirs, ALL))
    both = ours["sources"].keys() & theirs["sources"].keys()
    if len(ours["sources"]) > 1 or len(theirs["sources"]) > 1:
        mixed = (_normal({name: one["pairs"] for name, one in p["sources"].items()}) for p in (theirs, ours))
        moves.append(_move(ALL, "", "sources", *mixed))
        for name in sorted(both):
            mine, other = ({**p, "sources": {name: p["sources"][name]}} for p in (ours, theirs))
            moves += _of_sources(mine, other, name)
    moves += _of_shares(ours, theirs)
    return sorted(moves, key=lambda move: 1.0 if move.divergence is None else -move.divergence)


def largest(moves: Sequence[Move]) -> Move | None:
    """The move with the largest divergence; None without one."""
    found = [move for move in moves if move.divergence is not None]
    return max(found, key=lambda move: move.divergence or 0.0, default=None)


def _of_sources(ours: Mapping[str, Any], theirs: Mapping[str, Any], scope: str) -> Iterator[Move]:
    yield _move(scope, "", "ratio of lengths", *(_bins(p, "ratio") for p in (theirs, ours)))
    for side in SIDES:
        for name in ("characters", "words"):
            yield _move(scope, side, f"length in {name}", *(_bins(p, name, side) for p in (theirs, ours)))
        for name in ("languages", "scripts"):
            yield _move(scope, side, name, *(_named(p, name, side) for p in (theirs, ours)))
        for name, key in (("letters", "alphabet"), ("frequent words", "frequent")):
            before, after = (_most(p, key, side) for p in (theirs, ours))
            yield _move(scope, side, name, *_aligned(before, after))


def _of_shares(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Move]:
    for side in SIDES:
        before, after = (_repeated(p, side) for p in (theirs, ours))
        yield Move(ALL, side, "repeated texts", None, _arrow(before, after))
        for split in sorted(ours["unknown"].keys() & theirs["unknown"].keys()):
            old, new = (p["unknown"][split][side] for p in (theirs, ours))
            yield Move(ALL, side, f"words of {split} not in train", None, _arrow(old["words"], new["words"]))


def _move(scope: str, side: str, figure: str, before: Shares, after: Shares) -> Move:
    changed = sorted(
        before.keys() | after.keys(), key=lambda c: (-abs(after.get(c, 0.0) - before.get(c, 0.0)), c)
    )
    shown = [f"{c} {_arrow(before.get(c, 0.0), after.get(c, 0.0))}" for c in changed[:SHOWN]]
    return Move(scope, side, figure, round(divergence(before, after), 4), ", ".join(shown))


def _arrow(before: float, after: float) -> str:
    return f"{100 * before:.1f} % → {100 * after:.1f} %"


def _normal(counts: Mapping[str, float]) -> Shares:
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()} if total else {}


def _bins(profile: Mapping[str, Any], name: str, side: str = "") -> Shares:
    """A histogram over all sources, its bins named by their edges."""
    edges = [*(f"{edge:g}" for edge in profile["bins"][name]), "…"]
    counts: Counter[str] = Counter()
    for source in profile["sources"].values():
        found = source[side][name]["counts"] if side else source[name]
        for low, high, count in zip(edges, edges[1:], found, strict=False):
            counts[f"{low} to {high}"] += count
    return _normal(counts)


def _named(profile: Mapping[str, Any], name: str, side: str) -> Shares:
    """Shares by name over all sources, each source weighted by its pairs."""
    counts: defaultdict[str, float] = defaultdict(float)
    for source in profile["sources"].values():
        found = source[side][name]
        for label, share in _normal(found.get("counts", found)).items():
            counts[label] += share * source["pairs"]
    return _normal(counts)


def _most(profile: Mapping[str, Any], name: str, side: str) -> Shares:
    """Shares of the most frequent over all sources, and of the others together."""
    counts: Counter[str] = Counter()
    total = 0
    for source in profile["sources"].values():
        counts.update(source[side][name]["counts"])
        total += source[side][name]["total"]
    return _normal({**counts, OTHER: max(total - counts.total(), 0)})


def _aligned(*both: Shares) -> tuple[Shares, Shares]:
    """Two distributions of the most frequent, where one may name a category that the other does not.

    Its share there is at most that of the rarest one named: the larger it is taken, the smaller the
    divergence, so that a category at the end of one list does not count as vanished.
    """
    result = []
    for mine, other in (both, both[::-1]):
        shares, rest = dict(mine), mine.get(OTHER, 0.0)
        rarest = min((share for name, share in mine.items() if name != OTHER), default=0.0)
        for name in sorted(other.keys() - mine.keys()):
            shares[name] = min(rarest, other[name], rest)
            rest -= shares[name]
        result.append({**shares, OTHER: rest})
    return result[0], result[1]


def _repeated(profile: Mapping[str, Any], side: str) -> float:
    """The share of repeated texts over all sources, each source weighted by its pairs."""
    sources = profile["sources"].values()
    pairs = sum(int(source["pairs"]) for source in sources)
    repeated: float = sum(source["pairs"] * source[side]["repeated"] for source in sources)
    return repeated / max(pairs, 1)
