"""Scores agree with sacreBLEU, and bins by length are fair."""

from itertools import pairwise

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from seq2seq import scores

REFERENCES = ["The dog sleeps in the garden.", "The cat eats the fish today.", "I know that."]
HYPOTHESES = ["The dog sleeps in a garden.", "The cat eats a fish.", "I know that."]


def test_corpus_scores_are_sacrebleus_and_carry_its_signatures():
    found = scores.corpus_scores(HYPOTHESES, REFERENCES)
    bleu = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES])
    assert found.bleu == pytest.approx(bleu.score, abs=1e-4)
    assert found.brevity_penalty == pytest.approx(bleu.bp, abs=1e-4)
    assert found.chrf == pytest.approx(sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score, abs=1e-4)
    assert "tok:13a" in found.signatures["bleu"]
    assert f"version:{sacrebleu.__version__}" in found.signatures["chrf"]


def test_a_perfect_translation_scores_100_and_an_empty_one_0():
    assert scores.corpus_scores(REFERENCES, REFERENCES)[:3] == (100.0, 100.0, 1.0)
    assert scores.corpus_scores(["", "", ""], REFERENCES)[:2] == (0.0, 0.0)
    assert scores.sentence_chrf("The dog.", "The dog.") == 100.0
    assert scores.sentence_chrf("", "The dog.") == 0.0


def test_by_length_scores_each_bin_by_itself():
    sources = ["a b c", "a b", "a b c d e f", "a b c d"]
    references = ["one two three four", "the dog sleeps here", "no word of this", "the cat eats now"]
    hypotheses = [*references[:2], "entirely different text", references[3]]
    rows = scores.by_length(sources, hypotheses, references, 2)
    assert [(row.words, row.sentences) for row in rows] == [("2-3", 2), ("4-6", 2)]
    assert rows[0].bleu == 100.0
    assert rows[1].bleu < 100.0
    assert scores.by_length(sources, hypotheses, references, 1)[0].sentences == 4


@pytest.mark.parametrize(
    ("values", "bins", "expected"),
    [
        ([1, 2, 3, 4], 2, [(1, 2), (3, 4)]),
        ([5] * 9 + [6], 4, [(5, 5), (6, 6)]),
        ([3, 3, 3], 4, [(3, 3)]),
        ([7], 3, [(7, 7)]),
        ([1, 9], 5, [(1, 1), (9, 9)]),
        ([], 3, []),
    ],
)
def test_equal_bins(values, bins, expected):
    assert scores.equal_bins(values, bins) == expected


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 8))
def test_bins_cover_all_values_once_and_never_part_equal_ones(values, bins):
    ranges = scores.equal_bins(values, bins)
    assert len(ranges) <= bins
    assert all(least <= most for least, most in ranges)
    assert all(a[1] < b[0] for a, b in pairwise(ranges))
    assert all(sum(least <= value <= most for least, most in ranges) == 1 for value in values)


@given(st.integers(1, 8), st.integers(1, 10))
def test_bins_of_distinct_values_are_of_equal_count(bins, size):
    assert [b - a + 1 for a, b in scores.equal_bins(range(bins * size), bins)] == [size] * bins


def test_alignment_error_rate():
    gold = scores.parse_alignment("0-0 1-1 2-2")
    assert gold == {(0, 0), (1, 1), (2, 2)}
    assert scores.alignment_error_rate([(gold, gold)]) == 0.0
    assert scores.alignment_error_rate([({(0, 1)}, gold)]) == 1.0
    # 2 of 3 found links are right, 2 of 3 gold links are found
    assert scores.alignment_error_rate([({(0, 0), (1, 1), (2, 1)}, gold)]) == pytest.approx(1 / 3, abs=1e-4)
    assert scores.alignment_error_rate([]) is None
    assert scores.parse_alignment("") == set()
