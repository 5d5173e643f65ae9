"""Where the marks of the report's charts stand, and which words of two texts differ.

Why: positions are in percent of a chart's width, so that on any screen a chart is as wide as its place
while text and marks keep their size. Nothing here writes markup: templates/charts.html.j2 does.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from tqdm.utils import disp_len

Run = tuple[str, str]  # (what is said of it: "", other, right or wrong; text)

CELL, SMALL_CELL = 22, 16  # pixels of an attention map's cell: with few pieces, with many
MANY = 24  # pieces
MOST_PIECES = 60  # shown of a side
LETTER = 6.7  # pixels that a letter of a label takes; a wide one, e.g. Chinese, takes two
LONGEST_LABEL = 20  # letters
FAINTEST, TOLD = 0.01, 0.1  # attention below it is not drawn; from this on a cell says what it is
MOST_POINTS = 400  # drawn of a curve

PUNCTUATION = re.escape('.,!?;:…()[]"“”„«»‹›।。、，！？；：؟،؛')
WORD = re.compile(rf"\s+|[{PUNCTUATION}]|[^\s{PUNCTUATION}]+")


class Axis(NamedTuple):
    """A range of values with round numbers to name in it."""

    low: float
    high: float
    ticks: list[float]

    def at(self, value: float) -> float:
        """Where a value stands, from 0 at the low end to 100."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)


class Cell(NamedTuple):
    """How much of its attention a target piece gave to a source piece, and where that is drawn."""

    row: int
    column: int
    weight: float
    x: float
    y: float


class Map(NamedTuple):
    """An attention map in pixels: `top` and `left` are the room for the labels."""

    source: list[str]
    target: list[str]
    cells: list[Cell]  # those that say what they are
    faint: dict[float, str]  # of the others an SVG path for each weight: there may be thousands
    cell: int
    left: float
    top: float
    width: float
    height: float
    cut: bool  # there are more pieces than are shown


class Point(NamedTuple):
    """A validation of a training."""

    update: float
    training_loss: float
    validation_loss: float
    perplexity: float


class Curve(NamedTuple):
    """A learning curve: `updates` lies across, `loss` upright with its low end at the bottom."""

    points: list[Point]
    best: Point | None
    updates: Axis
    loss: Axis

    def path(self, name: str) -> str:
        """An SVG path of one loss through a square of 100 by 100."""
        known = [(point.update, getattr(point, name)) for point in self.points]
        places = [
            f"{self.updates.at(update):g} {100 - self.loss.at(loss):g}"
            for update, loss in known
            if math.isfinite(loss)
        ]
        return f"M{' L'.join(places)}" if places else ""


def is_number(value: object) -> bool:
    """Whether it is a finite number: None, NaN and infinity have no place in a chart."""
    return isinstance(value, int | float) and math.isfinite(value)


def axis(values: Iterable[float | None], ticks: int = 4, margin: float = 0.06) -> Axis:
    """An axis that shows all finite values with a margin (a share of their range) on both sides."""
    known = [float(value) for value in values if value is not None and math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if low == high:
        low, high = low - 0.5, high + 0.5
    margin *= high - low
    low, high = low - margin, high + margin
    rough = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * 0.999)
    first, last = math.ceil(low / step), math.floor(high / step)
    # Rounded, or 3 * 0.1 is written as 0.30000000000000004.
    return Axis(low, high, [round(number * step, 10) for number in range(first, last + 1)])


def perplexity(loss: float) -> str:
    """What a loss is as a perplexity, with three digits."""
    return f"{math.exp(min(loss, 50.0)):.3g}"


def curve(rows: Sequence[Mapping[str, str]]) -> Curve:
    """The learning curve that reports/curve.csv holds; a field left empty is not known."""
    points = [Point(*(float(row[name] or "nan") for name in Point._fields)) for row in rows]
    known = [point for point in points if math.isfinite(point.validation_loss)]
    losses = [loss for point in points for loss in (point.training_loss, point.validation_loss)]
    updates = axis([0.0, *(point.update for point in points)], margin=0)
    best = min(known, key=lambda point: point.validation_loss, default=None)
    return Curve(thinned(points, MOST_POINTS), best, updates, axis(losses, ticks=5, margin=0.12))


