"""One run per workspace: a file lock.

Why: two runs in one folder would write the same outputs, and DVC's own locks only cover parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from seq2seq.common import locks
from seq2seq.common.errors import UserError

FILE = Path(".run.lock")


@contextmanager
def workspace(path: Path = FILE) -> Iterator[None]:
    """Hold the workspace; raises UserError at once when somebody else does.

    The kernel frees the lock however its holder ends, so there are no stale ones.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"another run holds {path.resolve()} ({locks.holder(path)}); wait for it to end, or stop it"
        ) from None
    try:
        locks.sign(path)
        yield
    finally:
        lock.release()
