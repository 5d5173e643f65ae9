"""Costs of stages, and the budget that stops one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows import child as child_
from flows import cost, failures
from flows.stage_errors import REMEDIES, StageError
from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.common.exits import Exit
from seq2seq.tracking import client, runs

WORK = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass"


@pytest.fixture(autouse=True)
def folder(project: Path) -> None:
    """The record of costs is in the current folder."""


def work(seconds: float) -> None:
    """A child, and a child of it, that compute."""
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORK.format(seconds)!r}])"
    subprocess.run([sys.executable, "-c", inner], check=True)


@pytest.mark.slow
def test_a_stage_costs_what_its_processes_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cost.CPU, "3600")  # one unit of money a second
    monkeypatch.setenv(cost.CURRENCY, "EUR")
    meter = cost.Meter()
    with meter.stage("clean"):
        work(1.0)
    found = json.loads(paths.COSTS.read_text())
    stage = found["stages"]["clean"]
    assert 1.0 <= stage["cpu_seconds"] < 3
    assert stage["seconds"] >= 1.0
    assert stage["money"] == pytest.approx(stage["cpu_seconds"], rel=0.01)
    assert (stage["gpu_seconds"], found["currency"]) == (0, "EUR")

    with pytest.raises(RuntimeError), meter.stage("clean"):  # a further attempt at the same result
        raise RuntimeError
    assert json.loads(paths.COSTS.read_text())["stages"]["clean"]["cpu_seconds"] >= stage["cpu_seconds"]
    cost.finished("clean")
    with meter.stage("clean"):
        pass
    assert json.loads(paths.COSTS.read_text())["stages"]["clean"]["cpu_seconds"] < 1
    cost.forget("clean")
    assert json.loads(paths.COSTS.read_text())["stages"] == {}
    assert meter.spent.cpu_seconds >= 1.0


def test_a_device_costs_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQ2SEQ_DEVICE", "cuda")
    monkeypatch.setenv("SEQ2SEQ_PROCESSES", "2")
    monkeypatch.setenv(cost.GPU, "3600")
    meter = cost.Meter()
    for name in ("clean", "train"):
        with meter.stage(name):
            time.sleep(0.2)
    stages = json.loads(paths.COSTS.read_text())["stages"]
    assert stages["clean"]["gpu_seconds"] == 0
    assert stages["train"]["gpu_seconds"] == pytest.approx(2 * stages["train"]["seconds"], rel=0.05)
    assert stages["train"]["money"] == pytest.approx(stages["train"]["gpu_seconds"], rel=0.05)


@pytest.mark.slow
def test_costs_are_metrics_of_the_model_s_run() -> None:
    with cost.Meter().stage("ingest@news"):
        pass
    cost.publish()  # there is no run yet
    run_id = client.connect().create_run(runs.experiment("m")).info.run_id
    paths.RUN.write_text(json.dumps({"run_id": run_id}))
    with cost.Meter().stage("train"):
        work(0.2)
    cost.publish()
    metrics = client.connect().get_run(run_id).data.metrics
    assert metrics["cost.train.cpu_seconds"] >= 0.2
    assert metrics["cost.cpu_seconds"] >= metrics["cost.train.cpu_seconds"]
    assert {"cost.ingest.news.seconds", "cost.bytes_written", "cost.money"} <= metrics.keys()


@pytest.mark.slow
def test_a_stage_is_stopped_before_the_budget_is_spent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(child_, "POLL", 0.2)
    monkeypatch.setattr(cost, "MARGIN", 1.0)
    monkeypatch.setenv(cost.CPU, "3600")
    monkeypatch.setenv(cost.BUDGET, "4")
    Path("computes.py").write_text(
        "import signal, sys, pathlib\n"
        "def save(*_):\n    pathlib.Path('saved').touch()\n    sys.exit(130)\n"
        "signal.signal(signal.SIGINT, save)\nwhile True: pass\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    meter = cost.Meter()
    with meter.stage("train"):
        child = child_.Child("computes", [], print, 60, {}, meter.watch)
    assert "of the 4 of SEQ2SEQ_BUDGET" in child.over
    assert Path("saved").is_file()
    assert 1 < meter.spent.money() < 4
    assert not child.timed_out
    with meter.stage("evaluate"):  # there is a rest
        pass
    meter.spent += cost.Usage(cpu_seconds=4)
    with pytest.raises(StageError, match=r"register \(budget\): not begun: this run has used") as raised:
        meter.stage("register").__enter__()
    assert raised.value.remedy == REMEDIES["budget"]
    assert failures.STATUS["budget"] == Exit.BUDGET


def test_hours_are_a_budget_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cost.HOURS, "0.01")
    meter = cost.Meter()
    meter.check("train")
    meter.spent += cost.Usage(seconds=30)
    assert meter.watch(os.getpid()) != ""  # 15 seconds before the end
    meter.check("train")
    meter.spent += cost.Usage(seconds=6)
    with pytest.raises(StageError, match=r"used 0\.01 of the 0\.01 hours of SEQ2SEQ_BUDGET_HOURS"):
        meter.check("train")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({cost.BUDGET: "much"}, "SEQ2SEQ_BUDGET=much: must be a number, 0 or more"),
        ({cost.HOURS: "-1"}, "SEQ2SEQ_BUDGET_HOURS=-1: must be a number"),
        ({cost.GPU: "nan"}, "SEQ2SEQ_PRICE_GPU_HOUR=nan: must be a number"),
        ({cost.BUDGET: "3"}, "SEQ2SEQ_BUDGET is set, but no price"),
    ],
)
def test_a_budget_that_cannot_hold_is_refused(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        cost.Meter()
