"""The chart of `make compare`: BLEU by source length, and alignment error rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seq2seq.evaluation.plots import save

# Hues distinguishable by the colour-blind (after Okabe & Ito 2008), with a contrast of at least 3 to 1
# (WCAG 2) on white and on near-black, as the README is shown on either.
GREY = "#7a7f87"
HUES = {"additive": "#2f81c7", "dot": "#d55e00", "general": "#009e73", "none": GREY}


class Panel(NamedTuple):
    """The results of kinds of attention on one corpus, by name."""

    title: str
    subtitle: str
    curves: Mapping[str, Sequence[tuple[float, float]]]  # (words of the source, BLEU), ascending
    bleu: Mapping[str, float]  # of all sentences
    error_rates: Mapping[str, float]  # of alignment, in percent; empty if the corpus has no gold alignment


def comparison_chart(path: Path, panels: Sequence[Panel]) -> None:
    """Draw BLEU by source length and alignment error rates, corpora side by side."""
    wide, narrow, height = 3.9, 1.8, 3.1  # inches
    width = sum(wide + narrow * bool(panel.error_rates) for panel in panels)
    figure = Figure(figsize=(width, height))

    def axes(left: float, across: float) -> Axes:
        return figure.add_axes((left / width, 0.5 / height, across / width, 1.95 / height))

    left = 0.0
    for panel in panels:
        _draw_curves(axes(left + 0.4, 2.2), panel)  # room for ticks before it, for names after it
        left += wide
        if panel.error_rates:
            _draw_error_rates(axes(left + 0.1, 1.45), panel.error_rates)
            left += narrow
    save(figure, path, transparent=True)


def _draw_curves(axes: Axes, panel: Panel) -> None:
    """A line for each kind, with its name and its BLEU over all lengths at the end."""
    _frame(axes, panel.title, panel.subtitle)
    for kind, points in panel.curves.items():
        words, bleus = zip(*points, strict=True)
        axes.plot(words, bleus, "o-", color=HUES.get(kind, GREY), markersize=5, linewidth=2, clip_on=False)
    top = 1.06 * max(10, *(bleu for points in panel.curves.values() for _, bleu in points))
    axes.set_ylim(0, top)
    axes.set_xlabel("words of the source", color=GREY)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.8)

    line = 0.09 * top  # the height of a line of text
    ends = [points[-1][1] for points in panel.curves.values()]
    heights = spread(ends, line, line / 2, top - line)

    def write(text: str, height: float, indent: float, color: str, side: str) -> None:
        note = axes.annotate(text, (1, height), (indent, 0), ("axes fraction", "data"), "offset points")
        note.set(color=color, ha=side, va="center", annotation_clip=False)

    for kind, height in zip(panel.curves, heights, strict=True):
        write(kind, height, 4, HUES.get(kind, GREY), "left")
        write(f"{panel.bleu[kind]:.1f}", height, 82, HUES.get(kind, GREY), "right")
    write("all lengths", max(heights) + line, 82, GREY, "right")


def _draw_error_rates(axes: Axes, rates: Mapping[str, float]) -> None:
    """A bar for each kind on a track as long as 100 %, its name and figure above it."""
    _frame(axes, "alignment error rate", "lower is better")
    for row, (kind, rate) in enumerate(rates.items()):
        color = HUES.get(kind, GREY)
        axes.barh(row, 100, height=0.22, color=GREY, alpha=0.25)
        axes.barh(row, rate, height=0.22, color=color)
        axes.annotate(kind, (0, row - 0.32), color=color, va="center")
        axes.annotate(f"{rate:.1f} %", (100, row - 0.32), color=color, ha="right", va="center")
    axes.set_xlim(0, 100)
    axes.set_ylim(max(len(rates), 3) - 0.5, -0.6)
    axes.set_axis_off()


def _frame(axes: Axes, title: str, subtitle: str) -> None:
    """Two lines of text above the axes, and no frame but the bottom line."""
    for text, height, weight in ((title, 28, "bold"), (subtitle, 13, "normal")):
        axes.annotate(text, (0, 1), (0, height), "axes fraction", "offset points", color=GREY, weight=weight)
    axes.tick_params(length=0, labelcolor=GREY)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GREY)


def spread(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights moved as little as possible (least squares) to be `gap` apart, in order, from low to high.

    Neighbours that would be too close form a block about their common mean (the pool adjacent
    violators algorithm, Ayer et al. 1955).
    """
    order = np.argsort(heights, kind="stable")
    gaps = gap * np.arange(len(heights))
    blocks: list[list[float]] = []  # of heights less the gaps below them, whose means must not fall
    for level in np.take(heights, order) - gaps:
        blocks.append([level])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    levels = np.repeat([np.mean(block) for block in blocks], [len(block) for block in blocks])
    placed = np.empty(len(heights))
    placed[order] = np.clip(levels, low, high - gaps[-1]) + gaps
    return [float(height) for height in placed]
