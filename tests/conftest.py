"""Every test runs with the settings of every entry: quiet libraries, nothing sent anywhere, on the CPU."""

import os
import signal
import sys
from pathlib import Path

import pytest

from seq2seq.common import environment
from seq2seq.tracking import client

USERS = ("ALERT_WEBHOOK", "CORPUS_MIRROR", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
# Settings of a user for real runs are removed, because some tests fail on purpose.
for name in [*os.environ]:
    if name.startswith(("SEQ2SEQ_", "MLFLOW_", "PREFECT_")) or name in USERS:
        del os.environ[name]
# Results are reproducible to the bit on a CPU only; tests of a GPU set the device themselves.
os.environ["SEQ2SEQ_DEVICE"] = "cpu"
environment.configure_process()
# The models of tests are tiny: a second thread gains nothing and waits for a busy core by spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell that starts a runner in the background has it ignore Ctrl-C, which tests send to themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """An MLflow database with its tables, because creating them takes longer than most tests."""
    database = tmp_path_factory.mktemp("registry") / "mlflow.db"
    client._open(f"{client.SQLITE}{database}")
    return database


@pytest.fixture(autouse=True)
def _forget_the_server():
    """Logging a model sets the server of the whole process; reset it after each test."""
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)
