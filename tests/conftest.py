"""Every test runs with the settings of every entry: quiet libraries, nothing sent anywhere."""

import os
import signal
import sys

import pytest

from seq2seq import environment

environment.prepare()
# The models of tests are tiny: a second thread gains nothing and waits for a busy core by spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell that starts a runner in the background has it ignore Ctrl-C, which tests send to themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _forget_the_server():
    """Who logs a model names its server for the whole process; the next test has another."""
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)
