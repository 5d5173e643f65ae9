"""Starting servers again after they were killed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.services import run, supervise, topology
from tests.services.conftest import OFFSET
from tests.support.waiting import wait_for


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[supervise.Processes, topology.Topology]]:
    """A database of its own that runs."""
    folder = Path(tempfile.mkdtemp(prefix="seq2seq-supervise-"))
    folder.chmod(0o711)
    monkeypatch.setenv("SERVICES_FOLDER", str(folder))
    monkeypatch.setenv("SERVICES_PORT_OFFSET", str(OFFSET + 50))
    where = topology.from_environment()
    topology.write_secrets(where.secrets)
    processes = supervise.Processes(folder)
    processes.start("database", where)
    try:
        processes.wait(["database"], where)
        yield processes, where
    finally:
        processes.stop(["database"])
        shutil.rmtree(folder)


# The servers outlive the objects that started them.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(300)
def test_smoke_a_database_starts_again_though_its_killed_process_is_not_gone(database) -> None:
    processes, where = database
    killed = processes.running("database")
    assert killed is not None
    tree = [killed, *killed.children(recursive=True)]
    for process in tree:
        process.kill()
    psutil.wait_procs(tree, timeout=30)
    # In the place of the killed process: one of the same user that stays for some seconds.
    pid_file = where.folder / "database/data/postmaster.pid"
    lines = pid_file.read_text().splitlines()
    with subprocess.Popen([*run.as_postgres(), "sleep", "60"]) as ending:
        pid_file.write_text("\n".join([str(ending.pid), *lines[1:], ""]))
        processes.start("database", where)
        log = processes.logs / "database.log"
        refused = 'lock file "postmaster.pid" already exists'
        wait_for(lambda: refused in log.read_text(), 60, "the refusal", poll=0.1)
        ending.kill()
        ending.wait()
        processes.wait(["database"], where)
    assert processes.running("database") is not None
