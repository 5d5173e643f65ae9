"""Common runs are those of Python's difflib, whatever the letters and however often they repeat."""

from difflib import SequenceMatcher
from itertools import combinations_with_replacement

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data.shares import LONG, RUN, SLACK, Shares

PHRASES = st.lists(
    st.sampled_from(["abab", "derhund", "dasch", "ab", "學校", "x", "dasch", "7"]), max_size=14
)
FOLDED = (PHRASES.map("".join) | st.text("abc", max_size=60)).filter(lambda text: len(text) >= RUN)


def reference(sentence: str, text: str) -> float:
    blocks = SequenceMatcher(None, sentence, text, autojunk=False).get_matching_blocks()
    runs = [run for run in blocks if run.size >= RUN]
    length, width = len(sentence), len(text)
    shares = [2 * sum(run.size for run in runs) / (length + width)]
    if length >= LONG and width > length:
        for first, last in combinations_with_replacement(range(len(runs)), 2):
            piece = runs[last].b + runs[last].size - runs[first].b
            shares.append(sum(run.size for run in runs[first : last + 1]) / max(length, piece))
    return max(shares)


@given(st.lists(FOLDED, min_size=1, max_size=8), FOLDED | st.text(max_size=5), st.floats(0.05, 1))
def test_shares_are_those_of_difflib(sentences, text, least):
    found = dict(Shares(sentences, least).of(text, np.arange(len(sentences))))
    expected = {number: reference(sentence, text) for number, sentence in enumerate(sentences)}
    for number, share in expected.items():
        if share >= least + SLACK:
            assert abs(found[number] - share) < SLACK
        assert number not in found or share >= least - SLACK
    assert Shares(sentences, least).of(text, np.arange(0)) == []


@given(st.lists(FOLDED, min_size=2, max_size=6), st.lists(FOLDED, min_size=2, max_size=4))
def test_a_text_leaves_no_trace(sentences, texts):
    shares, every = Shares(sentences, 0.3), np.arange(len(sentences))
    assert [shares.of(text, every) for text in texts] == [
        Shares(sentences, 0.3).of(text, every) for text in texts
    ]
