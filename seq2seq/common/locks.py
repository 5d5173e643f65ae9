"""File locks that only one user can hold, with a timeout and a message while waiting.

Why: MLflow has no compare-and-swap for aliases, and two processes that create the tables of one SQLite file
corrupt it. A lock covers the processes of one user on this host. filelock has no place for the holder's
name; it is written into the lock's own file, which filelock leaves as it is.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from seq2seq.common import masking
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.progress import duration

PATIENCE = 600.0  # seconds; locks are held briefly, unless an unreachable registry delays the holder
SILENCE = 5.0  # seconds of waiting before a line names the lock


@contextmanager
def exclusive(path: Path, what: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of a file, called `what` in messages; TransientError after `patience` seconds.

    Raises UserError for a file of another user. Hold it only briefly.
    """
    lock = FileLock(path, mode=0o600)  # anybody who can open the file can hold the lock
    what = f"{what} ({path})"
    try:
        _acquire(lock, what, patience)
    except PermissionError:
        raise UserError(
            f"{path} belongs to another user, and only that user may change this registry; if that is "
            "wrong, remove it"
        ) from None
    try:
        if path.stat().st_uid == os.getuid():
            path.chmod(0o600)  # earlier releases created it with access for all
        sign(path)
        yield
    finally:
        os.truncate(path, 0)  # or the next waiting process would print a former holder
        lock.release()


def sign(path: Path) -> None:
    """Record this process as the holder of a lock file."""
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    command = masking.mask(" ".join(sys.argv))
    path.write_text(json.dumps({"pid": os.getpid(), "since": since, "command": command}), "utf-8")


def holder(path: Path) -> str:
    """The holder of a lock file: process, time, command."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return f"process {found['pid']}, since {found['since']}: {found['command']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it is just starting"


def _acquire(lock: FileLock, what: str, patience: float) -> None:
    silence = min(SILENCE, patience)
    try:
        lock.acquire(timeout=silence)
        return
    except Timeout:
        path, limit = Path(lock.lock_file), duration(patience)
    if silence < patience:
        print(f"waiting for {what}, held ({holder(path)}); at most {limit}", file=sys.stderr, flush=True)
    try:
        lock.acquire(timeout=patience - silence)
    except Timeout:
        raise TransientError(
            f"{what} is still held after {limit} ({holder(path)}); stop that process if it hangs"
        ) from None


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
