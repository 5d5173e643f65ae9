"""One run per workspace, and one promotion or rollback at a time per registry: file locks.

Why: two runs in one folder would write the same outputs, and DVC's own locks only cover parts; and
MLflow cannot compare and swap an alias.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from seq2seq import store
from seq2seq.errors import UserError

FILE = Path(".run.lock")


@contextmanager
def workspace(path: Path = FILE) -> Iterator[None]:
    """Hold the workspace; raises UserError at once when somebody else does.

    The kernel frees the lock however its holder ends, so there are no stale ones.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            try:
                holder = json.loads(file.read())
                who = f"process {holder['pid']}, since {holder['since']}: {holder['command']}"
            except (ValueError, KeyError):
                who = "it is just starting"
            raise UserError(
                f"another run holds {path.resolve()} ({who}); wait for it to end, or stop it"
            ) from None
        file.truncate(0)
        since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        json.dump({"pid": os.getpid(), "since": since, "command": " ".join(sys.argv)}, file)
        file.flush()
        yield


@contextmanager
def promotions() -> Iterator[None]:
    """Wait for one's turn to move an alias of the registry in use; covers one user's processes on this host.

    Hold it for moments only: nothing is to be loaded or counted under it.
    """
    address = store.uri().rstrip("/")
    name = hashlib.sha256(address.encode()).hexdigest()[:16]
    beside = store.sqlite_file(address) or Path(tempfile.gettempdir(), f"seq2seq-{os.getuid()}-{name}")
    beside.parent.mkdir(parents=True, exist_ok=True)
    with beside.with_name(f"{beside.name}.promotion").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
