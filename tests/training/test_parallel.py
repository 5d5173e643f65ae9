"""Several processes train as one, stop together, and end when one of them ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from seq2seq.common.errors import Figure, QualityError, TransientError, UserError
from seq2seq.data.tokens import TokenWriter
from seq2seq.training import distributed
from tests.support import ranks
from tests.support.waiting import wait_for

RANKS = str(Path(ranks.__file__))


@pytest.fixture
def folder(tmp_path) -> Path:
    """Sentences of a few words, and one so long that it is a batch of its own."""
    random = np.random.default_rng(1)
    with TokenWriter(tmp_path, "train") as writer:
        for side in ("source", "target"):
            sentences = [random.integers(4, 30, random.integers(2, 9)).tolist() for _ in range(60)]
            writer.append(side, [*sentences, [5] * 40])
    return tmp_path


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Limits the variables set by a launch to a test."""
    for name in (distributed.LAUNCHER, "GLOO_SOCKET_IFNAME", "TORCHELASTIC_SIGNALS_TO_HANDLE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def seen(folder: Path, rank: int) -> dict:
    return torch.load(folder / f"rank{rank}of2.pt")


def running(folder: Path) -> list[int]:
    """The living ranks of a test, found by its folder."""
    ours = {RANKS, str(folder)}
    found = psutil.process_iter(["cmdline", "status"])
    return [p.pid for p in found if ours <= {*(p.info["cmdline"] or ())} and p.info["status"] != "zombie"]


@pytest.mark.slow
def test_two_ranks_train_as_one_process(folder, capfd):
    distributed.launch(2, RANKS, str(folder), "none")
    output = capfd.readouterr()
    assert output.out.count("prints this") == 1
    assert "rank 0 prints this" in output.out
    assert output.err == ""
    first, second = seen(folder, 0), seen(folder, 1)
    alone = ranks.train(distributed.ProcessGroup(), folder)
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
def test_a_rank_that_is_interrupted_stops_all_at_the_same_update(folder, capfd):
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
def test_the_launcher_raises_a_rank_s_error(folder, capfd):
    with pytest.raises(TransientError, match=r"^the moon is away$"):
        distributed.launch(2, RANKS, str(folder), "raise")
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_ranks_that_differ_raise_one_error(folder, capfd):
    with pytest.raises(UserError, match="2 processes differ in their number: they need the same params"):
        distributed.launch(2, RANKS, str(folder), "differ")
    assert capfd.readouterr().err == ""


@pytest.mark.nightly
@pytest.mark.slow
def test_a_rank_that_hangs_ends_all(folder):
    with pytest.raises(UserError, match=r"rank 1 of 2 was silent for .* and then killed"):
        distributed.launch(2, RANKS, str(folder), "hang")
    assert running(folder) == []


@pytest.mark.slow
def test_no_rank_outlives_a_launcher_that_is_killed(folder):
    code = "import sys; from seq2seq.training import distributed; distributed.launch(2, *sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, RANKS, str(folder), "kill launcher"], check=False)
    assert done.returncode == -signal.SIGKILL
    wait_for(lambda: not running(folder), 20, "the end of the ranks")
    assert len(seen(folder, 0)["losses"]) == len(seen(folder, 1)["losses"]) < ranks.UPDATES


LOST = distributed.PeerLostError(f"another rank was {distributed.SILENT}")
FIGURE = Figure("perplexity", "90", "80", "train.learns_within", "lower the rate")
NO_ANSWER = distributed.PeerLostError("another rank does not answer")


@pytest.mark.parametrize(
    ("ended", "raised"),
    [
        ([(1, NO_ANSWER), (-9, None)], UserError("rank 1 of 2 was killed (SIGKILL), so all have ended: ")),
        ([(-9, None), (1, NO_ANSWER)], UserError("rank 0 of 2 was killed (SIGKILL), so all have ended: ")),
        ([(1, LOST), (-9, None)], UserError("rank 1 of 2 was silent for 0:10:00 and then killed ")),
        ([(1, NO_ANSWER), (1, UserError("no, not so"))], UserError("no, not so")),
        ([(1, QualityError(FIGURE)), (1, NO_ANSWER)], QualityError(FIGURE)),
        ([(1, FileNotFoundError(2, "gone")), (1, NO_ANSWER)], OSError("[Errno 2] gone")),
        ([(1, torch.OutOfMemoryError("2 GiB")), (1, NO_ANSWER)], torch.OutOfMemoryError("2 GiB")),
        ([(1, NO_ANSWER), (1, KeyError("x"))], RuntimeError("rank 1 of 2 ended with status 1")),
        ([(1, NO_ANSWER), (7, None)], RuntimeError("rank 1 of 2 ended with status 7")),
        ([(-6, None), (1, NO_ANSWER)], UserError("rank 0 of 2 aborted, so all have ended: ")),
        ([(-6, UserError("recorded, then aborted")), (1, NO_ANSWER)], UserError("recorded, then aborted")),
        ([(130, None), (1, NO_ANSWER)], KeyboardInterrupt()),
        ([(1, NO_ANSWER)], NO_ANSWER),
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
    assert getattr(cause, "figure", None) == getattr(raised, "figure", None)


@pytest.mark.parametrize("wanted", ["two", "0", "-1", "1.5"])
def test_an_invalid_number_of_processes_is_named(monkeypatch, wanted):
    monkeypatch.setenv(distributed.PROCESSES, wanted)
    with pytest.raises(UserError, match=f"{distributed.PROCESSES}={wanted}"):
        distributed.processes()


def test_a_launched_process_launches_none(monkeypatch):
    monkeypatch.delenv(distributed.PROCESSES, raising=False)
    assert distributed.processes() == 1
    monkeypatch.setenv(distributed.PROCESSES, "4")
    assert distributed.processes() == 4
    monkeypatch.setenv("RANK", "1")
    assert distributed.processes() == 1


def test_a_group_of_one_process_changes_nothing():
    torch.manual_seed(1)
    expected = torch.rand(())
    torch.manual_seed(1)
    gradient = torch.ones(3)
    with distributed.init() as group:
        group.sync([gradient], seed=1, update=5)
        group.sum_([gradient])
        group.check_equal("nothing", os.urandom(9))
        assert (group.any(True), group.any(False)) == (True, False)
    assert (group, group.shard, group.is_main) == (distributed.ProcessGroup(0, 1), (0, 1), True)
    assert gradient.tolist() == [1, 1, 1]
    assert torch.rand(()) == expected
    assert not torch.distributed.is_initialized()


def test_errors_of_a_rank_s_own_device_in_a_sum_are_raised_unchanged(monkeypatch):
    raised: Exception

    def all_reduce(*_):
        raise raised

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    group = distributed.ProcessGroup(0, 2)
    for raised in (torch.OutOfMemoryError("CUDA out of memory"), torch.AcceleratorError("illegal access")):
        with pytest.raises(type(raised)):
            group.sum_([torch.ones(1)])
    raised = RuntimeError("")
    with pytest.raises(distributed.PeerLostError, match="does not answer"):
        group.sum_([torch.ones(1)])
