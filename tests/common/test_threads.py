"""The number of threads: free processors, unless a checkpoint or the user sets it."""

import math
import os
import subprocess
import sys

import pytest
import torch

from seq2seq.common import threads
from seq2seq.common.threads import Neighbours, choose_threads, keep_threads


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
