"""The hosted set at work: a run of a worker, the registry with its login, and results through the store."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from seq2seq.common import checkpoint_copies
from tests.services.conftest import Hosted
from tests.support import projects
from tests.support.waiting import wait_for

STAGES = ["ingest", "mix", "score", "clean", "tokenize", "train", "evaluate", "register"]
pytestmark = pytest.mark.timeout(900)


def prefect(hosted: Hosted, path: str, body: dict[str, Any], login: str | None = None) -> Any:
    variables = hosted.variables
    basic = base64.b64encode((login or variables["PREFECT_API_AUTH_STRING"]).encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {basic}"}
    url = f"{variables['PREFECT_API_URL']}/{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


def retrain(hosted: Hosted) -> tuple[dict[str, Any], dict[str, str]]:
    """Ask for a run; returns it as it ended, and the states of its tasks."""
    [deployment] = prefect(hosted, "deployments/filter", {"deployments": {"name": {"any_": ["retrain"]}}})
    run = prefect(hosted, f"deployments/{deployment['id']}/create_flow_run", {})
    query = {"flow_runs": {"id": {"any_": [run["id"]]}}}

    def ended() -> list[dict[str, Any]]:
        found = prefect(hosted, "flow_runs/filter", query)
        return [one for one in found if one["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")]

    logs = lambda: hosted.log("worker-1") + hosted.log("worker-2")  # noqa: E731
    [finished] = wait_for(ended, 600, "the run", logs, 1)
    tasks = prefect(hosted, "task_runs/filter", query | {"sort": "EXPECTED_START_TIME_ASC"})
    return finished, {task["name"]: task["state_name"] for task in tasks}


def program(hosted: Hosted, code: str, **other: str) -> subprocess.CompletedProcess[str]:
    """Run code in the environment that people source."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=hosted.project,
        env=projects.environment(**{**hosted.variables, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", **other}),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def first_run(hosted: Hosted) -> tuple[dict[str, Any], dict[str, str]]:
    return retrain(hosted)


CHAMPION = """
import mlflow
client = mlflow.MlflowClient()
version = client.get_model_version_by_alias("grammar-tiny", "champion")
print(version.version, version.tags["prefect.flow_run_id"])
print(mlflow.pyfunc.load_model("models:/grammar-tiny@champion").predict(["ein Hund"]))
"""


def test_smoke_a_worker_trains_registers_promotes_and_pushes(hosted, first_run) -> None:
    run, tasks = first_run
    assert run["state_name"] == "Completed", hosted.log("worker-1") + hosted.log("worker-2")
    expected = {"checkout": "Completed", "fetch": "Completed", **dict.fromkeys(STAGES, "Ran")}
    assert tasks == {**expected, "promote": "Promoted", "push": "Completed"}
    champion = program(hosted, CHAMPION)
    assert champion.returncode == 0, champion.stderr
    assert champion.stdout.splitlines()[0] == f"1 {run['id']}"


def test_an_unchanged_run_pushes_nothing(hosted, first_run) -> None:
    run, tasks = retrain(hosted)
    assert run["state_name"] == "Completed"
    assert {name: tasks[name] for name in STAGES} == dict.fromkeys(STAGES, "Unchanged")
    logs = prefect(hosted, "logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "limit": 200})
    assert any(log["message"] == "nothing new for the DVC remote store" for log in logs)


def test_a_host_with_an_empty_disk_restores_all_results(hosted, first_run) -> None:
    for folder in (".cache/retrain", ".dvc/cache"):
        subprocess.run(["rm", "-rf", hosted.project / folder], check=True)
    run, tasks = retrain(hosted)
    assert run["state_name"] == "Completed"
    assert {name: tasks[name] for name in STAGES} == dict.fromkeys(STAGES, "Restored")


def test_smoke_another_clone_pulls_what_the_run_pushed(hosted, first_run, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    projects.git(hosted.project, "clone", "--quiet", str(hosted.repository), str(clone))
    lock = hosted.project / ".cache/retrain/retrain/dvc.lock"
    (clone / "dvc.lock").write_bytes(lock.read_bytes())
    projects.call(clone, "-m", "dvc", "pull", "--quiet", **hosted.variables)
    assert (clone / "model").is_dir()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    status = projects.call(clone, "-m", "dvc", "status", "train", PATH=path, **hosted.variables).stdout
    assert status.strip() == "Data and pipelines are up to date."


CHECKPOINTS = """
from pathlib import Path
import torch
from seq2seq.common import checkpoint_copies
from seq2seq.training.checkpoints import Checkpoints
training = "0" * 40
checkpoints = Checkpoints(training, Path("a"))
for update in (1, 2, 3):
    checkpoints.save({"a": torch.full((1000,), float(update))}, {"update": update})
    checkpoints.finish()
tensors, state = Checkpoints(training, Path("b")).load()
copies = checkpoint_copies.Copies.configured(training)
print(state["update"], tensors["a"].unique().item(), copies.updates())
checkpoint_copies.remove(training)
print(copies.updates())
"""


def test_smoke_a_training_goes_on_from_the_store_on_another_host(hosted, tmp_path: Path) -> None:
    code = f"import os\nos.chdir({str(tmp_path)!r})\n{CHECKPOINTS}"
    done = program(hosted, code, **{checkpoint_copies.STORE: "s3://dvc/checkpoints"})
    assert done.stdout.splitlines()[-2:] == ["3 3.0 [3, 2]", "[]"], done.stdout + done.stderr


def test_smoke_wrong_passwords_are_refused_with_a_clear_error(hosted) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        prefect(hosted, "deployments/filter", {}, login="team:wrong")
    wrong = {**hosted.variables, "MLFLOW_TRACKING_PASSWORD": "wrong-password"}
    history = subprocess.run(
        [sys.executable, "-m", "flows", "history"],
        cwd=hosted.project,
        env=projects.environment(**wrong),
        capture_output=True,
        text=True,
        check=False,
    )
    assert history.returncode == 2, history.stderr
    assert "MLFLOW_TRACKING_PASSWORD" in history.stderr
    assert "wrong-password" not in history.stderr
    deploy = subprocess.run(
        [sys.executable, "-m", "flows", "deploy"],
        cwd=hosted.project,
        env=projects.environment(**{**hosted.variables, "PREFECT_API_AUTH_STRING": "team:wrong-password"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert deploy.returncode == 2, deploy.stderr
    assert "PREFECT_API_AUTH_STRING" in deploy.stderr


def test_a_key_of_one_bucket_opens_no_other(hosted) -> None:
    code = "import boto3; boto3.client('s3').list_objects_v2(Bucket='{}')"
    assert program(hosted, code.format("dvc")).returncode == 0
    refused = program(hosted, code.format("mlflow"))
    assert "AccessDenied" in refused.stderr


def test_a_second_start_restarts_only_what_died(hosted) -> None:
    before = json.loads((hosted.project / ".services/processes.json").read_text())
    psutil.Process(before["worker-2"]["pid"]).kill()
    done = hosted.services("start")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "starting worker-2" in done.stdout
    assert "starting worker-1" not in done.stdout
    after = json.loads((hosted.project / ".services/processes.json").read_text())
    changed = {name for name in before if before[name]["pid"] != after[name]["pid"]}
    assert changed == {"worker-2"}


def test_a_wrong_key_of_the_store_fails_the_run_and_names_the_remedy(hosted) -> None:
    local = hosted.project / ".dvc/config.local"
    local.write_text("['remote \"store\"']\n    access_key_id = dvc\n    secret_access_key = wrong-key\n")
    try:
        run, tasks = retrain(hosted)
    finally:
        local.unlink()
    assert run["state_name"] == "Failed"
    assert tasks == {"checkout": "Completed", "fetch": "Failed"}
    assert "the DVC remote store (s3://dvc/seq2seq) cannot be read" in run["state"]["message"]
    assert "give the worker its keys" in run["state"]["message"]
