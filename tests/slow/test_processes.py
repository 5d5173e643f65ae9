"""Child processes end with their parent, also if it ended before they started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.common import processes
from tests.support.projects import ROOT
from tests.support.waiting import ended, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a parent's death")


def gone() -> int:
    """The pid of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_a_child_whose_parent_has_ended_before_stops(tmp_path: Path) -> None:
    command = [sys.executable, "-P", processes.__file__, str(gone()), "json.tool", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the parent process has ended" in done.stderr


def stage(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A stage in an empty folder, where it fails for params.yaml."""
    return subprocess.run(
        [sys.executable, "-m", "seq2seq", "ingest"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_stage_whose_dvc_has_ended_before_stops(tmp_path: Path) -> None:
    assert "params.yaml is missing" in stage(tmp_path).stderr
    assert "params.yaml is missing" in stage(tmp_path, **{processes.RUNNER: str(os.getppid())}).stderr
    assert (
        "the DVC process that ran this stage has ended"
        in stage(tmp_path, **{processes.RUNNER: str(gone())}).stderr
    )


def test_without_a_flow_a_stage_finds_dvc_in_dvcs_record(tmp_path: Path) -> None:
    record = tmp_path / processes.RWLOCK
    record.parent.mkdir(parents=True)
    for pid, text in (
        (os.getpid(), "params.yaml is missing"),
        (gone(), "the DVC process that ran this stage has ended"),
    ):
        record.write_text(json.dumps({"write": {"/data/raw": {"pid": pid, "cmd": "dvc repro"}}, "read": {}}))
        assert text in stage(tmp_path, DVC_STAGE="ingest").stderr
    for broken in (
        "",
        "{",
        "[]",
        '{"write": {"a": 1}}',
        "{}",
    ):  # without a record nothing is stopped
        record.write_text(broken)
        assert "params.yaml is missing" in stage(tmp_path, DVC_STAGE="ingest").stderr


GATE = """
import sys
from seq2seq.gate import isolated
head = isolated.QUERY.partition("def short")[0]
does = "import os, pathlib, time; pathlib.Path(%r).write_text(str(os.getpid())); time.sleep(300)"
isolated.QUERY = head + does
isolated.registry.recorded_digest = lambda uri: None
isolated.query("models:/x/1", "sqlite:///x", ["a"])
"""


def test_a_killed_gate_leaves_no_model_process(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    asker = subprocess.Popen(
        [sys.executable, "-c", GATE % str(file)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        wait_for(lambda: file.exists() and file.read_text(), 60, "the model's process")
        asker.kill()
        asker.wait()
        assert wait_for(lambda: ended(int(file.read_text())), 60, "the end of the model's process")
    finally:
        asker.kill()
        asker.wait()
