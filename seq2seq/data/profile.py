"""A corpus in figures, by source and side: reports/profile.json.

Why: a corpus that changes unnoticed changes the model. Two profiles are compared without their corpora, since
the bins are fixed and frequent characters and words are named. The same corpus gives the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.data import identify, quality, words
from seq2seq.data.corpus import read_split
from seq2seq.data.direction import SIDES, Direction, Side
from seq2seq.data.profile_counts import RATIOS, SideCounts, SourceCounts, first

# Lower edges of the bins; the last bin has no upper edge.
CHARACTERS = (0, 10, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 1000)
WORDS = (0, 3, 5, 7, 10, 15, 20, 25, 30, 40, 60, 100)
EDGES: Mapping[str, Sequence[float]] = {"characters": CHARACTERS, "words": WORDS}
LETTERS, FREQUENT = 100, 200  # characters and words named

Profile = dict[str, Any]
WordCounts = dict[str, Counter[str]]  # by side


def of_counts(
    sources: Mapping[str, SourceCounts],
    direction: Direction,
    coverage: Mapping[str, Any],
    others: Mapping[str, WordCounts],
    unseen: Mapping[str, Set[str]],
) -> Profile:
    """The profile of a corpus: train by source, and the share of the `others` splits unknown to train.

    `coverage` is that of reports/tokenizer.json, whose characters without a piece are included; `unseen`
    has the words of the other splits, by side, that train does not have.
    """
    return {
        "pairs": sum(source.pairs for source in sources.values()),
        "bins": {"characters": CHARACTERS, "words": WORDS, "ratio": RATIOS},
        "sources": {name: _source(sources[name], direction) for name in sorted(sources)},
        "unknown": {
            name: {
                side: {
                    "words": _share(found[side], unseen[side]),
                    "characters": coverage[name][side]["characters_in_bytes"],
                }
                for side in SIDES
            }
            for name, found in others.items()
        },
    }


def words_of(folder: Path, split: str) -> WordCounts:
    """The words of both sides of an evaluation split."""
    counts = {side: Counter[str]() for side in SIDES}
    for pair in read_split(folder, split):
        counts["source"].update(words.words(pair.source))
        counts["target"].update(words.words(pair.target))
    return counts


def language_share(profile: Profile, side: str) -> float | None:
    """The share of a side's sampled texts in its language; None if the identifier has no label for it."""
    found = [source[side]["languages"] for source in profile["sources"].values()]
    if not found or any(one["expected"] is None for one in found):
        return None
    # The samples of the sources have about equal sizes: weighted by the sources' pairs.
    weights: list[int] = [source["pairs"] for source in profile["sources"].values()]
    share = sum(weight * float(one["expected"]) for weight, one in zip(weights, found, strict=True))
    return round(share / sum(weights), 4)


def _source(counts: SourceCounts, direction: Direction) -> Profile:
    sides = {side: _side(counts.sides[side], getattr(direction, side)) for side in SIDES}
    return {"pairs": counts.pairs, "ratio": counts.ratios.tolist(), **sides}


def _side(counts: SideCounts, side: Side) -> Profile:
    letters = Counter({chr(c): n for c, n in counts.alphabet.items() if not chr(c).isspace()})
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        if found := words.script(letter):
            scripts[found] += count
    return {
        "repeated": round(max(0.0, 1 - counts.distinct() / max(counts.texts, 1)), 4),
        **{name: _lengths(counts.lengths[name], edges) for name, edges in EDGES.items()},
        "alphabet": {
            "number": len(letters),
            "total": letters.total(),
            "counts": dict(first(letters, LETTERS)),
        },
        "scripts": dict(first(scripts, len(scripts))),
        "languages": _languages(counts.sample(), side),
        "frequent": {"total": counts.total, "counts": dict(first(counts.words, FREQUENT))},
    }


def _languages(sample: list[str], side: Side) -> Profile:
    """The languages identified in a sample, and the share of texts in the side's own."""
    found = Counter(label for label, _ in identify.identify(sample))
    wanted = quality.accepted(side)
    expected = None if wanted is None else sum(found[label] for label in wanted) / max(len(sample), 1)
    return {
        "counts": dict(first(found, len(found))),
        "expected": None if expected is None else round(expected, 4),
    }


def _lengths(counts: Any, edges: Sequence[float]) -> Profile:
    """A distribution of lengths by bins and by its deciles."""
    cumulative = np.cumsum(counts)
    starts = np.asarray(edges, np.int64)
    before = np.concatenate([[0], cumulative])[np.append(starts, len(counts))]
    places = np.searchsorted(cumulative, np.arange(1, 10) * cumulative[-1] / 10)
    return {"counts": np.diff(before).tolist(), "deciles": places.tolist()}


def _share(found: Counter[str], unseen: Set[str]) -> float:
    return round(sum(found[word] for word in found.keys() & unseen) / max(found.total(), 1), 6)
