"""The number of threads: free processors, unless a checkpoint or the user sets it."""

import math
import os
import subprocess
import sys

import pytest
import torch

from seq2seq.common import threads
from seq2seq.common.threads import Neighbours, choose_threads, keep_threads, quota


@pytest.fixture(autouse=True)
def four_processors(monkeypatch):
    """A machine with this number of processors, none in use by others."""
    now = {"threads": 4}
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: now["threads"])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: now.update(threads=count))
    monkeypatch.setattr(threads, "least_usage", lambda: 0.0)
    monkeypatch.setattr(threads, "quota", lambda: math.inf)


def use(monkeypatch, others: float) -> None:
    monkeypatch.setattr(threads, "least_usage", lambda: others)


@pytest.mark.parametrize(
    ("others", "expected"), [(0.0, 4), (0.29, 4), (1.0, 3), (1.4, 3), (2.6, 1), (9.0, 1)]
)
def test_as_many_as_others_leave_free(monkeypatch, capsys, others, expected):
    use(monkeypatch, others)
    choose_threads("train")
    assert torch.get_num_threads() == expected
    printed = capsys.readouterr().out
    assert (
        printed == "" if expected == 4 else f"train: threads: {expected}, not 4: other processes" in printed
    )


def test_the_user_s_setting_is_kept(monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    use(monkeypatch, 3.0)
    choose_threads("train")
    keep_threads("train", 2)
    assert torch.get_num_threads() == 4
    assert capsys.readouterr().out == ""


def test_a_control_group_s_share_is_the_limit(monkeypatch, capsys):
    monkeypatch.setattr(threads, "quota", lambda: 2.5)
    choose_threads("train")
    assert torch.get_num_threads() == 2
    assert "this is the quota of the control group" in capsys.readouterr().out


def test_a_checkpoint_s_number_is_kept_where_there_are_as_many_processors(capsys):
    keep_threads("train", 2)
    assert torch.get_num_threads() == 2
    assert "train: threads: 2, not 4: as in the checkpoint" in capsys.readouterr().out
    for kept in (None, 2, 64):
        keep_threads("train", kept)
    assert torch.get_num_threads() == 2
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(not threads.STAT.is_file(), reason="this system has no counters of processor time")
def test_a_busy_process_is_counted(monkeypatch):
    monkeypatch.undo()
    loop = "import sys, time; end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    usage = threads.Usage()
    subprocess.run([sys.executable, "-c", loop], check=True)
    assert usage.read() > 0.1


class Others:
    """A stub of Usage."""

    def __init__(self, *used: float) -> None:
        self.used = list(used)

    def read(self) -> float:
        return self.used.pop(0)


@pytest.mark.parametrize(("own", "warned"), [(4, True), (3, False), (1, False)])
def test_training_warns_once_that_threads_wait(monkeypatch, own, warned):
    torch.set_num_threads(own)
    monkeypatch.setattr(threads, "Usage", lambda: Others(0.2, 1.0, 1.0, 1.0))
    neighbours = Neighbours(interval=0.0)
    lines = [line for _ in range(3) if (line := neighbours.warning())]
    assert len(lines) == warned
    if warned:
        assert "other processes use 1.0 of 4 processors, so 4 threads wait" in lines[0]
        assert "continue with OMP_NUM_THREADS=3" in lines[0]


def test_between_measurements_nothing_is_read(monkeypatch):
    monkeypatch.setattr(threads, "Usage", lambda: Others())
    assert Neighbours(interval=1000.0).warning() is None


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
    monkeypatch.setattr(threads, "GROUP", tmp_path / "group")
    monkeypatch.setattr(threads, "GROUPS", tmp_path)
    assert quota() == expected


def test_without_control_groups_there_is_no_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "GROUP", tmp_path / "none")
    assert quota() == math.inf
