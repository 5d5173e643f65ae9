"""What this workspace is: its commit, what differs from it, its locks, its packages, its machine.

Why: a model must be traceable to the code, data and parameters it came from, also where somebody
trains in a folder that is no git repository.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
import subprocess
from importlib.metadata import distributions
from pathlib import Path

from ruamel.yaml import YAML

from seq2seq.params import Params

UNKNOWN = "unknown"
LOCK = Path("dvc.lock")
# Code and parameters: what of the tree decides a result. dvc.lock is written by the run itself.
CODE = ("seq2seq", "flows", "corpora", "params.yaml", "dvc.yaml", "pyproject.toml", "constraints.txt")


def commit() -> str:
    """The 40 hex digits of git's HEAD; "unknown" outside a repository."""
    return (_git("rev-parse", "--verify", "HEAD") or UNKNOWN).strip()


def dirty() -> str:
    """Whether code or parameters differ from HEAD or are not tracked: true, false or unknown."""
    status = _git("status", "--porcelain", "--", *CODE)
    if status is None or commit() == UNKNOWN:
        return UNKNOWN
    return "true" if status.strip() else "false"


def diff() -> str:
    """`git diff HEAD`; empty where there is no difference or no repository."""
    return _git("diff", "HEAD") or ""


def flow_run() -> str:
    """The id of the Prefect flow run this process belongs to; empty if there is none."""
    return os.environ.get("PREFECT__FLOW_RUN_ID", "")


def place() -> str:
    """Host and folder: two workspaces that use one tracking server must not share a run."""
    return f"{socket.gethostname()}:{Path.cwd()}"


def lock_digest() -> str:
    """sha256 of dvc.lock as it lies there; "unknown" if DVC has not run here."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.is_file() else UNKNOWN


def data_hash(path: Path) -> str:
    """DVC's own hash of a stage's output, as dvc.lock has it; "unknown" if it has none."""
    if LOCK.is_file():
        lock = YAML(typ="safe").load(LOCK.read_text(encoding="utf-8"))
        for stage in lock.get("stages", {}).values():
            for out in stage.get("outs", []):
                if out["path"] == path.as_posix():
                    return str(out.get("md5", UNKNOWN))
    return UNKNOWN


def params_digest(params: Params) -> str:
    """sha256 of the values in params.yaml: comments and order do not count."""
    return hashlib.sha256(json.dumps(params.model_dump(), sort_keys=True).encode()).hexdigest()


def packages() -> str:
    """The installed packages, one `name==version` a line, as pip would list them."""
    found = {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
    return "".join(f"{name}=={found[name]}\n" for name in sorted(found, key=str.casefold))


def machine() -> dict[str, str]:
    """Python, system and processors."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "processors": str(os.cpu_count()),
        "host": socket.gethostname(),
    }


def _git(*arguments: str) -> str | None:
    """The output of a git command; None if it fails or there is no git."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
