"""Security: the effect of access to a server, a registry or a page."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.workers.process import ProcessJobConfiguration
from ruamel.yaml import YAML

from flows import checkout, deploy
from flows.__main__ import main
from flows.retrain import retrain
from seq2seq.common.errors import UserError
from tests.support import prefect_home, projects

ORIGINS, LOGIN = "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS", "PREFECT_SERVER_API_AUTH_STRING"


def yaml(path: str) -> Any:
    return YAML(typ="safe").load((projects.ROOT / path).read_text("utf-8"))


def test_a_run_does_not_choose_the_repository() -> None:
    with pytest.raises(UserError, match="`repository` is not taken any more: set SEQ2SEQ_REPOSITORY"):
        retrain.fn(repository="https://evil.example/x.git")
    retrain.validate_parameters({"repository": None})  # as deployments made earlier have it
    for deployment in yaml("infra/prefect.yaml")["deployments"]:
        assert "repository" not in deployment.get("parameters", {})
        assert "job_variables" not in deployment["work_pool"]


def test_a_run_brings_no_command_environment_or_folder() -> None:
    job = {
        "env": {"SEQ2SEQ_REPOSITORY": "https://evil.example/x.git", "PYTHONPATH": "/tmp/evil"},
        "env.PATH": "/tmp/evil",
        "command": "touch /tmp/evil",
        "working_dir": "/tmp",
    }

    async def configuration() -> ProcessJobConfiguration:
        unused: Any = object()  # no block is looked up
        return await ProcessJobConfiguration.from_template_and_values(deploy.TEMPLATE, job, client=unused)

    made = asyncio.run(configuration())
    assert (made.env, made.command, made.working_dir) == ({}, None, None)


def test_a_ref_is_no_option_of_git(tmp_path: Any) -> None:
    with pytest.raises(UserError, match="is no branch, tag or commit"):
        checkout.check_out(str(tmp_path), "--upload-pack=touch evil", tmp_path / "clone")
    assert not (tmp_path / "clone").exists()


def test_pages_start_servers_with_a_login_and_an_origin() -> None:
    for page in ("README.md", "infra/README.md"):
        text = (projects.ROOT / page).read_text("utf-8")
        assert LOGIN in text
        assert re.search(rf"{ORIGINS}=http://127\.0\.0\.1:4200", text)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_planted_secrets_are_in_nothing_that_a_run_writes(tmp_path: Path) -> None:
    project = projects.make(tmp_path)
    for name in (".env", "notebook.ipynb", "seq2seq/.env", ".dvc/config"):
        (project / name).write_text("" if name == ".dvc/config" else "{}")
    projects.git(project, "add", "--force", ".env", "notebook.ipynb", "seq2seq/.env", ".dvc/config")
    projects.commit(project)
    planted: dict[str, str] = {}

    def secret(where: str) -> str:
        planted[where] = f"planted{len(planted)}secret"
        return planted[where]

    # Uncommitted, in files of the tree and of git and DVC.
    for name in (".env", "notebook.ipynb", "seq2seq/.env", "seq2seq/.netrc"):
        (project / name).write_text(f"KEY={secret(name)}\n")
    url = f"https://me:{secret('DVC remote')}@dvc.example/x"
    (project / ".dvc/config").write_text(f"['remote \"origin\"']\n    url = {url}\n")
    url = f"https://me:{secret('git remote')}@git.example/x.git"
    projects.git(project, "remote", "add", "origin", url)
    params = project / "params.yaml"
    params.write_text(params.read_text() + f"# from https://me:{secret('params.yaml')}@data.example/x\n")
    dead = "http://127.0.0.1:9"
    variables = {
        "ALERT_WEBHOOK": f"{dead}/services/{secret('webhook')}",
        "MLFLOW_TRACKING_PASSWORD": secret("tracking password"),
        "HF_TOKEN": secret("hub token"),
        "https_proxy": f"http://me:{secret('proxy')}@127.0.0.1:9",
        "SEQ2SEQ_REPOSITORY": f"https://me:{secret('repository')}@git.example/x.git",
    }
    prefect_home.fill(project / ".prefect")
    done = projects.call(project, "-m", "flows", "run", **variables)
    written = {"the screen": (done.stdout + done.stderr).encode()}

    # One that fails, on a notice that cannot be sent and a server that is not there.
    name = f"http://me:{secret('command line')}@host/x"
    (project / "dvc.lock").unlink()
    for more in (
        {"MLFLOW_TRACKING_URI": f"http://me:{secret('tracking URI')}@127.0.0.1:9"},
        {"PREFECT_API_URL": f"http://me:{secret('Prefect URL')}@127.0.0.1:9/api"},
    ):
        arguments = ["-m", "flows", "run", "--set", f"register.name={name}", "--force", "train"]
        failed = subprocess.run(
            [sys.executable, *arguments],
            cwd=project,
            env=projects.environment(**variables, **more),
            capture_output=True,
            check=False,
        )
        assert failed.returncode != 0
        written[f"the screen with {next(iter(more))}"] = failed.stdout + failed.stderr
    places = (
        "mlruns",
        "mlflow.db",
        ".prefect",
        "reports",
        "model",
        "data",
        ".run.lock",
        ".dvc/cache",
        ".cache",
    )
    for place in places:
        root = project / place
        for path in [root] if root.is_file() else root.rglob("*"):
            if path.is_file():
                written[str(path.relative_to(project))] = path.read_bytes()
    assert {"mlflow.db", ".prefect/prefect.db", "reports/card.md"} <= written.keys()
    assert any(name.endswith("git.diff") for name in written)
    found = {
        (where, n) for where, value in planted.items() for n, t in written.items() if value.encode() in t
    }
    assert found == set()


def test_a_worker_needs_a_server(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert main(["worker"]) == 2
    assert "PREFECT_API_URL is not set" in capsys.readouterr().err


def test_a_worker_has_the_settings_of_every_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[Any] = []
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    monkeypatch.setenv("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "")
    monkeypatch.delenv("PREFECT_FLOWS_HEARTBEAT_FREQUENCY")

    def become(program: str, arguments: list[str]) -> None:
        became.append(arguments)
        raise SystemExit

    monkeypatch.setattr(os, "execv", become)
    with pytest.raises(SystemExit):
        main(["worker"])
    assert became[0][1:5] == ["-m", "prefect", "worker", "start"]
    assert float(os.environ["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) * 4 == deploy.SILENCE.total_seconds()
