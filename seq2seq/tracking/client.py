"""The MLflow door: where the record and the registry lie, and what goes wrong on the way there.

Why: here alone it is decided which server is asked, how a fresh database is made, and which of its
errors may pass by themselves; tracking.py keeps the runs, registry.py the models.

The default is SQLite beside the project (`mlflow.db`, files in `mlruns`); MLFLOW_TRACKING_URI names
any other server. MLflow takes seconds to import, so that nothing here does before it is needed.
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
# MLflow would hold a training up for minutes when its server is gone. The timeout is of silence: an upload
# that goes on may take longer.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
FIRST_ANSWER = (
    15.0  # seconds in which a server has to answer at all, before it is asked anything that matters
)
SILENCE = 5.0  # seconds of waiting before a line shows what for
LINES_APART = 10.0  # seconds between two such lines about one server
_shown: dict[str, float] = {}  # when the last one was written
TRANSIENT_CODES = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"}
# An OSError that is this machine's own, whatever server is asked: its disk or its permissions.
LOCAL_ERRNOS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
}
SQLITE_ERROR = re.compile(r"\(sqlite3\.\w*Error\) ")
COPY, COPIES = "copy-%Y%m%d-%H%M%S", 3  # of a database before its schema changes: name, and how many are kept
UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}  # MLflow's codes for "no such"


def uri() -> str:
    """Where the record is kept: MLFLOW_TRACKING_URI, or SQLite in the current folder."""
    named = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    database = sqlite_file(named)  # absolute, because it is handed to processes in other folders
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
    logging.disable(logging.WARNING)  # alembic tells of every migration
    try:
        with _first_use(address), translate_errors():
            from mlflow import MlflowClient

            opened = MlflowClient(tracking_uri=address)
            opened.search_registered_models(max_results=1)  # opens the registry's store as well
            return opened
    finally:
        logging.disable(loud)


def _check_answering(address: str) -> None:
    """Raise TransientError for a server that takes a connection and never answers.

    Any answer will do, and what else is wrong MLflow finds out by itself.
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
    raise TransientError(f"MLflow at {address} takes connections and does not answer in {FIRST_ANSWER:.0f} s")


def _wait_for(address: str, limit: str) -> None:
    now = time.monotonic()
    if now - _shown.get(address, -LINES_APART) < LINES_APART:
        return
    _shown[address] = now
    print(f"waiting for MLflow at {mask(address)}, at most {limit}", file=sys.stderr, flush=True)


@contextmanager
def _lines_of_waiting(is_long: bool) -> Iterator[None]:
    """After a moment a line names the server that is waited for, unless it is for work that takes long."""
    address = uri()
    if is_long or not address.startswith("http"):
        yield
        return
    tries = 1 + int(os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES") or 1)
    limit = f"{tries} times {os.environ.get('MLFLOW_HTTP_REQUEST_TIMEOUT') or 30} s for each question"
    timer = threading.Timer(SILENCE, _wait_for, (address, limit))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _first_use(address: str) -> Iterator[None]:
    """One process at a time: several that create the tables of a fresh SQLite file corrupt it."""
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
                    f"{database} has tables that this MLflow does not have (revision {revision}): a newer "
                    f"MLflow wrote it; install that MLflow; {_way_back(database)}"
                )
            _upgrade(address, database, revision, revisions[0])
        yield


def _warn_if_gone(database: Path) -> None:
    """Print a notice if an empty database is about to be made where a registry has been before."""
    files = database.parent / "mlruns"
    empty = not database.exists() or database.stat().st_size == 0
    if empty and files.is_dir() and any(files.iterdir()):
        print(
            f"warning: {database} is {'empty' if database.exists() else 'gone'} although {files} holds runs: "
            f"a new registry without versions, aliases and promotion log is made; {_way_back(database)}",
            file=sys.stderr,
            flush=True,
        )


def _check(database: Path) -> str | None:
    """The revision of a database's schema, None if it has none yet; raises UserError for a damaged one."""
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
    """The revisions of the schema that this MLflow has, newest first."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config

    scripts = ScriptDirectory.from_config(_get_alembic_config(db_url=""))
    return [script.revision for script in scripts.walk_revisions()]


def _upgrade(address: str, database: Path, revision: str, latest: str) -> None:
    """Bring a database to this MLflow's schema, and keep a copy of it as it was.

    A failed upgrade leaves the database as it was and no copy: MLflow's migrations are no transactions.
    Raises UserError.
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
            f"{database} cannot be brought to the tables of this MLflow ({_first_line(error)}); it is left "
            f"as it was ({revision}): install the earlier MLflow; if it is damaged, {_way_back(database)}"
        ) from error
    for old in _copies(database)[COPIES:]:
        old.unlink()
    print(
        f"MLflow: {database} has the tables of this MLflow now ({revision} -> {latest}); as it was it is "
        f"kept in {copy.name}; to go back install the earlier MLflow and: cp {copy} {database}",
        flush=True,
    )


def _copy(database: Path, copy: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def _copies(database: Path) -> list[Path]:
    """The copies of a database that schema changes have left, newest first."""
    return sorted(database.parent.glob(f"{database.name}.copy-*"), reverse=True)


def _way_back(database: Path) -> str:
    """How to get a database's content back, as a command."""
    if copies := _copies(database):
        return f"to go back to the newest copy: cp {copies[0]} {database}"
    return f"put a copy of your own at {database} if there is one"


def _damaged(database: Path, reason: str) -> UserError:
    return UserError(
        f"{database} is damaged: {reason}; {_way_back(database)}, or move it away: then a new registry "
        "without versions and promotion log is made"
    )


def _explained(error: BaseException, database: Path) -> Exception:
    """What SQLite answered as an error of ours: damage, a full disk, or its own words."""
    text = _first_line(error)
    if re.search("malformed|not a database", text):
        return _damaged(database, text)
    if "disk is full" in text:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(database))
    return UserError(f"{database}: {text}; mend that, or name another place by MLFLOW_TRACKING_URI")


def sqlite_file(address: str) -> Path | None:
    """The file of a SQLite address; None for any other server."""
    return Path(address.removeprefix(SQLITE)).resolve() if address.startswith(SQLITE) else None


@contextmanager
def translate_errors(*, is_long: bool = False) -> Iterator[None]:
    """Turns MLflow's errors into ours: TransientError if a server failed, UserError for the rest.

    A server that is silent for a while is named on stderr, unless what it is asked `is_long`.
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
        # None: a log that shows causes would show the address with its password.
        raise UserError(f"MLflow at {uri()}: {_first_line(error)}") from None
    except OSError as error:
        if sqlite_file(uri()) is not None or error.errno in LOCAL_ERRNOS:
            raise
        raise TransientError(f"MLflow at {uri()} does not answer: {_innermost(error)}") from None


def _innermost(error: BaseException) -> str:
    """What really happened, e.g. `[Errno 111] Connection refused`, without the tale around it."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]


def get_or_none(ask: Callable[[], T]) -> T | None:
    """What `ask` gets from MLflow; None if MLflow says that there is no such thing."""
    from mlflow.exceptions import MlflowException

    with translate_errors():
        try:
            return ask()
        except MlflowException as error:
            if error.error_code in UNKNOWN:
                return None
            raise
