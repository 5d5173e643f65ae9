"""A copy of this project with a git history of its own, for tests that run it."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from seq2seq.common import sqlite

ROOT = Path(__file__).parents[2]
# Of this machine or made by runs: everywhere, and at the root alone (`data` elsewhere is code).
LEFT_OUT = shutil.ignore_patterns("*.egg-info", "__pycache__", ".*_cache", "config.local")
AT_THE_ROOT = shutil.ignore_patterns(
    *(
        ".venv",
        ".git",
        ".cache",
        ".prefect",
        ".checkpoints",
        ".run.lock",
        ".hypothesis",
        "build",
        ".services",
    ),
    *("data", "model", "reports", "mlruns", "mlflow.db*", "corrections.db*", "dvc.lock", "site"),
)
# The DAG in seconds: fewer pairs than any recipe has.
TINY = ["ingest.train_size=400", "ingest.validation_size=40", "ingest.test_size=40"]
TINY += ["train.checkpoint_every=5", "evaluate.max_length=20"]


def make(folder: Path, overrides: list[str] | None = None) -> Path:
    """The project below `folder`, with recipe tiny and `overrides` applied, and committed on `main`."""
    project = folder / "project"
    shutil.copytree(_template(tuple(overrides) if overrides is not None else None), project, symlinks=True)
    return project


def copy(finished: Path, folder: Path) -> Path:
    """A copy below `folder` of a project that has run; its registry names the files of the copy."""
    project = folder / "project"
    shutil.copytree(finished, project, symlinks=True)
    registry = project / "mlflow.db"
    if registry.exists():
        sqlite.relocate(registry, str(finished), str(project))
    return project


def repro(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `dvc repro` there."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return call(project, "-m", "dvc", "repro", *arguments, PATH=path)


@cache
def _template(overrides: tuple[str, ...] | None) -> Path:
    """The project of `make`, made one time in each process."""
    folder = Path(tempfile.mkdtemp(prefix="seq2seq-project-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    project = folder / "project"
    shutil.copytree(ROOT, project, ignore=_ignore, symlinks=True)
    values = [part for value in TINY if overrides is None for part in ("--set", value)]
    values += [part for value in overrides or [] for part in ("--set", value)]
    call(project, "-m", "seq2seq", "use", "tiny", *values)
    git(project, "init", "--quiet", "--initial-branch", "main")
    commit(project)
    return project


def environment(**more: str) -> dict[str, str]:
    """The environment of this process, without variables that direct a run to other servers."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "PYTEST"))}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def call(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run this interpreter in the project to the end; an exit status above 0 raises."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def git(project: Path, *arguments: str) -> str:
    """Run git there with a neutral author."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=project, capture_output=True, text=True, check=True
    )
    return done.stdout


def commit(project: Path) -> None:
    """Commit all files."""
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "as it is")


def _ignore(folder: str, names: list[str]) -> set[str]:
    left_out = LEFT_OUT(folder, names)
    if Path(folder) == ROOT:
        left_out |= AT_THE_ROOT(folder, names)
    elif Path(folder) == ROOT / ".dvc":
        left_out |= {"cache", "tmp"}.intersection(names)
    return left_out
