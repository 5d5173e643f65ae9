"""One run per workspace: a file lock that says who holds it.

Why: two runs in one folder would write the same outputs, and DVC's own locks only cover parts.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

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
