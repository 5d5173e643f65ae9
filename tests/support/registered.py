"""Versions without models in a real registry."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seq2seq.tracking import client, registry, runs
from tests.support.waiting import wait_for


def register(folder: Path, name: str, **tags: str) -> registry.Version:
    """A version whose only file is a note in the model folder."""
    files = folder / f"files-{name}-{len(list(folder.iterdir()))}"
    (files / registry.FOLDER).mkdir(parents=True)
    (files / registry.FOLDER / "note").write_text(name)
    mlflow_client = client.connect()
    experiment = runs.experiment(name)
    run_id = mlflow_client.create_run(experiment).info.run_id
    model = mlflow_client.create_logged_model(experiment, source_run_id=run_id)
    mlflow_client.log_model_artifacts(model.model_id, str(files))
    mlflow_client.finalize_logged_model(model.model_id, "READY")
    return registry.register_version(name, f"models:/{model.model_id}", run_id, tags)


@contextmanager
def server(project: Path) -> Iterator[str]:
    """The address of a real MLflow server on loopback with the project's registry and its files elsewhere."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = project / "server"
    home.mkdir()
    shutil.move(project / "mlflow.db", home / "mlflow.db")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--workers", "1"]
    command += ["--artifacts-destination", str(home / "files")]
    log = project / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/health", timeout=1).close()
        except OSError:
            return False
        return True

    try:
        wait_for(answers, 120, "MLflow's server", log.read_text)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
