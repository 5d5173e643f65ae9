"""Runs in MLflow: content, resumption, unreachable servers."""

import errno
import json
import socket
import threading
import time
from pathlib import Path

import pytest

from seq2seq.common import paths
from seq2seq.common.errors import TransientError, UserError
from seq2seq.tracking import client, runs, sqlite_store
from tests.support import recorded
from tests.support.recorded import CHECKED, FIRST, train


@pytest.fixture
def project(project, monkeypatch) -> Path:
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    recorded.make()
    return project


def test_the_default_lies_beside_the_project_and_a_server_by_the_usual_variable(project, monkeypatch):
    assert client.uri() == f"sqlite:///{project}/mlflow.db"
    assert sqlite_store.sqlite_file(client.uri()) == project / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert client.uri() == "http://tracker:5000"
    assert sqlite_store.sqlite_file(client.uri()) is None


@pytest.mark.slow
def test_a_run_has_the_inputs_of_the_model(project, monkeypatch):
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "flow-7")
    run_id = train(3)
    run = client.connect().get_run(run_id)
    assert json.loads(paths.RUN.read_text()) == {
        "run_id": run_id,
        "experiment": CHECKED.register.name,
        "fingerprint": FIRST,
    }
    assert run.info.status == "FINISHED"
    assert client.connect().get_experiment(run.info.experiment_id).name == CHECKED.register.name
    assert run.data.params["train.attention"] == "additive"
    [(name, source)] = CHECKED.ingest.sources.items()
    assert run.data.params[f"ingest.sources.{name}.path"] == source.path
    assert run.data.params["clean.source_script"] == "null"
    assert not any(key.startswith(("evaluate.", "register.")) for key in run.data.params)
    assert run.data.tags["prefect.flow_run_id"] == "flow-7"
    assert run.data.tags["git.commit"]
    assert run.data.tags["dvc.corpus"] == "12.dir"
    assert run.data.tags["git.dirty"] in ("true", "false", "unknown")
    kept = {file.path for file in client.connect().list_artifacts(run_id, "train")}
    assert kept == {
        f"train/{name}"
        for name in ("git.diff", "packages.txt", "params.yaml", "dvc.lock", "machine.json", "provenance.json")
    }
    assert (project / "mlruns").is_dir()
    [dataset] = [used.dataset for used in run.inputs.dataset_inputs]
    assert (dataset.name, dataset.source_type) == ("a/x", "hugging_face")
    assert json.loads(dataset.source)["revision"] == "0" * 40
    assert json.loads(dataset.profile) == {"train": 5, "validation": 1, "test": 1}


@pytest.mark.slow
def test_a_killed_training_continues_its_run(project):
    run_id = train(2)
    client.connect().update_run(run_id, status="RUNNING")  # as kill -9 leaves it
    assert train(4) == run_id


def test_an_unreachable_server_at_the_start_stops_the_training(project, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TransientError, match=f"127.0.0.1:{port} does not answer: .*refused"):
        train(1)


@pytest.fixture
def silent(monkeypatch):
    """A server that accepts connections and never answers; its address has a password."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        address = f"http://me:hunter2secret@127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setattr(client, "SILENCE", 0.2)
        monkeypatch.setattr(client, "FIRST_ANSWER", 0.5)
        monkeypatch.setattr(client, "_shown", {})
        yield address


def test_a_server_that_never_answers_is_named_in_an_error(project, silent, capsys):
    with pytest.raises(TransientError, match=r"http://\*\*\*@127.* accepts connections, but does not answer"):
        client.connect()
    text = capsys.readouterr().err
    assert text.startswith("waiting for MLflow at http://***@127.0.0.1:")
    assert text.count("\n") == 1


def test_a_server_that_stops_answering_later_is_named_too(project, silent, capsys):
    named = threading.Event()

    def ask():
        while not named.is_set():  # as long as it takes: nothing is decided by the time
            if "waiting" in capsys.readouterr().err:
                named.set()

    with client.translate_errors():
        ask()
    with client.translate_errors(is_long=True):
        time.sleep(0.3)
    assert capsys.readouterr().err == ""


def test_errors_of_this_machine_are_not_of_the_server(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(OSError, match="No space left"), client.translate_errors():
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(TransientError, match="does not answer"), client.translate_errors():
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


def test_without_a_trained_model_there_is_no_run(project):
    with pytest.raises(UserError, match=r"run\.json is missing"), runs.model_run():
        pass
