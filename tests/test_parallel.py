"""Several processes train as one would, stop together, and end when one of them does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import ranks
import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from seq2seq.common.errors import TransientError, UserError
from seq2seq.data.tokens import TokenWriter
from seq2seq.training import distributed

RANKS = str(Path(ranks.__file__))


@pytest.fixture
def folder(tmp_path) -> Path:
    """Sentences of a handful of words, and one too long to share its batch with any other."""
    random = np.random.default_rng(1)
    with TokenWriter(tmp_path, "train") as writer:
        for side in ("source", "target"):
            sentences = [random.integers(4, 30, random.integers(2, 9)).tolist() for _ in range(60)]
            writer.append(side, [*sentences, [5] * 40])
    return tmp_path


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """What a launch sets stays within a test."""
    for name in (distributed.LAUNCHER, "GLOO_SOCKET_IFNAME", "TORCHELASTIC_SIGNALS_TO_HANDLE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def seen(folder: Path, rank: int) -> dict:
    return torch.load(folder / f"rank{rank}of2.pt")


def running(folder: Path) -> list[int]:
    """The ranks of a test that are alive; of which one, its folder says."""
    ours = {RANKS, str(folder)}
    found = psutil.process_iter(["cmdline", "status"])
    return [p.pid for p in found if ours <= {*(p.info["cmdline"] or ())} and p.info["status"] != "zombie"]


@pytest.mark.slow
def test_two_ranks_train_as_one_process(folder, capfd):
    distributed.launch(2, RANKS, str(folder), "none")
    said = capfd.readouterr()
    assert said.out.count("says this") == 1
    assert "rank 0 says this" in said.out
    assert said.err == ""
    first, second = seen(folder, 0), seen(folder, 1)
    alone = ranks.train(distributed.World(), folder)
    assert len(alone["losses"]) == ranks.UPDATES
    assert [sum(rows) for rows in zip(first["rows"], second["rows"], strict=True)] == alone["rows"]
    assert 0 in second["rows"]  # that batch has one row, and the second rank none of it
    for name in ("losses", "gradients"):
        for one, two in zip(alone[name], first[name], strict=True):
            torch.testing.assert_close(two, one, rtol=1e-10, atol=1e-12)
    assert torch.equal(first["weights"], second["weights"])
    assert first["drawn"] != second["drawn"]  # each has a dropout of its own
    assert first["drawn"] == alone["drawn"]  # and the first one's is what one process has


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_all_and_is_named(folder, capfd):
    with pytest.raises(UserError, match=r"rank 1 of 2 was killed \(SIGKILL\).*last checkpoint"):
        distributed.launch(2, RANKS, str(folder), "kill")
    assert running(folder) == []
    assert len(seen(folder, 0)["losses"]) == ranks.MOMENT - 1
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_rank_that_is_asked_to_stop_stops_all_at_the_same_update(folder, capfd):
    with pytest.raises(KeyboardInterrupt):
        distributed.launch(2, RANKS, str(folder), "stop")
    assert running(folder) == []
    assert [len(seen(folder, rank)["losses"]) for rank in (0, 1)] == [ranks.MOMENT] * 2
    assert capfd.readouterr().err == ""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_ctrl_c_reaches_all_ranks(folder):
    with pytest.raises(KeyboardInterrupt):
        distributed.launch(2, RANKS, str(folder), "stop launcher")
    assert running(folder) == []
    assert len(seen(folder, 0)["losses"]) == len(seen(folder, 1)["losses"]) < ranks.UPDATES


@pytest.mark.slow
def test_what_a_rank_raises_is_raised_by_the_launcher(folder, capfd):
    with pytest.raises(TransientError, match=r"^the moon is away$"):
        distributed.launch(2, RANKS, str(folder), "raise")
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_ranks_that_differ_are_told_so_once(folder, capfd):
    with pytest.raises(UserError, match="2 processes differ in their number: they need the same params"):
        distributed.launch(2, RANKS, str(folder), "differ")
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_rank_that_is_silent_for_too_long_ends_all(folder):
    with pytest.raises(UserError, match=r"rank 1 of 2 was silent for .* and then killed"):
        distributed.launch(2, RANKS, str(folder), "hang")
    assert running(folder) == []


@pytest.mark.slow
def test_no_rank_outlives_a_launcher_that_is_killed(folder):
    code = "import sys; from seq2seq.training import distributed; distributed.launch(2, *sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, RANKS, str(folder), "kill launcher"], check=False)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while running(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running(folder) == []
    assert len(seen(folder, 0)["losses"]) == len(seen(folder, 1)["losses"]) < ranks.UPDATES


LOST = distributed.LostError(f"another rank was {distributed.SILENT}")
GONE = distributed.LostError("another rank does not answer")


@pytest.mark.parametrize(
    ("ended", "raised"),
    [
        ([(1, GONE), (-9, None)], UserError("rank 1 of 2 was killed (SIGKILL), so all have ended: ")),
        ([(-9, None), (1, GONE)], UserError("rank 0 of 2 was killed (SIGKILL), so all have ended: ")),
        ([(1, LOST), (-9, None)], UserError("rank 1 of 2 was silent for 0:10:00 and then killed ")),
        ([(1, GONE), (1, UserError("no, not so"))], UserError("no, not so")),
        ([(1, FileNotFoundError(2, "gone")), (1, GONE)], OSError("[Errno 2] gone")),
        ([(1, torch.OutOfMemoryError("2 GiB")), (1, GONE)], torch.OutOfMemoryError("2 GiB")),
        ([(1, GONE), (1, KeyError("x"))], RuntimeError("rank 1 of 2 ended with status 1")),
        ([(1, GONE), (7, None)], RuntimeError("rank 1 of 2 ended with status 7")),
        ([(-6, None), (1, GONE)], UserError("rank 0 of 2 aborted, so all have ended: ")),
        ([(-6, UserError("told, then aborted")), (1, GONE)], UserError("told, then aborted")),
        ([(130, None), (1, GONE)], KeyboardInterrupt()),
        ([(1, GONE)], GONE),
    ],
)
def test_a_failure_is_that_of_the_rank_which_failed_first(tmp_path, monkeypatch, ended, raised):
    failures = {}
    for rank, (status, error) in enumerate(ended):
        file = tmp_path / f"{rank}.json"
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(file))
        if error:
            distributed._record(error)
        failures[rank] = ProcessFailure(rank, 100 + rank, status, str(file))
    cause = distributed._cause(ChildFailedError("train", failures), 2)
    assert type(cause) is type(raised)
    assert str(cause).startswith(str(raised))


@pytest.mark.parametrize("wanted", ["two", "0", "-1", "1.5"])
def test_a_number_of_processes_that_is_none_is_named(monkeypatch, wanted):
    monkeypatch.setenv(distributed.PROCESSES, wanted)
    with pytest.raises(UserError, match=f"{distributed.PROCESSES}={wanted}"):
        distributed.processes()


def test_a_process_that_is_one_of_several_launches_none(monkeypatch):
    monkeypatch.delenv(distributed.PROCESSES, raising=False)
    assert distributed.processes() == 1
    monkeypatch.setenv(distributed.PROCESSES, "4")
    assert distributed.processes() == 4
    monkeypatch.setenv("RANK", "1")
    assert distributed.processes() == 1


def test_one_process_is_a_world_that_changes_nothing():
    torch.manual_seed(1)
    expected = torch.rand(())
    torch.manual_seed(1)
    gradient = torch.ones(3)
    with distributed.join() as world:
        world.begin([gradient], seed=1, update=5)
        world.sum_([gradient])
        world.agree("nothing", os.urandom(9))
        assert (world.any(True), world.any(False)) == (True, False)
    assert (world, world.share, world.first) == (distributed.World(0, 1), (0, 1), True)
    assert gradient.tolist() == [1, 1, 1]
    assert torch.rand(()) == expected
    assert not torch.distributed.is_initialized()


def test_what_a_rank_s_own_device_says_in_a_sum_is_its_own(monkeypatch):
    def all_reduce(*_):
        raise raised

    monkeypatch.setattr(distributed.dist, "all_reduce", all_reduce)
    world = distributed.World(0, 2)
    for raised in (torch.OutOfMemoryError("CUDA out of memory"), torch.AcceleratorError("illegal access")):
        with pytest.raises(type(raised)):
            world.sum_([torch.ones(1)])
    raised = RuntimeError("")
    with pytest.raises(distributed.LostError, match="does not answer"):
        world.sum_([torch.ones(1)])
