"""File locks that no other user can hold, and that nobody waits for in silence or without end.

Why: MLflow cannot compare and swap an alias, and a fresh SQLite file is corrupted by two that create its
tables. A lock covers one user's processes on this host.
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

PATIENCE = 600.0  # seconds; a lock is held for moments, but a registry that is away holds its holder up
SILENCE = 5.0  # seconds of waiting before a line shows what for
STEP = 0.1  # seconds between two tries


@contextmanager
def exclusive(path: Path, what: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of a file, named `what` to who waits; TransientError after `patience` seconds.

    Raises UserError for a file of another user. Hold it for moments only.
    """
    with _open(path) as file:
        _wait(file, f"{what} ({path})", patience)
        sign(file)
        try:
            yield
        finally:
            file.truncate(0)  # or who waits next would be shown a former holder


def sign(file: TextIO) -> None:
    """Record this process as a lock file's holder."""
    file.seek(0)
    file.truncate(0)
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    command = masking.mask(" ".join(sys.argv))
    json.dump({"pid": os.getpid(), "since": since, "command": command}, file)
    file.flush()


def holder(file: TextIO) -> str:
    """Who holds a lock file: process, since when, command."""
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
    """A folder that only this user can open, the same for all of this user's processes."""
    try:  # not XDG_RUNTIME_DIR: a schedule's process has none, and would find another lock
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
    """The lock file, which nobody but its owner can open: who can open a file can hold its lock."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except PermissionError:
        raise UserError(
            f"{path} belongs to another user, who alone may change this registry: remove it if that is wrong"
        ) from None
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        if os.fstat(descriptor).st_uid == os.getuid():
            os.fchmod(descriptor, 0o600)  # one that an earlier release left open to all
        yield file