def thinned(rows: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the rows, evenly spaced, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]


def attention(sample: Mapping[str, Any]) -> Map | None:
    """A sample's attention map; None if its model has no attention or it was not translated."""
    if not sample["attention"] or not sample["source_pieces"]:
        return None
    source, target = ([shown(piece) for piece in sample[f"{side}_pieces"]] for side in ("source", "target"))
    cut = max(len(source), len(target)) > MOST_PIECES
    source, target = source[:MOST_PIECES], target[:MOST_PIECES]
    cell = CELL if len(source) <= MANY else SMALL_CELL
    left = 12 + LETTER * max(map(disp_len, target), default=0)
    longest = LETTER * max(map(disp_len, source))
    # Labels of columns lean to the right by 30 degrees, the last one over the edge.
    top, over = 14 + longest * math.cos(math.pi / 6), 8 + longest * math.sin(math.pi / 6)
    width, height = left + cell * len(source) + over, top + cell * len(target) + 2
    left, top, width, height = (round(size, 1) for size in (left, top, width, height))
    cells: list[Cell] = []
    faint: defaultdict[float, str] = defaultdict(str)
    for row, weights in enumerate(sample["attention"][:MOST_PIECES]):
        for column, weight in enumerate(weights[:MOST_PIECES]):
            x, y = round(left + cell * column, 1), round(top + cell * row, 1)
            if weight >= TOLD:
                cells.append(Cell(row, column, round(weight, 2), x, y))
            elif weight >= FAINTEST:
                faint[round(weight, 2)] += f"M{x} {y}h{cell}v{cell}h-{cell}z"
    return Map(source, target, cells, dict(faint), cell, left, top, width, height, cut)


def shown(piece: str) -> str:
    """A piece as a label; one that begins no word keeps a mark of that."""
    text = piece if piece.startswith("▁") or piece == "</s>" else f"-{piece}"
    text = text.removeprefix("▁") or "▁"
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


def differences(one: str, other: str, reference: str | None = None) -> tuple[list[Run], list[Run]]:
    """Both texts in runs: what they share, and what is only in one of them.

    Such a run is `other`; with a reference it is `right` if the reference has it there, else `wrong`.
    Texts without spaces are compared letter by letter.
    """
    spaced = any(letter.isspace() for letter in one.strip() + other.strip())
    ones, others = (WORD.findall(text) if spaced else list(text) for text in (one, other))
    wanted = None if reference is None else WORD.findall(reference) if spaced else list(reference)
    return _runs(ones, others, wanted), _runs(others, ones, wanted)


def _runs(units: list[str], others: list[str], wanted: list[str] | None) -> list[Run]:
    shared = _shared(units, others)
    right = _shared(units, wanted) if wanted is not None else set()
    fault = "other" if wanted is None else "wrong"
    kinds = ["" if i in shared else "right" if i in right else fault for i in range(len(units))]
    for i, unit in enumerate(units):
        if unit.isspace():  # belongs to its neighbours if they are of one kind
            before, after = kinds[i - 1 : i], kinds[i + 1 : i + 2]
            kinds[i] = before[0] if before == after != [] else ""
    marked = groupby(zip(kinds, units, strict=True), key=itemgetter(0))
    return [(kind, "".join(unit for _, unit in run)) for kind, run in marked]


def _shared(units: list[str], others: list[str]) -> set[int]:
    """Which units, by their place, also stand in the other text, in the same order."""
    words = [index for index, unit in enumerate(units) if not unit.isspace()]
    matcher = SequenceMatcher(
        None, [units[index] for index in words], [u for u in others if not u.isspace()], autojunk=False
    )
    return {words[i] for block in matcher.get_matching_blocks() for i in range(block.a, block.a + block.size)}
