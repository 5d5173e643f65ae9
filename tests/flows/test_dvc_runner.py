"""Failures around DVC, and the locks that a killed DVC leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flows import dvc_runner
from flows.stage_errors import StageError


def test_a_full_disk_under_dvc_is_the_systems_with_the_remedy(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "ERROR: unexpected error - [Errno 28] No space left on device"
    (toy / "dvc.py").write_text(f"import sys; print({text!r}, file=sys.stderr); sys.exit(255)")
    monkeypatch.setenv("PYTHONPATH", str(toy))
    with pytest.raises(
        StageError, match=r"\[Errno 28\] No space left .*; free space on the disk of"
    ) as caught:
        dvc_runner.run("first", print)
    assert caught.value.kind == "system"


def test_an_interrupted_module_leaves_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow.py").write_text("raise KeyboardInterrupt  # as if it came while this imports torch")
    monkeypatch.chdir(tmp_path)
    printed: list[str] = []
    with pytest.raises(StageError) as caught:
        dvc_runner.call("promote", "slow", [], printed.append)
    assert (caught.value.kind, printed) == ("interrupted", [])


@pytest.mark.parametrize(("signal", "kind"), [("SIGTERM", "interrupted"), ("SIGKILL", "killed")])
def test_a_module_ended_by_a_signal_is_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal: str, kind: str
) -> None:
    (tmp_path / "ended.py").write_text(f"import os, signal; os.kill(os.getpid(), signal.{signal})")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageError, match="ended ended without a message") as caught:
        dvc_runner.call("promote", "ended", [], print)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "text", ['{"write": {', "[]", '{"write": {"x": {"pid": 0x}}}', '{"read": {"x": [{}]}}']
)
def test_a_broken_record_of_locks_is_removed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rwlock"
    dvc_runner.clear_stale_locks(path)
    path.write_text(text)
    dvc_runner.clear_stale_locks(path)
    assert not path.exists()


def test_an_empty_record_of_a_run_is_removed(tmp_path: Path) -> None:
    empty, whole = tmp_path / "ab/abc", tmp_path / "cd/cde"
    empty.mkdir(parents=True)
    whole.mkdir(parents=True)
    (whole / "f").write_text("cmd: x")
    dvc_runner.remove_empty_records(tmp_path)
    assert (empty.exists(), (whole / "f").exists()) == (False, True)


def test_a_record_of_locks_stays_while_one_of_them_lives(tmp_path: Path) -> None:
    path = tmp_path / "rwlock"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid, kept in ((os.getpid(), True), (gone.pid, False)):
        infos = {"write": {"x": {"pid": gone.pid, "cmd": ""}}, "read": {"y": [{"pid": pid, "cmd": ""}]}}
        path.write_text(json.dumps(infos))
        dvc_runner.clear_stale_locks(path)
        assert path.exists() is kept


def test_a_process_with_the_number_of_a_dead_one_holds_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "rwlock"
    path.write_text(json.dumps({"write": {"x": {"pid": os.getpid(), "cmd": ""}}}))
    before = psutil.Process().create_time() - 2 * dvc_runner.CLOCKS  # this process began
    os.utime(path, (before, before))
    dvc_runner.clear_stale_locks(path)
    assert not path.exists()
