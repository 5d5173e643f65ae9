"""The named lease on a Prefect server: held across processes, refused, and free after its holder's death."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import lease
from seq2seq.common.errors import TransientError
from tests.slow.test_schedule import answers, free_port, process
from tests.support import prefect_home, projects
from tests.support.waiting import wait_for

HOLD = """
import time
from flows import lease
with lease.across_hosts(print):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real one: that of Prefect's test harness ends no leases."""
    port = free_port()
    variables = {
        "PREFECT_HOME": prefect_home.fill(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",
    }
    log = tmp_path / "server.log"
    command = ("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    with process(projects.ROOT, log, variables, *command):
        wait_for(lambda: answers(f"{variables['PREFECT_API_URL']}/health"), 180, "the server", log.read_text)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_lease_is_refused_waited_for_and_freed_by_death(
    server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQ2SEQ_LEASE", "lab")
    lines: list[str] = []
    for _ in range(2):  # released at the end, and made once
        with lease.across_hosts(lines.append):
            pass
    assert lines == []
    environment = {**os.environ}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, env=environment
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        monkeypatch.setenv("SEQ2SEQ_BUSY", "refuse")
        with pytest.raises(TransientError, match=r"seq2seq-lab is held \(1 of 1\), and SEQ2SEQ_BUSY=refuse"):
            lease.across_hosts(lines.append).__enter__()
        holder.kill()
    monkeypatch.setenv("SEQ2SEQ_BUSY", "wait")
    with lease.across_hosts(lines.append):
        assert lines[-1] == "the lease seq2seq-lab is held (1 of 1): waiting for it"
