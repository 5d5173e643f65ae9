"""MLflow's client: the address of the server, setup and upgrade of a database, and translation of errors.

Why: only this module chooses the server, creates a new database, and decides which errors are transient;
runs.py handles runs, registry.py models.

The default is SQLite beside the project (`mlflow.db`, files in `mlruns`), unless MLFLOW_TRACKING_URI is set.
Importing MLflow takes seconds, so it is imported on first use.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sqlite3
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from seq2seq.common import environment, locks
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.masking import mask

T = TypeVar("T")
SQLITE = "sqlite:///"
# MLflow's defaults block a training for minutes. The timeout is for each wait for data, not for an upload.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
FIRST_ANSWER = 15.0  # seconds in which a server must answer a first check
SILENCE = 5.0  # seconds of waiting before a line names the server
LINES_APART = 10.0  # seconds between two such lines about one server
_shown: dict[str, float] = {}  # time of the last line, by server
TRANSIENT_CODES = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"}
# Errors of this machine's disk or permissions, not of a server.
LOCAL_ERRNOS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR)
}
SQLITE_ERROR = re.compile(r"\(sqlite3\.\w*Error\) ")
COPY, COPIES = "copy-%Y%m%d-%H%M%S", 3  # of a database before an upgrade: the name, and the number kept
UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}  # MLflow's codes for a missing object


def uri() -> str:
    """The address of the server: MLFLOW_TRACKING_URI, or SQLite in the current folder."""
    named = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    database = sqlite_file(named)  # absolute, for processes in other folders
    return f"{SQLITE}{database}" if database else named


def connect() -> Any:
    """MLflow's client for `uri()`, opened once."""
    environment.configure_process()
    return _open(uri())


@lru_cache
def _open(address: str) -> Any:
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    _check_answering(address)
    loud = logging.root.manager.disable
    logging.disable(logging.WARNING)  # alembic logs every migration
    try:
        with _first_use(address), translate_errors():
            from mlflow import MlflowClient

            opened = MlflowClient(tracking_uri=address)
            opened.search_registered_models(max_results=1)  # opens the registry's store as well
            return opened
    finally:
        logging.disable(loud)


def _check_answering(address: str) -> None:
    """Raise TransientError for a server that accepts a connection and never answers.

    Any answer counts; MLflow reports other errors itself.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return
    health = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/health"
    proxies: dict[str, str] | None = {} if environment.local_server(address) else None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
    for limit in (SILENCE, FIRST_ANSWER - SILENCE):
        try:
            with opener.open(health, timeout=limit):
                return
        except (OSError, ValueError, HTTPException) as error:
            if not isinstance(getattr(error, "reason", error), TimeoutError):
                return
        if limit == SILENCE:
            _wait_for(address, f"{FIRST_ANSWER:.0f} s")
    raise TransientError(
        f"MLflow at {address} accepts connections, but does not answer: {FIRST_ANSWER:.0f} s"
    )


def _wait_for(address: str, limit: str) -> None:
    now = time.monotonic()
    if now - _shown.get(address, -LINES_APART) < LINES_APART:
        return
    _shown[address] = now
    print(f"waiting for MLflow at {mask(address)}, at most {limit}", file=sys.stderr, flush=True)


@contextmanager
def _lines_of_waiting(is_long: bool) -> Iterator[None]:
    """Print a line that names the server after some seconds of waiting, unless the call `is_long`."""
    address = uri()
    if is_long or not address.startswith("http"):
        yield
        return
    tries = 1 + int(os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES") or 1)
    limit = f"{tries} times {os.environ.get('MLFLOW_HTTP_REQUEST_TIMEOUT') or 30} s per request"
    timer = threading.Timer(SILENCE, _wait_for, (address, limit))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _first_use(address: str) -> Iterator[None]:
    """Lock the first use: processes that create the tables of one SQLite file at the same time corrupt it."""
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
        raise _explained(error, database) from None
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
        _copy(database, copy)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    engine = create_sqlalchemy_engine_with_retry(address)
    try:
        _upgrade_db(engine)
    except BaseException as error:
        engine.dispose()
        _copy(copy, database)
        copy.unlink()
        if not isinstance(error, Exception):
            raise
        raise UserError(
            f"{database} cannot be upgraded to the schema of this MLflow ({_first_line(error)}) and is "
            f"unchanged ({revision}): install the earlier MLflow; if it is damaged, {_restore_hint(database)}"
        ) from error
    for old in _copies(database)[COPIES:]:
        old.unlink()
    print(
        f"MLflow: {database} is upgraded to the schema of this MLflow ({revision} -> {latest}); a copy of "
        f"the old one is {copy.name}; to go back install the earlier MLflow and: cp {copy} {database}",
        flush=True,
    )


def _copy(database: Path, copy: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


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


def _explained(error: BaseException, database: Path) -> Exception:
    """An error of SQLite as one of this project: damage, a full disk, or SQLite's text."""
    text = _first_line(error)
    if re.search("malformed|not a database", text):
        return _damaged(database, text)
    if "disk is full" in text:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(database))
    return UserError(f"{database}: {text}; correct that, or set MLFLOW_TRACKING_URI to another place")


def sqlite_file(address: str) -> Path | None:
    """The file of a SQLite address; None for any other server."""
    return Path(address.removeprefix(SQLITE)).resolve() if address.startswith(SQLITE) else None


@contextmanager
def translate_errors(*, is_long: bool = False) -> Iterator[None]:
    """Turn MLflow's errors into TransientError if a server failed, and UserError otherwise.

    A line on stderr names a slow server, unless the call `is_long`.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import DatabaseError

    try:
        with _lines_of_waiting(is_long):
            yield
    except DatabaseError as error:
        if (database := sqlite_file(uri())) is None:
            raise
        raise _explained(error, database) from error
    except MlflowException as error:
        if (database := sqlite_file(uri())) and SQLITE_ERROR.search(str(error)):
            raise _explained(error, database) from error
        remote = sqlite_file(uri()) is None
        if error.error_code in TRANSIENT_CODES and (remote or error.error_code != "INTERNAL_ERROR"):
            raise TransientError(f"MLflow at {uri()} does not answer: {_innermost(error)}") from None
        # from None: a log of causes would show the address with its password.
        raise UserError(f"MLflow at {uri()}: {_first_line(error)}") from None
    except OSError as error:
        if sqlite_file(uri()) is not None or error.errno in LOCAL_ERRNOS:
            raise
        raise TransientError(f"MLflow at {uri()} does not answer: {_innermost(error)}") from None


def _innermost(error: BaseException) -> str:
    """The text of the innermost cause, e.g. `[Errno 111] Connection refused`."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]


def get_or_none(get: Callable[[], T]) -> T | None:
    """The result of a call of MLflow; None if the object does not exist."""
    from mlflow.exceptions import MlflowException

    with translate_errors():
        try:
            return get()
        except MlflowException as error:
            if error.error_code in UNKNOWN:
                return None
            raise
