"""Backup and restore of one machine without servers: SQLite databases, MLflow's files and DVC's cache.

Why: a SQLite file that a process writes cannot be copied byte by byte; SQLite's own backup gives one
consistent state. Databases are copied before the files that their rows name.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from infra.backup import manifest as manifests
from infra.backup.manifest import FILES, Manifest
from seq2seq.common import sqlite
from seq2seq.common.errors import UserError

# Data that cannot be computed again from git: registry and record, Prefect's runs, corrections of users,
# records that wait for a server, results. Databases first.
USERS = "corrections.db"  # texts of users alone, no paths
DATABASES = ("mlflow.db", ".prefect/*.db", USERS)
PLACES = ("mlruns", ".cache/mlflow", ".prefect", "dvc.lock", ".dvc/cache")
SECRET_FILES = (".dvc/config.local",)  # keys of a DVC remote
MEMORY = (".db-wal", ".db-shm", ".db-journal")  # SQLite's own, contained in its backup
BELOW = "project"  # of a backup's folder


def back_up(folder: Path, project: Path, with_secrets: bool) -> Manifest:
    """Write a backup of a project's folder; raises UserError if there is nothing to keep."""
    databases = [path for pattern in DATABASES for path in sorted(project.glob(pattern))]
    if not databases and not any((project / name).exists() for name in PLACES):
        raise UserError(f"{project} has neither mlflow.db nor results: there is nothing to back up")
    with manifests.writing(folder, FILES) as draft:
        draft.manifest.project = str(project)
        for path in databases:
            name = f"{BELOW}/{path.relative_to(project)}"
            sqlite.copy_database(path, draft.path(name))
            draft.add(name)
        for path in _files(project, with_secrets):
            name = f"{BELOW}/{path.relative_to(project)}"
            if name in draft.manifest.files or folder in path.parents:
                continue
            with suppress(FileNotFoundError):  # a draft that has got its name meanwhile
                shutil.copy2(path, draft.path(name))
                draft.add(name)
        return draft.manifest


def restore(folder: Path, project: Path, force: bool) -> Manifest:
    """Restore a backup into a project's folder; raises UserError before any write."""
    found = manifests.read_restorable(folder, FILES)
    if not force and (
        used := [name for name in ("mlflow.db", USERS, *PLACES) if _has_content(project / name)]
    ):
        raise UserError(
            f"{project} has {', '.join(used)}: a backup is restored into a folder without them; `FORCE=1` "
            "replaces files of the same name"
        )
    for name in found.files:
        path = project / Path(name).relative_to(BELOW)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # objects of DVC's cache may be read-only
        shutil.copy2(folder / name, path)
        if path.suffix == ".db":
            for ending in MEMORY:
                path.with_suffix(ending).unlink(missing_ok=True)
            if found.project != str(project) and path.name != USERS:
                sqlite.relocate(path, f"{found.project}/", f"{project}/")
    return found


def _files(project: Path, with_secrets: bool) -> Iterator[Path]:
    for name in (*PLACES, *(SECRET_FILES if with_secrets else ())):
        place = project / name
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if path.is_file() and not path.is_symlink() and not path.name.endswith(MEMORY):
                yield path


def _has_content(path: Path) -> bool:
    if path.is_dir():
        return any(one.is_file() for one in path.rglob("*"))
    # A committed dvc.lock is part of the project.
    return path.exists() and path.name != "dvc.lock"
