"""One training at a time on a device: across processes, and free when its holder is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seq2seq.__main__ import run_stage
from seq2seq.common import environment, lease
from seq2seq.common.errors import TransientError, UserError
from tests.support import projects

HOLD = """
import time
from seq2seq.common import lease
with lease.held():
    print(1, flush=True)
    time.sleep(99)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(projects.ROOT)
    monkeypatch.setattr(lease, "DRIVER", tmp_path / "none")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SEQ2SEQ_DEVICE": "cpu"}, []),
        ({"SEQ2SEQ_DEVICE": ""}, []),
        ({"SEQ2SEQ_DEVICE": "cpu", "SEQ2SEQ_LEASE": "lab"}, ["SEQ2SEQ_LEASE=lab"]),
        ({"SEQ2SEQ_DEVICE": "cuda"}, ["cuda:0"]),
        ({"SEQ2SEQ_DEVICE": "cuda:1"}, ["cuda:1"]),
        ({"SEQ2SEQ_DEVICE": "cuda:1", "CUDA_VISIBLE_DEVICES": "4,5"}, ["cuda:5"]),
        ({"SEQ2SEQ_DEVICE": "cuda", "SEQ2SEQ_PROCESSES": "2"}, ["cuda:0", "cuda:1"]),
        ({"SEQ2SEQ_DEVICE": "cuda", "SEQ2SEQ_LEASE": "none"}, []),
    ],
)
def test_the_devices_of_a_training(
    variables: dict[str, str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert lease.resources() == expected
    assert lease.named() == ("lab" if "lab" in variables.values() else "")


def test_a_device_that_is_found_is_leased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQ2SEQ_DEVICE")
    (tmp_path / "none").touch()
    assert lease.resources() == ["cuda:0"]


def test_a_holder_that_is_killed_frees_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SEQ2SEQ_LEASE", "lab")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "1\n"
        monkeypatch.setenv("SEQ2SEQ_BUSY", "refuse")
        with pytest.raises(TransientError, match=r"SEQ2SEQ_LEASE=lab \(.*held.*process \d+, since"):
            lease.held().__enter__()
        # As a stage: an error that a flow tries again, and nothing is trained.
        record = tmp_path / "outcome.json"
        monkeypatch.setenv(environment.OUTCOME_FILE, str(record))
        assert run_stage("train") == 1
        assert '"class": "transient"' in record.read_text()
        monkeypatch.setenv("RANK", "0")  # of several processes whose launcher has the lease
        with lease.held():
            pass
        monkeypatch.delenv("RANK")
    finally:
        holder.kill()
        holder.communicate()
    began = time.monotonic()
    with lease.held():
        assert time.monotonic() - began < 5
    monkeypatch.setenv("SEQ2SEQ_BUSY", "later")
    with pytest.raises(UserError, match="SEQ2SEQ_BUSY=later: must be wait or refuse"):
        lease.waits()
