"""Positions of the marks in the report's charts, and the differing words of two texts.

Why: positions are in percent of a chart's width, so that charts adapt to any screen while text and marks keep
their size. The markup is in templates/charts.html.j2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

Run = tuple[str, str]  # (mark: "", other, right or wrong; text)

# Share of the updates whose losses may lie above the learning curve's chart; points that must be left.
FLATTENING, FEWEST_SHOWN = 0.25, 4
MOST_POINTS = 400  # drawn per curve

PUNCTUATION = re.escape('.,!?;:…()[]"“”„«»‹›।。、，！？；：؟،؛')
WORD = re.compile(rf"\s+|[{PUNCTUATION}]|[^\s{PUNCTUATION}]+")


class Axis(NamedTuple):
    """A range of values with ticks at round numbers."""

    low: float
    high: float
    ticks: list[float]

    def at(self, value: float) -> float:
        """The position of a value, from 0 (low end) to 100."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)


class Point(NamedTuple):
    """A validation of a training."""

    update: float
    training_loss: float
    validation_loss: float
    perplexity: float


class Curve(NamedTuple):
    """A learning curve: `updates` is the horizontal axis, `loss` the vertical one."""

    points: list[Point]
    best: Point | None
    updates: Axis
    loss: Axis

    @property
    def cut(self) -> bool:
        """Whether some losses lie above the chart."""
        return any(max(point.training_loss, point.validation_loss) > self.loss.high for point in self.points)

    def path(self, name: str) -> str:
        """The SVG path of one loss in a square of 100 by 100."""
        values = [(point.update, getattr(point, name)) for point in self.points]
        places = [
            f"{self.updates.at(update):g} {100 - self.loss.at(loss):g}"
            for update, loss in values
            if math.isfinite(loss)
        ]
        return f"M{' L'.join(places)}" if places else ""


def is_number(value: object) -> bool:
    """Whether a value is a finite number, and can be drawn."""
    return isinstance(value, int | float) and math.isfinite(value)


def axis(values: Iterable[float | None], ticks: int = 4, margin: float = 0.06) -> Axis:
    """An axis for all finite values, with a margin (share of the range) on both sides."""
    finite = [float(value) for value in values if value is not None and math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if low == high:
        low, high = low - 0.5, high + 0.5
    margin *= high - low
    low, high = low - margin, high + margin
    rough = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * 0.999)
    first, last = math.ceil(low / step), math.floor(high / step)
    # Rounded, because 3 * 0.1 is 0.30000000000000004.
    return Axis(low, high, [round(number * step, 10) for number in range(first, last + 1)])


def perplexity(loss: float) -> str:
    """The perplexity of a loss, with three digits."""
    return f"{math.exp(min(loss, 50.0)):.3g}"


def curve(rows: Sequence[Mapping[str, str]]) -> Curve:
    """The learning curve of reports/curve.csv; empty fields become NaN."""
    points = [Point(*(float(row[name] or "nan") for name in Point._fields)) for row in rows]
    validated = [point for point in points if math.isfinite(point.validation_loss)]
    # The first updates lower the loss most; an axis with their losses would flatten the rest of the curve.
    begin = FLATTENING * max((point.update for point in points), default=0.0)
    later = [point for point in points if point.update > begin]
    shown = later if len(later) >= FEWEST_SHOWN else points
    losses = [loss for point in shown for loss in (point.training_loss, point.validation_loss)]
    updates = axis([0.0, *(point.update for point in points)], margin=0)
    best = min(validated, key=lambda point: point.validation_loss, default=None)
    return Curve(thinned(points, MOST_POINTS), best, updates, axis(losses, ticks=5, margin=0.12))


def thinned(rows: Sequence[Any], most: int) -> list[Any]:
    """At most `most` rows, evenly spaced, including the first and the last."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]


def differences(one: str, other: str, reference: str | None = None) -> tuple[list[Run], list[Run]]:
    """Both texts as runs: shared ones, and those that only one text has.

    The latter are marked `other`; with a reference, `right` if the reference has them too, else `wrong`.
    Texts without spaces are compared by letters.
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
        if unit.isspace():  # takes the kind of its neighbours if they agree
            before, after = kinds[i - 1 : i], kinds[i + 1 : i + 2]
            kinds[i] = before[0] if before == after != [] else ""
    marked = groupby(zip(kinds, units, strict=True), key=itemgetter(0))
    return [(kind, "".join(unit for _, unit in run)) for kind, run in marked]


def _shared(units: list[str], others: list[str]) -> set[int]:
    """The indices of units that the other text has in the same order."""
    words = [index for index, unit in enumerate(units) if not unit.isspace()]
    matcher = SequenceMatcher(
        None, [units[index] for index in words], [u for u in others if not u.isspace()], autojunk=False
    )
    return {words[i] for block in matcher.get_matching_blocks() for i in range(block.a, block.a + block.size)}
