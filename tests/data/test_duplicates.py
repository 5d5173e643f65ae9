"""Repeated digests: of equal ones the first is kept, whatever the parts and partitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data import duplicates

DIGESTS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63, 2**64 - 1])


@pytest.mark.slow
@pytest.mark.parametrize("entries", [1, 3, 2**20])
@given(st.lists(st.lists(DIGESTS, max_size=20), max_size=6))
def test_every_later_one_of_equal_digests_is_marked(tmp_path_factory, entries, parts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "ENTRIES", entries)
        folder = tmp_path_factory.mktemp("partitions")
        every = [digest for part in parts for digest in part]
        arrays = (np.array(part, np.uint64) for part in parts)
        repeated = duplicates.find(arrays, len(every), folder)
    expected = [digest in every[:at] for at, digest in enumerate(every)]
    assert repeated.of(0, len(every)).tolist() == expected
    assert repeated.total == sum(expected)
    for start in range(0, len(every), 7):
        assert repeated.of(start, start + 3)[: len(expected[start:])].tolist() == expected[start : start + 3]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("entries", [2**20, 4])
def test_with_scores_the_best_is_kept_and_of_equal_scores_the_first(tmp_path, monkeypatch, entries):
    monkeypatch.setattr(duplicates, "ENTRIES", entries)
    digests = np.array([7, 7, 2**63, 7, 2**63, 9, 9], np.uint64)
    scores = np.array([-3.0, -1.0, np.nan, -1.0, -8.0, np.nan, np.nan], np.float32)
    parts = ([digests[:3], digests[3:]], 7, tmp_path / "work", [scores[:3], scores[3:]])
    repeated = duplicates.find(*parts)
    assert repeated.of(0, 7).tolist() == [True, False, True, True, False, False, True]
