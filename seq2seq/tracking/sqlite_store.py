"""MLflow's SQLite database: its check, the upgrade of its schema with a copy of the old one, and its errors.

Why: MLflow creates an empty database where one is lost, and its migrations are not transactions; a registry
and its promotion log must survive both.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from seq2seq.common import locks, sqlite
from seq2seq.common.errors import UserError, first_line

SQLITE = "sqlite:///"
COPY, COPIES = "copy-%Y%m%d-%H%M%S", 3  # of a database before an upgrade: the name, and the number kept


@contextmanager
def prepared(address: str) -> Iterator[None]:
    """Lock the first use, and check and upgrade the schema before it.

    Processes that create the tables of one SQLite file at the same time corrupt it.
    """
    database = sqlite_file(address)
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(database.with_name(f"{database.name}.lock"), f"the first use of {database}"):
        _warn_if_gone(database)
        revision = _check(database)
        if revision is not None and revision != (revisions := _revisions())[0]:
            if revision not in revisions:
                raise UserError(
                    f"{database} has a schema that this MLflow does not have (revision {revision}): a newer "
                    f"MLflow wrote it; install that MLflow; {_restore_hint(database)}"
                )
            _upgrade(address, database, revision, revisions[0])
        yield


def _warn_if_gone(database: Path) -> None:
    """Print a warning if a registry was here before and an empty database is about to replace it."""
    files = database.parent / "mlruns"
    empty = not database.exists() or database.stat().st_size == 0
    if empty and files.is_dir() and any(files.iterdir()):
        print(
            f"warning: {database} is {'empty' if database.exists() else 'gone'} although {files} holds runs: "
            f"a new, empty registry without promotion log is created; {_restore_hint(database)}",
            file=sys.stderr,
            flush=True,
        )


def _check(database: Path) -> str | None:
    """The revision of a database's schema, None for an empty one; raises UserError for a damaged one."""
    try:
        with closing(sqlite3.connect(database)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found.splitlines()[-1])
            if not connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
            ).fetchone():
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return str(row[0]) if row else None
    except sqlite3.OperationalError as error:  # locked, no permission, a full disk
        raise explained(error, database) from None
    except sqlite3.DatabaseError as error:
        raise _damaged(database, str(error)) from None


def _revisions() -> list[str]:
    """The schema revisions of this MLflow, newest first."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config

    scripts = ScriptDirectory.from_config(_get_alembic_config(db_url=""))
    return [script.revision for script in scripts.walk_revisions()]


def _upgrade(address: str, database: Path, revision: str, latest: str) -> None:
    """Upgrade a database to this MLflow's schema, and keep a copy of the old one.

    MLflow's migrations are not transactions: after a failed upgrade the copy is put back. Raises UserError.
    """
    from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine_with_retry

    copy = database.with_name(f"{database.name}.{time.strftime(COPY)}-{revision}")
    try:
        sqlite.copy_database(database, copy)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    engine = create_sqlalchemy_engine_with_retry(address)
    try:
        _upgrade_db(engine)
    except BaseException as error:
        engine.dispose()
        sqlite.copy_database(copy, database)
        copy.unlink()
        if not isinstance(error, Exception):
            raise
        raise UserError(
            f"{database} cannot be upgraded to the schema of this MLflow ({first_line(error)}) and is "
            f"unchanged ({revision}): install the earlier MLflow; if it is damaged, {_restore_hint(database)}"
        ) from error
    for old in _copies(database)[COPIES:]:
        old.unlink()
    print(
        f"MLflow: {database} is upgraded to the schema of this MLflow ({revision} -> {latest}); a copy of "
        f"the old one is {copy.name}; to go back install the earlier MLflow and: cp {copy} {database}",
        flush=True,
    )


def _copies(database: Path) -> list[Path]:
    """The copies made before upgrades of a database, newest first."""
    return sorted(database.parent.glob(f"{database.name}.copy-*"), reverse=True)


def _restore_hint(database: Path) -> str:
    """The command that restores a database's content."""
    if copies := _copies(database):
        return f"to go back to the newest copy: cp {copies[0]} {database}"
    return f"if you have a copy, put it at {database}"


def _damaged(database: Path, reason: str) -> UserError:
    return UserError(
        f"{database} is damaged: {reason}; {_restore_hint(database)}, or move it away: a new registry "
        "without versions and promotion log is then created"
    )


def explained(error: BaseException, database: Path) -> Exception:
    """An error of SQLite as one of this project: damage, a full disk, or SQLite's text."""
    text = first_line(error)
    if re.search("malformed|not a database", text):
        return _damaged(database, text)
    if "disk is full" in text:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(database))
    return UserError(f"{database}: {text}; correct that, or set MLFLOW_TRACKING_URI to another place")


def find_version(
    database: Path, model: str, alias: str | None, number: str | None
) -> tuple[Path, dict[str, str]] | None:
    """Folder and tags of a version, read without MLflow; None if there is no such folder on this machine."""
    which, values = "?", [model, number]
    if alias is not None:
        which = "(SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?)"
        values = [model, model, alias]
    values.append("Deleted_Internal")  # MLflow keeps the rows of deleted versions
    query = f"SELECT storage_location, version FROM model_versions WHERE name = ? AND version = {which}"
    tags = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute(f"{query} AND current_stage != ?", values).fetchone()
            recorded = dict(connection.execute(tags, (model, row[1])).fetchall()) if row else {}
    except sqlite3.DatabaseError:
        return None
    location = urlsplit(row[0] or "") if row else None
    if location is None or location.scheme != "file":
        return None
    return Path(unquote(location.path)), recorded


def aliased_version(database: Path, model: str, alias: str) -> str | None:
    """The number of the version of an alias, read without MLflow; None if there is none."""
    query = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute(query, (model, alias)).fetchone()
    except sqlite3.DatabaseError:
        return None
    return str(row[0]) if row else None


def sqlite_file(address: str) -> Path | None:
    """The file of a SQLite address; None for any other server."""
    return Path(address.removeprefix(SQLITE)).resolve() if address.startswith(SQLITE) else None
