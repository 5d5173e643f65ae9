"""Pictures: words put together from pieces, alignment as text, PNG files that can be opened."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from seq2seq import figures
from seq2seq.scores import LengthBin

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
    source, target, weights = figures.merge_words(SOURCE, TARGET, ATTENTION)
    assert source == ["Sie", "schläft."]
    assert target == ["She", "sleeps."]
    # the pieces of "sleeps." give 0.75, 1 and 1 to "schläft."
    assert weights == pytest.approx(np.array([[1.0, 0.0], [0.0, 2.75 / 3]]))


def test_byte_pieces_spell_their_character():
    pieces = ["▁", "<0xC3>", "<0xA4>", "b", "▁<0xFF>", "</s>"]
    assert figures.merge_words(pieces, pieces, np.eye(6, dtype=np.float32))[0] == ["äb", "\ufffd"]


def test_an_empty_side_has_no_words():
    source, target, weights = figures.merge_words(["</s>"], TARGET, np.ones((5, 1), np.float32))
    assert (source, target, weights.shape) == ([], ["She", "sleeps."], (2, 0))
    assert figures.merge_words([], [], np.zeros((0, 0), np.float32))[2].shape == (0, 0)


@given(st.data())
def test_a_word_row_spends_what_its_pieces_spend_on_words(data):
    def pieces():
        count = data.draw(st.integers(1, 6))
        return [data.draw(st.sampled_from(["▁a", "b", "▁"])) for _ in range(count)] + ["</s>"]

    source, target = pieces(), pieces()
    seed = data.draw(st.integers(0, 999))
    attention = np.random.default_rng(seed).dirichlet(np.ones(len(source)), len(target)).astype("f4")
    source_words, target_words, weights = figures.merge_words(source, target, attention)
    assert weights.shape == (len(target_words), len(source_words))
    assert "".join(source_words) == "".join(source[:-1]).replace("▁", "")
    spent = 1 - attention[:-1, -1]
    assert (weights.sum(axis=1) >= spent.min() - 1e-5).all()
    assert (weights.sum(axis=1) <= spent.max() + 1e-5).all()


def test_alignment_as_text():
    assert figures.alignment_text(SOURCE, TARGET, ATTENTION).splitlines() == [
        "         ┌ Sie",
        "         │  ┌ schläft.",
        "    She ███ ·",
        "sleeps.  · ███",
    ]


def test_alignment_of_fourteen_words_fits_a_terminal():
    pieces = [f"▁word{i}" for i in range(14)] + ["</s>"]
    text = figures.alignment_text(pieces, pieces, np.eye(15, dtype=np.float32))
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("last", ["</s>", "漢字", "$x_1$"])
def test_attention_map_is_a_picture_as_large_as_it_has_pieces(tmp_path, last):
    small, large = tmp_path / "new" / "small.png", tmp_path / "large.png"
    figures.attention_map(small, [*SOURCE[:-1], last], TARGET, ATTENTION)
    figures.attention_map(large, SOURCE * 4, TARGET, np.tile(ATTENTION, 4))
    assert imread(large).shape[1] > imread(small).shape[1] > 200
    assert imread(small).std() > 0.05  # something is on it


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    bins = [LengthBin("3-5", 10, 99.0, 98.0), LengthBin("6-12", 10, 70.0, 80.0)]
    figures.length_chart(tmp_path / "a.png", bins)
    figures.length_chart(tmp_path / "b.png", bins)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
