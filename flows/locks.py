"""One run per workspace: a file lock.

Why: two runs in one folder would write the same outputs, and DVC's own locks only cover parts.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seq2seq.common import locks
from seq2seq.common.errors import UserError

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
            raise UserError(
                f"another run holds {path.resolve()} ({locks.holder(file)}); wait for it to end, or stop it"
            ) from None
        locks.sign(file)
        yield
