"""What the system answered about a file, in one line: which, why, and for a full disk where to free space.

Why: libraries raise a full disk as an error of their own kind, most often without the file.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT}
FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "disk is full")
# Where this project writes, below the current folder.
PLACES = (".", "data", "model", "reports", ".checkpoints", ".cache", ".dvc/cache", ".prefect", "mlruns")
NOTHING = 2**20  # bytes: a disk with less is full


def explain(error: OSError) -> str:
    """What the system answered and about which file; with a remedy for a full disk."""
    text = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
    if error.errno in FULL or is_full(text):
        return f"{text}; {remedy(error.filename)}"
    return text


def is_full(text: str) -> bool:
    """Whether a library's message is about a full disk."""
    return any(words in text for words in FULL_TEXTS)


def remedy(file: str | bytes | int | None = None) -> str:
    """Where space has to be freed: at the file, or else in the places that have least."""
    if isinstance(file, str) and file:
        where: Iterable[str] = [file]
    else:
        free = {place: _free(place) for place in (*PLACES, tempfile.gettempdir()) if Path(place).exists()}
        where = full() or [place for place, left in free.items() if left == min(free.values())]
    return f"free space on the disk of {', '.join(where)} and run again"


def full() -> list[str]:
    """Of the places that are written to those whose disk is full, one for each disk."""
    found: dict[int, str] = {}
    for place in (*PLACES, tempfile.gettempdir()):
        if Path(place).exists() and _free(place) < NOTHING:
            found.setdefault(Path(place).stat().st_dev, place)
    return list(found.values())


def _free(place: str) -> int:
    """Bytes that this user can still write there."""
    try:
        status = os.statvfs(place)
    except OSError:
        return NOTHING
    return status.f_bavail * status.f_frsize
