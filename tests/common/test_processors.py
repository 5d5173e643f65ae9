"""The number of processors: affinity and the limits of control groups."""

import math
import os

import pytest

from seq2seq.common import processors
from seq2seq.common.processors import quota


@pytest.mark.parametrize(("limit", "expected"), [(math.inf, 4), (2.5, 2), (0.3, 1), (8.0, 4)])
def test_the_smaller_of_affinity_and_quota_counts_and_one_at_least(monkeypatch, limit, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(processors, "quota", lambda: limit)
    assert processors.available() == expected


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("0::/", {"cpu.max": "max 100000"}, math.inf),
        ("0::/a/b", {"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 1.5),
        ("0::/from/the/host", {"cpu.max": "200000 100000"}, 2.0),
        ("4:cpu,cpuacct:/c", {"cpu/c/cpu.cfs_quota_us": "50000", "cpu/c/cpu.cfs_period_us": "100000"}, 0.5),
        ("4:cpu,cpuacct:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
        ("3:memory:/m", {"cpu.max": "100000 100000"}, math.inf),
    ],
)
def test_the_limits_of_control_groups_are_read(monkeypatch, tmp_path, group, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    (tmp_path / "group").write_text(f"{group}\n")
    monkeypatch.setattr(processors, "GROUP", tmp_path / "group")
    monkeypatch.setattr(processors, "GROUPS", tmp_path)
    assert quota() == expected


def test_without_control_groups_there_is_no_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(processors, "GROUP", tmp_path / "none")
    assert quota() == math.inf
