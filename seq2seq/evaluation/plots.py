"""Plots of translations: attention as a heat map or as text, BLEU by length.

Why: a heat map shows what a score does not, above all whether word order was learnt.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure
from tqdm.utils import disp_len

from seq2seq.evaluation.scores import LengthBin

Matrix = npt.NDArray[np.float32]
SPACE = "▁"  # SentencePiece's mark of the beginning of a word
EOS = "</s>"
MOST_PIECES = 60  # drawn of a side
SHADES = " ░▒▓█"  # of attention from 0 to 1
DPI = 110
INK, ACCENT = "#333333", "#2b6cb0"


def attention_map(
    path: Path, source_pieces: Sequence[str], target_pieces: Sequence[str], attention_TS: Matrix
) -> None:
    """Draw attention as a PNG: a row for each target piece, a column for each source piece.

    Of each side the first MOST_PIECES are drawn; more would take gigabytes and be unreadable.
    """
    source_pieces, target_pieces = source_pieces[:MOST_PIECES], target_pieces[:MOST_PIECES]
    attention_TS = attention_TS[:MOST_PIECES, :MOST_PIECES]
    rows, columns = len(target_pieces), len(source_pieces)
    figure = Figure(figsize=(2.2 + 0.3 * columns, 1.6 + 0.3 * rows), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(attention_TS, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.set_xticks(range(columns), list(source_pieces), rotation=90, parse_math=False)
    axes.set_yticks(range(rows), list(target_pieces), parse_math=False)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelcolor=INK, labelsize=10)
    # Lines between cells, to find the pieces of a cell.
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, ticks=[0, 0.5, 1])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=INK)
    save(figure, path)


def length_chart(path: Path, bins: Sequence[LengthBin], unit: str) -> None:
    """Draw BLEU by source length as a PNG: a bar for each bin, its figure above it.

    `unit` is the unit of length: word or character.
    """
    figure = Figure(figsize=(1.5 + 0.9 * len(bins), 3.2), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.bar([one.words for one in bins], [one.bleu for one in bins], color=ACCENT)
    axes.bar_label(bars, [f"{one.bleu:.1f}" for one in bins], padding=2, color=INK)
    axes.set_ylim(0, 112)  # room for a figure above 100
    axes.set_xlabel(f"{unit}s of the source", color=INK)
    axes.set_ylabel("BLEU", color=INK)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def merge_words(
    source_pieces: Sequence[str], target_pieces: Sequence[str], attention_TS: Matrix
) -> tuple[list[str], list[str], Matrix]:
    """Attention between whole words, without `</s>`: columns summed, rows averaged.

    A row sums to 1 minus the weight of the source's `</s>`.
    """
    source_words, source_starts = _words(source_pieces)
    target_words, target_starts = _words(target_pieces)
    inner_TS = attention_TS[: target_starts[-1], : source_starts[-1]]
    if not source_words or not target_words:
        return source_words, target_words, np.zeros((len(target_words), len(source_words)), "f4")
    sums = np.add.reduceat(inner_TS, source_starts[:-1], axis=1)
    sums = np.add.reduceat(sums, target_starts[:-1], axis=0)
    pieces = np.diff(target_starts).astype("f4")
    return source_words, target_words, sums / pieces[:, None]


def alignment_text(source_pieces: Sequence[str], target_pieces: Sequence[str], attention_TS: Matrix) -> str:
    """Attention between words as a matrix of blocks for a terminal: source above, target at left."""
    source, target, weights = merge_words(source_pieces, target_pieces, attention_TS)
    width = max(map(disp_len, target), default=0)
    lines = [" " * width + " " + " │ " * i + " ┌ " + word for i, word in enumerate(source)]
    for word, row in zip(target, weights, strict=True):
        shades = (SHADES[min(round(float(weight) * 4), 4)] for weight in row)
        cells = "".join(" · " if shade == " " else shade * 3 for shade in shades)
        lines.append(f"{' ' * (width - disp_len(word))}{word} {cells}".rstrip())
    return "\n".join(lines)


def _words(pieces: Sequence[str]) -> tuple[list[str], list[int]]:
    """The words of pieces, and the index of the first piece of each, followed by the end of the last."""
    inner = list(pieces[:-1] if pieces and pieces[-1] == EOS else pieces)
    starts = [i for i, piece in enumerate(inner) if i == 0 or piece.startswith(SPACE)]
    bounds = [*starts, len(inner)]
    return [_spelt(inner[start:end]) for start, end in pairwise(bounds)], bounds


def _spelt(pieces: Sequence[str]) -> str:
    """The text of pieces, with byte pieces decoded to characters."""

    def characters(run: re.Match[str]) -> str:
        data = bytes(int(byte, 16) for byte in re.findall("0x(..)", run[0]))
        return data.decode("utf-8", "replace")

    return re.sub(r"(<0x[0-9A-F]{2}>)+", characters, "".join(pieces).replace(SPACE, ""))


def save(figure: Figure, path: Path, transparent: bool = False) -> None:
    """Write a figure in the format of the path's suffix; the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    timeless = {".svg": {"Date": None, "Creator": None}, ".pdf": {"CreationDate": None}}.get(path.suffix)
    # In an SVG text stays text, and ids are not random.
    with warnings.catch_warnings(), rc_context({"svg.fonttype": "none", "svg.hashsalt": "seq2seq"}):
        # matplotlib's font lacks e.g. Chinese: boxes are drawn instead.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(path, dpi=DPI, transparent=transparent, metadata=timeless)
