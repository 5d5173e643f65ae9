"""File locks that only one user can hold, with a timeout and a message while waiting.

Why: MLflow has no compare-and-swap for aliases, and two processes that create the tables of one SQLite file
corrupt it. A lock covers the processes of one user on this host.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from seq2seq.common import masking
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.progress import duration

PATIENCE = 600.0  # seconds; locks are held briefly, unless an unreachable registry delays the holder
SILENCE = 5.0  # seconds of waiting before a line names the lock
STEP = 0.1  # seconds between two tries


@contextmanager
def exclusive(path: Path, what: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of a file, called `what` in messages; TransientError after `patience` seconds.

    Raises UserError for a file of another user. Hold it only briefly.
    """
    with _open(path) as file:
        _wait(file, f"{what} ({path})", patience)
        sign(file)
        try:
            yield
        finally:
            file.truncate(0)  # or the next waiting process would print a former holder


def sign(file: TextIO) -> None:
    """Record this process as the holder of a lock file."""
    file.seek(0)
    file.truncate(0)
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    command = masking.mask(" ".join(sys.argv))
    json.dump({"pid": os.getpid(), "since": since, "command": command}, file)
    file.flush()


def holder(file: TextIO) -> str:
    """The holder of a lock file: process, time, command."""
    file.seek(0)
    try:
        found = json.loads(file.read())
        return f"process {found['pid']}, since {found['since']}: {found['command']}"
    except (ValueError, KeyError, TypeError):
        return "it is just starting"


def _wait(file: TextIO, what: str, patience: float) -> None:
    began, silent = time.monotonic(), True
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = time.monotonic() - began
        if waited >= patience:
            raise TransientError(
                f"{what} is still held after {duration(patience)} ({holder(file)}); "
                "stop that process if it hangs"
            ) from None
        if silent and waited >= SILENCE:
            silent = False
            limit = duration(patience)
            print(f"waiting for {what}, held ({holder(file)}); at most {limit}", file=sys.stderr, flush=True)
        time.sleep(min(STEP, patience - waited))


def private_folder() -> Path:
    """A folder with access for this user only, the same for all of the user's processes."""
    try:  # not XDG_RUNTIME_DIR: scheduled processes have none, and would use another lock
        folder = Path.home() / ".cache/seq2seq/locks"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):  # a container's user may have no home
        folder = Path(tempfile.gettempdir(), f"seq2seq-{os.getuid()}")
        folder.mkdir(exist_ok=True, mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UserError(f"{folder} belongs to another user: remove it, or set HOME to a folder of your own")
    folder.chmod(0o700)
    return folder


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    """Open the lock file with access for its owner only, because anybody with access can hold the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except PermissionError:
        raise UserError(
            f"{path} belongs to another user, and only that user may change this registry; if that is "
            "wrong, remove it"
        ) from None
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        if os.fstat(descriptor).st_uid == os.getuid():
            os.fchmod(descriptor, 0o600)  # earlier releases created it with access for all
        yield file
