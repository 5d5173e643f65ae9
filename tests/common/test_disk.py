"""A full disk is reported with the place to free space."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import console, failures
from seq2seq.common import disk
from seq2seq.common.errors import TransientError


@pytest.fixture
def fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make some folders of an empty project full."""
    monkeypatch.chdir(tmp_path)
    for name in ("mlruns", ".prefect", ".dvc/cache"):
        (tmp_path / name).mkdir(parents=True)
    real = os.statvfs

    def with_full(*names: str) -> None:
        def statvfs(place: str) -> Any:
            return SimpleNamespace(f_bavail=0, f_frsize=4096) if str(place) in names else real(place)

        monkeypatch.setattr(os, "statvfs", statvfs)

    return with_full


def test_the_file_is_named_or_else_the_place_that_is_full(fill: Any) -> None:
    named = OSError(errno.ENOSPC, "No space left on device", "mlruns/1/a")
    assert disk.explain(named).endswith("mlruns/1/a; free space on the disk of mlruns/1/a and run again")
    fill(".prefect")
    assert disk.explain(OSError(errno.EDQUOT, "Disk quota exceeded")).endswith(
        "disk of .prefect and run again"
    )
    assert disk.explain(OSError("[Errno 28] Error writing bytes: No space left on device")).endswith("again")
    assert disk.explain(OSError(errno.EACCES, "Permission denied", "a")) == "Permission denied: a"


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device; free space on"),
        (
            RuntimeError("(sqlite3.OperationalError) database or disk is full\nmore"),
            "error: (sqlite3.Operational",
        ),
        (RuntimeError("the API answered 500"), "error: the API answered 500"),
        (TransientError("the run's own Prefect server did not start"), "error: the run's own Prefect server"),
    ],
)
def test_a_command_ends_in_two_lines_on_a_full_disk(
    fill: Any, capsys: pytest.CaptureFixture[str], failure: Exception, line: str
) -> None:
    def body() -> int:
        raise failure

    fill(".prefect")
    assert failures.status_of(body, console.terminal(), "") == 1
    output = capsys.readouterr().err
    assert output.startswith(line)
    assert "free space on the disk of .prefect and run again" in output
    assert len(output.splitlines()) <= 2


def test_other_errors_keep_their_traceback(fill: Any) -> None:
    def body() -> int:
        raise RuntimeError("a mistake in the code")

    with pytest.raises(RuntimeError):
        failures.status_of(body, console.terminal(), "")
