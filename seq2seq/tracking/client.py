"""MLflow's client: the address of the server, and translation of errors.

Why: only this module chooses the server and decides which errors are transient; runs.py handles runs,
registry.py models, sqlite_store.py a database in a file.

The default is SQLite beside the project (`mlflow.db`, files in `mlruns`), unless MLFLOW_TRACKING_URI is set.
Importing MLflow takes seconds, so it is imported on first use.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.parse import urlsplit

from seq2seq.common import environment
from seq2seq.common.errors import TransientError, UserError, first_line
from seq2seq.common.masking import mask
from seq2seq.tracking import sqlite_store

T = TypeVar("T")
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
LOGIN = "the login is refused: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
FORBIDDEN = (
    "this account may not do that: promoting, rolling back and registering need EDIT on the model and its "
    "experiments; MLflow's administrator grants it"
)
UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}  # MLflow's codes for a missing object


def uri() -> str:
    """The address of the server: MLFLOW_TRACKING_URI, or SQLite in the current folder."""
    named = os.environ.get("MLFLOW_TRACKING_URI") or f"{sqlite_store.SQLITE}mlflow.db"
    file = sqlite_store.sqlite_file(named)  # absolute, for processes in other folders
    return f"{sqlite_store.SQLITE}{file}" if file else named


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
        with sqlite_store.prepared(address), translate_errors():
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
        if (file := sqlite_store.sqlite_file(uri())) is None:
            raise
        raise sqlite_store.explained(error, file) from error
    except MlflowException as error:
        if (file := sqlite_store.sqlite_file(uri())) and SQLITE_ERROR.search(str(error)):
            raise sqlite_store.explained(error, file) from error
        if error.error_code in TRANSIENT_CODES - ({"INTERNAL_ERROR"} if file else set()):
            raise TransientError(f"MLflow at {uri()} does not answer: {_innermost(error)}") from None
        texts = {"UNAUTHENTICATED": LOGIN, "PERMISSION_DENIED": FORBIDDEN}
        text = texts.get(error.error_code) or first_line(error)
        raise UserError(f"MLflow at {uri()}: {text}") from None  # a cause may show the password
    except OSError as error:
        if sqlite_store.sqlite_file(uri()) is not None or error.errno in LOCAL_ERRNOS:
            raise
        raise TransientError(f"MLflow at {uri()} does not answer: {_innermost(error)}") from None


def _innermost(error: BaseException) -> str:
    """The text of the innermost cause, e.g. `[Errno 111] Connection refused`."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return first_line(error)


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
