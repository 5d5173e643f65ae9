"""A real MLflow server that is killed in the middle of a training and comes back, and a killed training."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from seq2seq.commands import lineage
from seq2seq.common import paths
from seq2seq.tracking import client, outbox, runs
from tests.support import waiting_records
from tests.support.projects import ROOT
from tests.support.waiting_records import CHECKED, CORPUS, KEPT, points


@pytest.fixture
def project(project, monkeypatch) -> Path:
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    waiting_records.make()
    return project


KILLED = """
import os, sys
from mlflow.exceptions import MlflowException
from seq2seq.common import environment, params
from seq2seq.tracking import client, runs
environment.configure_process()
def away(*arguments, **named):
    raise MlflowException("away", error_code=1)
with runs.training_run(params.load(), "f" * 40) as run:
    client.connect().set_tag = client.connect().log_artifacts = away
    run.set_tags({"device": "cpu"})
    run.log_text("made later", "train/later.txt")
    os.kill(os.getpid(), 9)
"""


class Server:
    """An MLflow server on a fixed port of loopback."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.home, self.address = home, f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.home}/mlflow.db", "--workers", "1"]
        command += ["--artifacts-destination", str(self.home / "files")]
        with (self.home / "log").open("a") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                start_new_session=True,
            )
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{self.address}/health", timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None, (self.home / "log").read_text()
                time.sleep(0.5)
        raise AssertionError((self.home / "log").read_text())

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def test_a_model_trained_while_the_server_was_away_is_found(project, monkeypatch, capsys):
    home = project / "server"
    home.mkdir()
    shutil.move(project / "mlflow.db", home / "mlflow.db")
    server = Server(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setattr("seq2seq.tracking.run.SECONDS_BETWEEN_BATCHES", 0.0)
    server.start()
    try:
        with runs.training_run(CHECKED, "f" * 40) as run:
            run.log_metrics({"validation_loss": 3.0}, 1)
            server.kill()
            run.set_tags({"device": "cpu"})
            run.log_text("made later", "train/later.txt")
            for update in (2, 3):
                run.log_metrics({"validation_loss": 2.0 + update}, update)
        text = capsys.readouterr().err
        assert "the stage continues" in text
        assert "6 records wait for MLflow in .cache/mlflow; the next run delivers them" in text
        server.start()
        [found] = lineage.trace(CORPUS[:10])["runs"]
        assert (found["run_id"], found["status"]) == (run.id, "FINISHED")
        assert "6 records of run" in capsys.readouterr().err
        assert client.connect().get_run(run.id).data.tags["device"] == "cpu"
        assert points(run.id, "validation_loss") == [(1, 3.0), (2, 4.0), (3, 5.0)]
        kept = [Path(file.path).name for file in client.connect().list_artifacts(run.id, "train")]
        assert sorted(kept) == sorted([*KEPT, "later.txt"])
        assert not list(outbox.FOLDER.rglob("*.zip"))
    finally:
        server.kill()


def test_a_server_restarted_under_a_training_gets_all_within_it(project, monkeypatch, capsys):
    home = project / "server"
    home.mkdir()
    shutil.move(project / "mlflow.db", home / "mlflow.db")
    server = Server(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setattr("seq2seq.tracking.run.FIRST_WAIT", 0.0)
    server.start()
    try:
        with runs.training_run(CHECKED, "f" * 40) as run:
            server.kill()
            run.set_tags({"device": "cpu"})
            server.start()
            run.set_tags({"later": "yes"})
        assert "MLflow answers again and has the 2 records" in capsys.readouterr().out
        tags = client.connect().get_run(run.id).data.tags
        assert (tags["device"], tags["later"]) == ("cpu", "yes")
    finally:
        server.kill()


def test_records_survive_a_killed_process(project):
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    run_id = json.loads(paths.RUN.read_text())["run_id"]
    with runs.training_run(CHECKED, "f" * 40) as run:
        assert run.id == run_id
    assert client.connect().get_run(run_id).data.tags["device"] == "cpu"
    assert "train/later.txt" in [file.path for file in client.connect().list_artifacts(run_id, "train")]
