"""Charts: axes contain their values, differing words are marked."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.report import charts

FIGURES = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
WORDS = st.lists(st.sampled_from(["a", "b", "c", "c.", " ", "\n"]), max_size=12).map(" ".join)


@given(st.lists(FIGURES, min_size=1), st.integers(2, 6))
def test_an_axis_holds_its_values_and_a_few_round_ticks(values, ticks):
    axis = charts.axis(values, ticks)
    assert all(0 <= axis.at(value) <= 100 for value in values)
    assert all(0 <= axis.at(tick) <= 100 for tick in axis.ticks)
    assert 1 <= len(axis.ticks) <= ticks + 1
    assert axis.at(min(values)) <= axis.at(max(values))


def test_an_axis_ignores_missing_values():
    assert charts.axis([30.2, 41.0, None, math.nan]).ticks == [30, 35, 40]
    assert charts.axis([5.0]).ticks == pytest.approx([4.5, 5.0, 5.5])
    assert charts.axis([math.inf, None]).ticks == charts.axis([0, 1]).ticks


def test_differing_words_are_right_if_the_reference_has_them():
    one, other = charts.differences("A dog runs fast.", "A cat runs very fast.", "The cat runs fast!")
    assert one == [("", "A "), ("wrong", "dog"), ("", " runs fast.")]
    assert other == [("", "A "), ("right", "cat"), ("", " runs "), ("wrong", "very"), ("", " fast.")]


def test_text_without_spaces_is_compared_letter_by_letter():
    assert charts.differences("三只狗", "两只狗") == (
        [("other", "三"), ("", "只狗")],
        [("other", "两"), ("", "只狗")],
    )


@given(WORDS, WORDS, st.none() | WORDS)
def test_runs_are_the_text_and_equal_texts_have_no_difference(one, other, reference):
    for runs, text in zip(charts.differences(one, other, reference), (one, other), strict=True):
        assert "".join(run for _, run in runs) == text
        assert all(a[0] != b[0] for a, b in pairwise(runs))
    assert all(kind == "" for runs in charts.differences(one, one, reference) for kind, _ in runs)


def test_a_curve_has_its_best_point_and_skips_empty_fields():
    names = ("update", "training_loss", "validation_loss", "perplexity")
    rows = [("10", "4", "2", "7.4"), ("20", "3", "", ""), ("30", "2", "1", "2.7"), ("40", "1", "1.5", "4.5")]
    curve = charts.curve([dict(zip(names, row, strict=True)) for row in rows])
    assert curve.best.update == 30
    assert curve.path("validation_loss").count(" L") == 2
    assert curve.path("training_loss").count(" L") == 3
    assert "nan" not in curve.path("validation_loss")


@given(st.lists(st.integers(), min_size=1, max_size=30), st.integers(2, 20))
def test_thinned_keeps_the_ends(rows, most):
    kept = charts.thinned(rows, most)
    assert len(kept) == min(len(rows), most)
    assert (kept[0], kept[-1]) == (rows[0], rows[-1])


def test_the_second_half_of_a_learning_curve_takes_most_of_the_chart():
    losses = [6.0, 3.4, 2.4, 1.9, 1.6, 1.45, 1.36, 1.32, 1.3, 1.29]
    rows = [
        {"update": str(100 * number), "training_loss": str(loss - 0.1), "validation_loss": str(loss)}
        | {"perplexity": "5"}
        for number, loss in enumerate(losses, start=1)
    ]
    drawn = charts.curve(rows)
    assert drawn.cut
    assert drawn.loss.at(1.9) - drawn.loss.at(1.29) > 40
    assert drawn.loss.at(1.19) > 0
    few = charts.curve(rows[:3])  # too few to leave any out
    assert not few.cut
    assert few.loss.at(6.0) < 100
