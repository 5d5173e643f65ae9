"""A schedule that really fires: server, worker and deployment on loopback, in a clone of their own."""

from __future__ import annotations

import base64
import json
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.support import prefect_home, projects
from tests.support.waiting import wait_for
from tests.support.webhook import listener

LOGIN = "admin:a-long-password"
PROCESSES = projects.ROOT / "seq2seq/common/processes.py"
STAGES = ["ingest", "mix", "score", "clean", "tokenize", "train", "evaluate", "register"]


@pytest.mark.timeout(900)
def test_a_scheduled_run_fires_registers_and_reports_failure(tmp_path: Path) -> None:
    project = projects.make(tmp_path)
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    variables = {
        "PREFECT_HOME": prefect_home.fill(tmp_path / "prefect"),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "DO_NOT_TRACK": "true",
        "PREFECT_SERVER_API_AUTH_STRING": LOGIN,
        "PREFECT_API_AUTH_STRING": LOGIN,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
        "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",  # of the project, not of a run's clone
    }
    shorten_schedule(project / "infra/prefect.yaml")
    projects.commit(project)

    with ExitStack() as stack:
        notices, alert = stack.enter_context(listener())
        variables["ALERT_WEBHOOK"] = alert
        start = lambda name, *command: stack.enter_context(  # noqa: E731
            process(project, tmp_path / f"{name}.log", variables, *command)
        )
        start("server", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
        wait_for(
            lambda: answers(f"{api}/health"), 120, "the server", (tmp_path / "server.log").read_text, 0.5
        )
        printed = projects.call(project, "-m", "flows", "deploy", **variables).stdout
        assert "retrain/retrain and rollback/rollback are deployed" in printed
        [deployment] = post(f"{api}/deployments/filter", {"deployments": {"name": {"any_": ["retrain"]}}})
        schedule = f"{api}/deployments/{deployment['id']}/schedules/{deployment['schedules'][0]['id']}"
        send("PATCH", schedule, {"active": False})
        rules = {rule["name"]: rule["id"] for rule in post(f"{api}/automations/filter", {})}
        assert len(rules) == 2
        projects.call(project, "-m", "flows", "deploy", **variables)  # again changes nothing
        assert {rule["name"]: rule["id"] for rule in post(f"{api}/automations/filter", {})} == rules
        [deployment] = post(f"{api}/deployments/filter", {"deployments": {"name": {"any_": ["retrain"]}}})
        assert [kept["active"] for kept in deployment["schedules"]] == [False]
        send("PATCH", schedule, {"active": True})
        with pytest.raises(urllib.error.HTTPError, match="401"):
            send("POST", f"{api}/deployments/filter", {}, login="")
        assert "access-control-allow-origin" not in preflight(f"{api}/deployments/filter")
        start("worker", "flows", "worker")

        def finished(count: int) -> list[Any]:
            """The scheduled runs that came to an end of their own, the oldest first."""
            ended = {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}
            body = {"flow_runs": {"state": ended}, "sort": "START_TIME_ASC"}
            runs = post(f"{api}/flow_runs/filter", body)
            return runs if len(runs) >= count else []

        log = tmp_path / "worker.log"
        first, second = wait_for(lambda: finished(2), 400, "two scheduled runs", log.read_text, 0.5)[:2]
        assert first["auto_scheduled"]
        assert first["state_name"] == "Completed", log.read_text()
        tasks = task_states(api, first["id"])
        assert tasks == {
            "checkout": "Completed",
            **dict.fromkeys(STAGES, "Ran"),
            "promote": "Promoted",
        }
        artifacts = post(f"{api}/artifacts/filter", {})
        assert {"stages", "metrics", "promotion"} <= {artifact["key"] for artifact in artifacts}

        # Its traces: a version in the project's registry, nothing in the project's working tree.
        assert registered(project / "mlflow.db") == [("grammar-tiny", 1, first["id"])]
        assert projects.git(project, "status", "--porcelain") == ""
        assert not (project / "dvc.lock").exists()

        # Nothing has changed: the next run does no stage again.
        assert second["state_name"] == "Completed"
        assert task_states(api, second["id"]) == {
            "checkout": "Completed",
            **dict.fromkeys([*STAGES, "promote"], "Unchanged"),
        }

        # A commit that cannot run: the run fails, with an alert.
        params = project / "params.yaml"
        params.write_text(params.read_text().replace("de-en.yaml", "xx.yaml"))
        projects.commit(project)
        before = len(finished(2))
        failed = wait_for(lambda: finished(before + 1), 200, "the failing run", log.read_text, 0.5)[-1]
        assert failed["state_name"] == "Failed"
        notice = wait_for(
            lambda: [n for n in notices if n["flow_run_id"] == failed["id"]], 30, "the notice", log.read_text
        )[0]
        assert notices[0]["class"] == "promoted"
        assert "xx.yaml, which does not exist" in notice["text"]

        # The way back, by hand from the server's page: it uses the same registry.
        [back] = post(f"{api}/deployments/filter", {"deployments": {"name": {"any_": ["rollback"]}}})
        asked = {"name": "grammar-tiny", "to": "9", "reason": "a trial"}
        evil = {"command": f"touch {tmp_path}/evil", "env": {"ALERT_WEBHOOK": "http://127.0.0.1:9/"}}
        create = f"{api}/deployments/{back['id']}/create_flow_run"
        with pytest.raises(urllib.error.HTTPError, match="422"):  # the pool takes no job variables
            post(create, {"parameters": asked, "job_variables": evil})
        run = post(create, {"parameters": asked})
        notice = wait_for(
            lambda: [n for n in notices if n["flow_run_id"] == run["id"]], 120, "the rollback", log.read_text
        )[0]
        assert notice["message"].startswith("grammar-tiny has no version 9: ")
        assert not (tmp_path / "evil").exists()


def shorten_schedule(file: Path) -> None:
    """Every 20 seconds instead of every night."""
    text = file.read_text()
    nightly = 'cron: "0 3 * * *"\n        timezone: UTC'
    assert nightly in text
    file.write_text(text.replace(nightly, "interval: 20"))


def task_states(api: str, flow_run: str) -> dict[str, str]:
    """State names of a run's tasks, in the order in which they began."""
    body = {"flow_runs": {"id": {"any_": [flow_run]}}, "sort": "EXPECTED_START_TIME_ASC"}
    return {run["name"]: run["state_name"] for run in post(f"{api}/task_runs/filter", body)}


def registered(database: Path) -> list[tuple[str, int, str]]:
    """Name, version and flow run of every model version."""
    question = (
        "SELECT v.name, v.version, t.value FROM model_versions v JOIN model_version_tags t"
        " ON t.name = v.name AND t.version = v.version WHERE t.key = 'prefect.flow_run_id'"
    )
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(question).fetchall()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def post(url: str, body: dict[str, Any]) -> Any:
    return json.loads(send("POST", url, body))


def send(method: str, url: str, body: dict[str, Any], login: str = LOGIN) -> bytes:
    basic = f"Basic {base64.b64encode(login.encode()).decode()}"
    headers = {"Content-Type": "application/json", "Authorization": basic}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)

    def answer() -> list[bytes]:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return [bytes(response.read())]
        except urllib.error.HTTPError as error:
            # A server whose SQLite is being written answers so; Prefect's own client repeats it, too.
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return []

    return wait_for(answer, 60, f"an answer of {url}", poll=0.5)[0]


def preflight(url: str) -> dict[str, str]:
    """The headers of the server's answer to a browser's preflight request for a foreign page."""
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=asked, method="OPTIONS"), timeout=30
        ) as response:
            headers = response.headers
    except urllib.error.HTTPError as error:
        headers = error.headers
    return {name.lower(): value for name, value in headers.items()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(project: Path, log: Path, variables: dict[str, str], *module: str) -> Iterator[None]:
    """A module run in the background, ended at the end, and with this process if that dies."""
    import os

    with log.open("w") as out:
        running = subprocess.Popen(
            [sys.executable, "-P", PROCESSES, str(os.getpid()), *module],
            cwd=project,
            env=projects.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
