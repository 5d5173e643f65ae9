"""The cost of every filter is measured."""

import pytest

from benchmarks import corpus_large, filter_costs
from seq2seq.data import filters, opus
from seq2seq.data.direction import Direction, Side


@pytest.mark.slow
def test_every_filter_has_a_cost(monkeypatch):
    monkeypatch.setattr(corpus_large, "BLOCK", 60)
    monkeypatch.setattr(filter_costs, "HELD_OUT", 20)
    [pairs] = corpus_large.corpus(60)
    found = filter_costs.measure(pairs, Direction(Side("de"), Side("en")), rounds=1)
    other = {filters.DEVIATION, opus.REASON}  # a comparison of numbers; filters of another package
    assert found.keys() >= {*filters.NAMES, "tidy", "contamination", "digest"} - other
    assert all(spent >= 0 for spent in found.values())
