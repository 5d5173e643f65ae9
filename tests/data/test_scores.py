"""Scores on disk and their thresholds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.common.errors import UserError
from seq2seq.data import scores
from seq2seq.data.scores import Scored

VALUES = np.array([-1.0, -9.0, math.nan, -3.0, -2.0], np.float32)


def test_scores_are_read_as_written(tmp_path):
    scores.write(tmp_path, VALUES, {"model": "m"})
    assert (tmp_path / scores.FILE).read_bytes() == VALUES.astype("<f4").tobytes()
    np.testing.assert_array_equal(scores.read(tmp_path), VALUES)
    scores.write(tmp_path, np.empty(0, np.float32), {})
    assert len(scores.read(tmp_path)) == 0
    assert (tmp_path / scores.FILE).stat().st_size == 0
    with pytest.raises(UserError, match="`dvc repro score`"):
        scores.read(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("least", "share", "dropped"),
    [
        (None, None, []),
        (-3.0, None, [1]),
        (-2.5, None, [1, 3]),
        (None, 0.25, [1]),
        (None, 0.5, [1, 3]),
        (None, 0.2, []),  # of four scores less than one
        (-2.5, 0.25, [1, 3]),
        (-10.0, 0.5, [1, 3]),
    ],
)
def test_pairs_below_either_limit_are_dropped_and_never_those_without_score(tmp_path, least, share, dropped):
    scores.write(tmp_path, VALUES, {})
    scored = Scored.of(tmp_path, 5, least, share)
    assert [row for row in range(5) if scored.low(row, row + 1)[0]] == dropped
    assert [row for row, drop in enumerate(scored.rows()) if drop] == dropped
    assert [row for row, drop in enumerate(scored.rows(2), start=2) if drop] == [r for r in dropped if r > 1]


@given(st.lists(st.floats(-50, 0, width=32) | st.just(math.nan), max_size=30), st.floats(0.01, 0.99))
def test_the_worst_share_drops_at_most_that_share_and_the_lowest(values, share):
    found = np.array(values, np.float32)
    least = scores.threshold(found, None, share)
    scored = found[~np.isnan(found)]
    assert (scored < least).sum() <= share * len(scored)
    if len(scored) and len(set(scored.tolist())) == len(scored):
        assert (scored < least).sum() == int(share * len(scored))


def test_other_rows_than_those_of_the_corpus_are_refused(tmp_path):
    scores.write(tmp_path, VALUES, {})
    with pytest.raises(UserError, match=r"5 scores for 6 training pairs: `dvc repro score`"):
        Scored.of(tmp_path, 6, -3.0, None)
    assert Scored.of(tmp_path / "missing", 6, None, None).low(4, 6) == [False, False]


def test_without_scores_no_row_is_dropped(tmp_path):
    scores.write(tmp_path, np.empty(0, np.float32), {})
    scored = Scored.of(tmp_path, 7, -1.0, None)
    assert list(scored.rows(2)) == [False] * 5
