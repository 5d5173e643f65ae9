"""Drift: a divergence that is 0 for equal corpora and 1 for disjoint ones, and names what moved."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.common import paths
from seq2seq.data import drift
from seq2seq.data.corpus import Pair, write_split
from seq2seq.data.direction import Direction, Side
from tests.support.profiles import of_corpus

SIDES = ("source", "target")
COVERAGE = {split: {side: {"characters_in_bytes": 0.0} for side in SIDES} for split in paths.SPLITS}
SHARES = st.lists(st.integers(1, 50), min_size=1, max_size=6).map(
    lambda counts: {str(n): c / sum(counts) for n, c in enumerate(counts)}
)


@given(SHARES, SHARES)
def test_the_divergence_is_symmetric_between_0_and_1(one, other):
    found = drift.divergence(one, other)
    assert found == pytest.approx(drift.divergence(other, one))
    assert 0 <= found <= 1
    assert drift.divergence(one, one) == pytest.approx(0, abs=1e-12)
    elsewhere = {f"{name}'": share for name, share in other.items()}
    assert drift.divergence(one, elsewhere) == pytest.approx(1)


def test_the_divergence_of_a_known_case():
    # (log2(1 / 0.75) + 0.5 log2(0.5 / 0.75) + 0.5 log2(0.5 / 0.25)) / 2
    assert drift.divergence({"a": 1.0}, {"a": 0.5, "b": 0.5}) == pytest.approx(0.3113, abs=1e-4)


def of(folder, pairs):
    for split in paths.SPLITS:
        write_split(folder, split, pairs if split == "train" else pairs[:20])
    return of_corpus(folder, Direction(Side("de", "Latin"), Side("en", "Latin")), COVERAGE)


def pairs(seed, count=400, longest=9):
    draw = random.Random(seed)
    words = [f"{a}{b}" for a in ("hund", "katze", "haus", "baum", "garten") for b in ("", "en", "lein", "s")]
    texts = [
        [" ".join(draw.choices(words, k=draw.randint(3, longest))) for _ in range(2)] for _ in range(count)
    ]
    return [Pair(*text) for text in texts]


@pytest.mark.slow
def test_two_samples_of_one_source_hardly_differ_and_longer_texts_do(tmp_path):
    base = of(tmp_path / "a", pairs(1))
    same = drift.largest(drift.compare(of(tmp_path / "b", pairs(2)), base))
    assert same is not None
    assert same.divergence < 0.05
    moves = drift.compare(of(tmp_path / "c", pairs(3, longest=40)), base)
    assert moves[0].figure.startswith("length in")
    assert moves[0].divergence > 0.3
    assert " → " in moves[0].change
    words = next(move for move in moves if move.figure == "frequent words" and move.side == "source")
    assert words.divergence < 0.05


def test_swapped_sides_and_a_new_source_are_named(tmp_path):
    german = "Der kleine Junge schläft heute lange im Garten hinter dem Haus Nummer"
    english = "The small boy sleeps for a long time in the garden behind house number"
    right = of(tmp_path / "a", [Pair(f"{german} {i}", f"{english} {i}") for i in range(100)])
    wrong = of(tmp_path / "b", [Pair(f"{english} {i}", f"{german} {i}") for i in range(100)])
    moves = drift.compare(wrong, right)
    assert moves[0].divergence == 1.0
    named = {(move.figure, move.side) for move in moves if move.divergence == 1.0}
    assert {("languages", "source"), ("languages", "target")} <= named
    languages = next(move for move in moves if move.name == "languages of source")
    assert languages.change == "de 100.0 % → 0.0 %, en 0.0 % → 100.0 %"

    both = {**right, "sources": {"corpus": right["sources"]["corpus"], "web": wrong["sources"]["corpus"]}}
    moves = drift.compare(both, right)
    assert next(move for move in moves if move.figure == "sources").change.startswith(
        "corpus 100.0 % → 50.0 %"
    )
    alone = [move for move in moves if move.scope == "corpus"]
    assert alone
    assert all(move.divergence == 0 for move in alone)
    assert alone[0].name.endswith(", corpus")


def test_a_word_at_the_end_of_one_list_alone_has_not_vanished():
    before = {"common": 0.5, "rare": 0.01, drift.OTHER: 0.49}
    after = {"common": 0.5, "other": 0.01, drift.OTHER: 0.49}
    assert drift.divergence(*drift._aligned(before, after)) == pytest.approx(0, abs=1e-9)
    gone = {"common": 0.99, drift.OTHER: 0.01}
    assert drift.divergence(*drift._aligned(before, gone)) > 0.2
