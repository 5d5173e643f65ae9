"""Work over shards in several processes: results in order, errors unchanged, and no process left."""

import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from seq2seq.common import shards
from seq2seq.common.errors import UserError
from seq2seq.data import cleaning
from seq2seq.data.cleaning import cut
from tests.support import shard_work
from tests.support.cleaned import mixed, outputs, run
from tests.support.projects import ROOT
from tests.support.waiting import ended, wait_for


@pytest.fixture(autouse=True)
def three_workers(monkeypatch):
    monkeypatch.setenv("SEQ2SEQ_WORKERS", "3")
    yield
    assert multiprocessing.active_children() == []


def test_results_are_in_order_whichever_process_is_first():
    found = list(shards.over(shard_work.square, range(40)))
    assert [result for _, result in found] == [number * number for number in range(40)]
    assert os.getpid() not in {process for process, _ in found}
    assert len({process for process, _ in found}) > 1


def test_an_error_of_the_work_comes_through_and_ends_the_workers():
    with pytest.raises(UserError, match=r"^shard 3 is wrong$"):
        list(shards.over(shard_work.fail, range(20)))


def test_a_worker_that_is_killed_once_costs_no_result(tmp_path, capsys):
    found = list(shards.over(shard_work.DieOnce(tmp_path / "died"), range(20)))
    assert found == list(range(20))
    assert "one of 3 worker processes has ended after shard" in capsys.readouterr().out


def test_a_worker_that_is_killed_again_is_an_error_with_a_remedy():
    with pytest.raises(shards.WorkerLostError, match=r"lack of memory: .* by SEQ2SEQ_WORKERS=1"):
        list(shards.over(shard_work.die, range(20)))


def test_a_loop_that_is_left_early_ends_the_workers():
    with closing(shards.over(shard_work.square, range(1000))) as results:
        assert next(results)[1] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a parent's death")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlasts_its_parent(tmp_path, number):
    parent = subprocess.Popen([sys.executable, "-m", "tests.support.shard_work", str(tmp_path)], cwd=ROOT)
    pids = wait_for(lambda: (found := [int(path.name) for path in tmp_path.iterdir()])[2:] and found)
    parent.send_signal(number)
    parent.wait(60)
    assert wait_for(lambda: all(map(ended, pids)), subject="the end of the workers")


def test_several_processes_clean_as_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cleaning, "cut", lambda sources: cut(sources, 7))
    found = []
    for processes in ("1", "3"):
        monkeypatch.setenv("SEQ2SEQ_WORKERS", processes)
        run(mixed())
        found.append(outputs())
    assert found[0] == found[1]
