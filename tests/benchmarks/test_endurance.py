"""The figures of the endurance benchmark, and what it refuses; tests/slow has a run."""

from __future__ import annotations

import pytest

from benchmarks import endurance
from benchmarks.endurance import Change, report

FOUND = {
    **{"rate": 50.0, "seconds": 10.0, "failed": 2, "p50": 0.1, "p99": 1.25},
    **{"memory": 300 * 2**20, "memory_before": 200 * 2**20, "deaths": 1},
}


def test_all_requests_are_counted_and_each_change_is_named():
    lines = report(FOUND, [Change("promotion", "2", 3.21), Change("rollback", "1", None)])
    assert lines == [
        "502 requests in 10 s, 2 failed",
        "50.0 a second, p50 100 ms, p99 1,250 ms",
        "memory 200 MB before, 300 MB after; processes that died: 1",
        "promotion: version 2 served after 3.2 s",
        "rollback: version 1 did not serve",
    ]


def test_a_folder_that_is_missing_is_named(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert endurance.main(["--model", "nowhere"]) == 2
    assert "nowhere is not a model folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
