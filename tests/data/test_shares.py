"""Common runs are those of Python's difflib, whatever the letters and however often they repeat."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seq2seq.data import shares
from seq2seq.data.shares import RUN, Shares
from tests.support.simple_contamination import reference_share

PHRASES = st.lists(
    st.sampled_from(["abab", "derhund", "dasch", "ab", "學校", "x", "dasch", "7"]), max_size=14
)
FOLDED = (PHRASES.map("".join) | st.text("abc", max_size=60)).filter(lambda text: len(text) >= RUN)


@pytest.fixture(params=[(2**16, 2**19), (40, 30)], ids=["together", "in parts"])
def sizes(request, monkeypatch):
    """How much is compared at once."""
    monkeypatch.setattr(shares, "LETTERS", request.param[0])
    monkeypatch.setattr(shares, "MATCHES", request.param[1])


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the same for all examples
@given(
    st.lists(FOLDED, min_size=1, max_size=8),
    st.lists(FOLDED | st.text(max_size=5), min_size=1, max_size=4),
    st.floats(0.05, 1),
)
def test_shares_are_those_of_difflib(sizes, sentences, texts, least):
    owners, numbers = np.divmod(np.arange(len(texts) * len(sentences)), len(sentences))
    found = Shares(sentences, least).of(texts, owners, numbers)
    for owner, number, share in zip(owners, numbers, found, strict=True):
        expected = reference_share(sentences[number], texts[owner])
        assert share == (expected if expected >= least else 0)


def test_no_pairs_have_no_shares():
    assert Shares(["derhund"], 0.5).of([], np.arange(0), np.arange(0)).tolist() == []
