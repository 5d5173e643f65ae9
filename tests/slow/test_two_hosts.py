"""Two hosts that promote into one registry: one champion results, and the log is true."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import projects
from tests.support.gate import aliases, log
from tests.support.registered import register
from tests.support.waiting import wait_for

EACH = 4


@pytest.mark.timeout(900)
def test_the_log_is_one_chain_that_ends_at_the_champion(project: Path) -> None:
    for _ in range(2 * EACH):
        register(project, "m")
    numbers = [str(number) for number in range(1, 2 * EACH + 1)]
    hosts = {"one": numbers[:EACH], "two": numbers[EACH:]}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.promoting", host, *mine],
            env={**os.environ, "PYTHONPATH": str(projects.ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for host, mine in hosts.items()
    ]
    wait_for(lambda: all(Path(f"{host}.ready").exists() for host in hosts), 120, "both hosts")
    Path("go").touch()
    lost = [process.communicate(timeout=600)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    done = {champion: version for _, champion, version, state in log() if state == "done"}
    assert len(done) == sum(state == "done" for *_, state in log()) == 2 * EACH
    chain: list[str] = []
    last: str | None = None
    while last in done:
        last = done[last]
        chain.append(last)
    assert sorted(chain) == sorted(numbers)
    assert aliases()["champion"] == chain[-1]
    assert aliases()["previous"] == chain[-2]
    states = [state for *_, state in log()]
    assert states.count("cancelled") == sum(map(int, lost))
    assert "open" not in states
