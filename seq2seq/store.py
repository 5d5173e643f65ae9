"""The MLflow door: where the record and the registry lie, and what goes wrong on the way there.

Why: here alone it is decided which server is asked, how a fresh database is made, and which of its
errors may pass by themselves; tracking.py keeps the runs, registry.py the models.

The default is SQLite beside the project (`mlflow.db`, files in `mlruns`); MLFLOW_TRACKING_URI names
any other server. MLflow takes seconds to import, so that nothing here does before it is needed.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from seq2seq import environment
from seq2seq.errors import TransientError, UserError

T = TypeVar("T")
SQLITE = "sqlite:///"
# MLflow would hold a training up for minutes when its server is gone.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
MAY_PASS = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"}
# An OSError that is this machine's own, whatever server is asked: its disk or its permissions.
OWN = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR}
UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}  # MLflow's codes for "no such"


def uri() -> str:
    """Where the record is kept: MLFLOW_TRACKING_URI, or SQLite in the current folder."""
    named = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    database = sqlite_file(named)  # absolute, because it is handed to processes in other folders
    return f"{SQLITE}{database}" if database else named


def client() -> Any:
    """MLflow's client for `uri()`, opened once."""
    environment.prepare()
    return _open(uri())


@lru_cache
def _open(address: str) -> Any:
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    loud = logging.root.manager.disable
    logging.disable(logging.WARNING)  # alembic tells of every migration
    try:
        with _first_use(address), answering():
            from mlflow import MlflowClient

            opened = MlflowClient(tracking_uri=address)
            opened.search_registered_models(max_results=1)  # opens the registry's store as well
            return opened
    finally:
        logging.disable(loud)


@contextmanager
def _first_use(address: str) -> Iterator[None]:
    """One process at a time: several that create the tables of a fresh SQLite file corrupt it."""
    database = sqlite_file(address)
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("PRAGMA schema_version")
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{database}: {error}; move it away, or name another by MLFLOW_TRACKING_URI"
            ) from None
        yield


def sqlite_file(address: str) -> Path | None:
    """The file of a SQLite address; None for any other server."""
    return Path(address.removeprefix(SQLITE)).resolve() if address.startswith(SQLITE) else None


@contextmanager
def answering() -> Iterator[None]:
    """Turns MLflow's errors into ours: TransientError if a server failed, UserError for the rest."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        remote = sqlite_file(uri()) is None
        if error.error_code in MAY_PASS and (remote or error.error_code != "INTERNAL_ERROR"):
            raise TransientError(f"MLflow at {uri()} does not answer: {_innermost(error)}") from None
        # None: a log that shows causes would show the address with its password.
        raise UserError(f"MLflow at {uri()}: {_first_line(error)}") from None
    except OSError as error:
        if sqlite_file(uri()) is not None or error.errno in OWN:
            raise
        raise TransientError(f"MLflow at {uri()} does not answer: {_innermost(error)}") from None


def _innermost(error: BaseException) -> str:
    """What really happened, e.g. `[Errno 111] Connection refused`, without the tale around it."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]


def known(ask: Callable[[], T]) -> T | None:
    """What `ask` gets from MLflow; None if MLflow says that there is no such thing."""
    from mlflow.exceptions import MlflowException

    with answering():
        try:
            return ask()
        except MlflowException as error:
            if error.error_code in UNKNOWN:
                return None
            raise
