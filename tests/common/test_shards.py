"""Work over shards: results in order, errors unchanged, and no process left."""

import os
import socket
import sys

import pytest

from seq2seq.common import shards
from seq2seq.common.errors import UserError


def test_the_number_of_processes_is_the_variable_s_or_that_of_the_processors(monkeypatch):
    monkeypatch.delenv("SEQ2SEQ_WORKERS", raising=False)
    monkeypatch.setattr("seq2seq.common.processors.available", lambda: 5)
    assert shards.workers() == 5
    monkeypatch.setenv("SEQ2SEQ_WORKERS", "3")
    assert shards.workers() == 3
    for wrong in ("0", "-1", "many"):
        monkeypatch.setenv("SEQ2SEQ_WORKERS", wrong)
        with pytest.raises(UserError, match=f"SEQ2SEQ_WORKERS={wrong}: it must be a number"):
            shards.workers()


def test_an_unknown_engine_is_refused(monkeypatch):
    monkeypatch.setenv("SEQ2SEQ_ENGINE", "spark")
    with pytest.raises(UserError, match="SEQ2SEQ_ENGINE=spark: there are processes"):
        list(shards.over(str, [1]))


def test_a_missing_ray_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("SEQ2SEQ_ENGINE", "ray")
    with pytest.raises(UserError, match=r"pip install 'seq2seq\[ray\]'"):
        list(shards.over(str, [1]))


def test_one_process_is_this_one(monkeypatch):
    monkeypatch.setenv("SEQ2SEQ_WORKERS", "1")
    assert set(shards.over(lambda _: os.getpid(), [1, 2, 3])) == {os.getpid()}


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}", "127.0.0.1:port"])
def test_an_address_without_a_cluster_is_refused_at_once(address):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UserError, match=r"RAY_ADDRESS=.*no cluster of Ray answers.*unset RAY_ADDRESS"):
        shards._check_reachable(address.format(port=port))


def test_an_address_that_answers_is_left_to_ray():
    with socket.create_server(("127.0.0.1", 0)) as server:
        shards._check_reachable(f"127.0.0.1:{server.getsockname()[1]}")
    shards._check_reachable("auto")
