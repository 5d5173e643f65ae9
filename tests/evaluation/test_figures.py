"""Plots: words from pieces, alignment as text, and image files."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from benchmarks import ablation_chart
from benchmarks.ablation_chart import Panel
from seq2seq.evaluation import plots
from seq2seq.evaluation.scores import LengthBin

SOURCE = ["▁Sie", "▁schl", "äft", ".", "</s>"]
TARGET = ["▁She", "▁sleep", "s", ".", "</s>"]
ATTENTION = np.array(
    [
        [1.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.5, 0.25, 0.0, 0.25],
        [0.0, 0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 1.0],
    ],
    dtype=np.float32,
)


def test_pieces_become_words_by_summing_columns_and_averaging_rows():
    source, target, weights = plots.merge_words(SOURCE, TARGET, ATTENTION)
    assert source == ["Sie", "schläft."]
    assert target == ["She", "sleeps."]
    # the pieces of "sleeps." give 0.75, 1 and 1 to "schläft."
    assert weights == pytest.approx(np.array([[1.0, 0.0], [0.0, 2.75 / 3]]))


def test_byte_pieces_spell_their_character():
    pieces = ["▁", "<0xC3>", "<0xA4>", "b", "▁<0xFF>", "</s>"]
    assert plots.merge_words(pieces, pieces, np.eye(6, dtype=np.float32))[0] == ["äb", "\ufffd"]


def test_an_empty_side_has_no_words():
    source, target, weights = plots.merge_words(["</s>"], TARGET, np.ones((5, 1), np.float32))
    assert (source, target, weights.shape) == ([], ["She", "sleeps."], (2, 0))
    assert plots.merge_words([], [], np.zeros((0, 0), np.float32))[2].shape == (0, 0)


@given(st.data())
def test_a_word_s_row_sums_to_the_mean_of_its_pieces(data):
    def pieces():
        count = data.draw(st.integers(1, 6))
        return [data.draw(st.sampled_from(["▁a", "b", "▁"])) for _ in range(count)] + ["</s>"]

    source, target = pieces(), pieces()
    seed = data.draw(st.integers(0, 999))
    attention = np.random.default_rng(seed).dirichlet(np.ones(len(source)), len(target)).astype("f4")
    source_words, target_words, weights = plots.merge_words(source, target, attention)
    assert weights.shape == (len(target_words), len(source_words))
    assert "".join(source_words) == "".join(source[:-1]).replace("▁", "")
    spent = 1 - attention[:-1, -1]
    assert (weights.sum(axis=1) >= spent.min() - 1e-5).all()
    assert (weights.sum(axis=1) <= spent.max() + 1e-5).all()


def test_alignment_as_text():
    assert plots.alignment_text(SOURCE, TARGET, ATTENTION).splitlines() == [
        "         ┌ Sie",
        "         │  ┌ schläft.",
        "    She ███ ·",
        "sleeps.  · ███",
    ]


def test_alignment_of_fourteen_words_fits_a_terminal():
    pieces = [f"▁word{i}" for i in range(14)] + ["</s>"]
    text = plots.alignment_text(pieces, pieces, np.eye(15, dtype=np.float32))
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.slow
@pytest.mark.parametrize("last", ["</s>", "漢字", "$x_1$"])
def test_the_size_of_an_attention_map_follows_its_pieces(tmp_path, last):
    small, large = tmp_path / "new" / "small.png", tmp_path / "large.png"
    plots.attention_map(small, [*SOURCE[:-1], last], TARGET, ATTENTION)
    plots.attention_map(large, SOURCE * 4, TARGET, np.tile(ATTENTION, 4))
    assert imread(large).shape[1] > imread(small).shape[1] > 200
    assert imread(small).std() > 0.05  # not blank


@pytest.mark.slow
def test_an_attention_map_shows_the_first_pieces_of_a_long_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "MOST_PIECES", most := 12)
    for pieces in (most, 10 * most):
        attention = np.zeros((pieces, pieces), np.float32)
        plots.attention_map(tmp_path / f"{pieces}.png", ["x"] * pieces, ["y"] * pieces, attention)
    assert (tmp_path / f"{most}.png").read_bytes() == (tmp_path / f"{10 * most}.png").read_bytes()


def test_columns_are_below_their_words_for_wide_letters_too():
    lines = plots.alignment_text(["▁a", "▁b", "</s>"], ["▁狗狗", "▁x", "</s>"], np.eye(3, dtype="f4"))
    assert lines.splitlines() == ["      ┌ a", "      │  ┌ b", "狗狗 ███ ·", "   x  · ███"]


@pytest.mark.slow
def test_the_same_figure_gives_the_same_bytes(tmp_path):
    bins = [LengthBin("3-5", 10, 99.0, 98.0), LengthBin("6-12", 10, 70.0, 80.0)]
    plots.length_chart(tmp_path / "a.png", bins, "word")
    plots.length_chart(tmp_path / "b.png", bins, "word")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


ALL = ("additive", "dot", "general", "none")
TWO = [
    Panel(
        "hard",
        "BLEU after 9 updates",
        {kind: [(5.5, 30.0 - i), (9.0, 20.0 - i)] for i, kind in enumerate(ALL)},
        {kind: 24.5 + i for i, kind in enumerate(ALL)},
        {"additive": 12.5, "dot": 0.0},
    ),
    Panel("easy", "BLEU after 5 updates", {"none": [(4.0, 99.9)]}, {"none": 98.7}, {}),
]


def texts(svg: Path) -> list[str]:
    return re.findall(r"<text [^>]*>([^<]*)</text>", svg.read_text())


def test_a_chart_of_kinds_has_all_names_as_text(tmp_path):
    svg = tmp_path / "new" / "chart.svg"
    ablation_chart.comparison_chart(svg, TWO)
    shown = texts(svg)
    assert [shown.count(kind) for kind in ALL] == [2, 2, 1, 2]  # lines, and bars of two
    assert {"hard", "easy", "BLEU after 9 updates", "24.5", "27.5", "98.7", "12.5 %", "0.0 %"} <= {*shown}
    assert shown.count("alignment error rate") == 1
    assert svg.stat().st_size < 50_000


@pytest.mark.slow
def test_a_chart_of_kinds_drawn_twice_gives_the_same_bytes(tmp_path):
    for suffix in (".svg", ".png", ".pdf"):
        first, second = (tmp_path / f"{name}{suffix}" for name in ("first", "second"))
        ablation_chart.comparison_chart(first, TWO[1:])
        ablation_chart.comparison_chart(second, TWO[1:])
        assert first.read_bytes() == second.read_bytes(), suffix
    assert "dc:date" not in (tmp_path / "first.svg").read_text()


def test_a_chart_of_kinds_starts_at_zero_and_does_not_magnify_small_values(tmp_path):
    ablation_chart.comparison_chart(
        tmp_path / "chart.svg", [Panel("a", "b", {"dot": [(4, 0.2)]}, {"dot": 0.2}, {})]
    )
    shown = texts(tmp_path / "chart.svg")
    assert {"0", "10"} <= {*shown}


def test_a_chart_of_kinds_has_contrast_on_white_and_on_black():
    def luminance(color: str) -> float:
        shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    for color in {ablation_chart.GREY, *ablation_chart.HUES.values()}:
        for ground in ("#ffffff", "#0d1117"):
            low, high = sorted([luminance(color), luminance(ground)])
            assert (high + 0.05) / (low + 0.05) > 3, (color, ground)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_labels_keep_apart_in_order_and_inside(ends):
    heights = ablation_chart.spread(ends, 9, 5, 95)
    order = np.argsort(ends, kind="stable")
    assert (np.diff(np.take(heights, order)) > 9 - 1e-9).all()
    assert min(heights) >= 5
    assert max(heights) <= 95 + 1e-9


def test_labels_move_no_farther_than_they_must():
    assert ablation_chart.spread([50.0, 10.0, 30.0], 9, 5, 95) == [50.0, 10.0, 30.0]
    assert ablation_chart.spread([50.0, 10.0, 50.0], 10, 0, 100) == [45.0, 10.0, 55.0]
    assert ablation_chart.spread([0.0, 0.0], 10, 5, 100) == [5.0, 15.0]
