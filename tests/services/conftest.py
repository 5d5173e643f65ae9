"""Tests below this folder use the real set of servers, started once: `make test-services`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import projects

ENDPOINT = "http://127.0.0.1"
OFFSET = int(os.environ.get("SERVICES_PORT_OFFSET", "300"))  # beside a set that a person has started
# Secrets of the environment in which the servers and workers start; no log or database may have them.
PLANTED = {name: f"planted-{name.lower()}" for name in ("ALERT_WEBHOOK", "HF_TOKEN", "GITHUB_TOKEN")}


@dataclass
class Hosted:
    """A project whose servers run; `variables` is the content of the file that people source."""

    project: Path
    repository: Path  # that the worker clones
    variables: dict[str, str]

    def log(self, name: str) -> str:
        return (self.project / f".services/logs/{name}.log").read_text("utf-8", "replace")

    def services(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return services(self.project, self.repository, *arguments)


def services(
    project: Path, repository: Path, *arguments: str, module: str = "infra.services"
) -> subprocess.CompletedProcess[str]:
    variables = projects.environment(
        **{**PLANTED, "ALERT_WEBHOOK": f"{ENDPOINT}:9/{PLANTED['ALERT_WEBHOOK']}"},
        SERVICES_MLFLOW_PERMISSION="READ",
        SERVICES_PORT_OFFSET=str(OFFSET),
        SEQ2SEQ_REPOSITORY=str(repository),
        PREFECT_WORKER_QUERY_SECONDS="2",
    )
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=project,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Only their own ring imports these files: they need the extra [services] and PostgreSQL."""
    return None if config.option.markexpr == "services" else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("services")


@pytest.fixture(scope="session")
def hosted() -> Iterator[Hosted]:
    """The whole set with two workers, a project with a DVC remote on its store, all gone at the end."""
    # Not below pytest's folder, which the user of PostgreSQL cannot enter.
    folder = Path(tempfile.mkdtemp(prefix="seq2seq-services-"))
    folder.chmod(0o711)
    repository = projects.make(folder / "repository")
    project = projects.make(folder / "host")
    add_remote(repository)
    add_remote(project)
    try:
        done = services(project, repository, "start", "--workers", "2")
        assert done.returncode == 0, done.stdout + done.stderr
        text = (project / ".services/env").read_text()
        variables = dict(re.findall(r"^export (\w+)='(.*)'$", text, re.MULTILINE))
        yield Hosted(project, repository, variables)
    finally:
        stopped = services(project, repository, "stop", "--delete-data")
        assert stopped.returncode == 0, stopped.stderr
        assert not (project / ".services").exists()
        shutil.rmtree(folder)


def add_remote(project: Path) -> None:
    """Configure and commit the remote of a project, by the commands of docs/operations.md."""
    port = 8333 + OFFSET
    projects.call(project, "-m", "dvc", "remote", "add", "--default", "store", "s3://dvc/seq2seq")
    projects.call(project, "-m", "dvc", "remote", "modify", "store", "endpointurl", f"{ENDPOINT}:{port}")
    projects.commit(project)
