"""The folder of a Prefect server with an empty database: making the tables takes longer than most runs."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.support import projects


def fill(folder: Path) -> str:
    """Put the database into a folder; returns its path, for PREFECT_HOME."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_database(), folder / "prefect.db")
    return str(folder)


@cache
def _database() -> Path:
    """Made one time in each process."""
    folder = Path(tempfile.mkdtemp(prefix="seq2seq-prefect-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    upgrade = ("-m", "prefect", "server", "database", "upgrade", "--yes")
    projects.call(folder, *upgrade, PREFECT_HOME=str(folder), DO_NOT_TRACK="true")
    return folder / "prefect.db"
