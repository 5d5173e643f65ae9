"""Results as text, 98 columns wide at most.

Why: absolute figures depend on the machine, so that ratios are shown beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.contest import Result
from benchmarks.stages import Measured

NAME = 34  # columns
NARROWEST = 7


def ratio(one: float | None, other: float | None) -> str:
    """One by the other, as "1.23x"; a dash if either is missing."""
    if one is None or not other:
        return "-"
    times = one / other
    return f"{times:.2f}x" if times < 10 else f"{times:.1f}x"


def figure(value: float | None) -> str:
    """Three digits or more; a dash for None."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def rates(title: str, unit: str, results: Sequence[Result], against: Mapping[str, str]) -> list[str]:
    """The lines of a contest: rates, quiet steps of all, ratios, memory and parameters.

    `against` maps a column's heading to the contestant whose rate the others are divided by.
    """
    by_name = {result.name: result for result in results}
    columns = {head: by_name[name] for head, name in against.items() if name in by_name}
    rows = []
    for result in results:
        ratios = [ratio(result.rate, other.rate) for other in columns.values()]
        size = [f"{result.memory / 2**30:.1f} GB", f"{result.parameters / 1e6:.1f} M"]
        rows.append([result.name, figure(result.rate), quiet(result), *ratios, *size])
    return layout([title, unit, "quiet", *(f"/ {head}" for head in columns), "peak", "size"], rows)


def latencies(title: str, results: Sequence[Result]) -> list[str]:
    """The lines of a contest of single sentences: percentiles in milliseconds, and of how many."""
    rows = []
    for result in results:
        percentiles = [result.percentile(share) for share in (0.5, 0.99)]
        times = ["-" if time is None else figure(1000 * time) for time in percentiles]
        rows.append([result.name, *times, str(sum(len(step.each) for step in result.quiet))])
    return layout([title, "p50 ms", "p99 ms", "n"], rows)


def stages(measured: Sequence[Measured]) -> list[str]:
    """The lines of stages, each compared with its baseline."""
    rows = [
        [
            result.name,
            figure(result.rate) if result.steps[0].units > 1 else "",
            figure(result.seconds),
            quiet(result),
            ratio(result.seconds, baseline.seconds),
        ]
        for result, baseline in measured
    ]
    head, *lines = layout(["stages", "a second", "seconds", "quiet", "times"], rows)
    return [head, *(f"{line} {baseline.name}" for line, (_, baseline) in zip(lines, measured, strict=True))]


def quiet(result: Result) -> str:
    """The numbers of quiet and of all steps."""
    return f"{len(result.quiet)}/{len(result.steps)}"


def layout(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A heading and rows as lines, each of a name and cells."""
    widths = [max(len(head) + 2, NARROWEST) for head in heads[1:]]
    return [
        f"{name:<{NAME}}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        for name, *cells in [heads, *rows]
    ]
