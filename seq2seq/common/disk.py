"""An OSError in one line: file, reason, and for a full disk the places to free space.

Why: libraries report a full disk by errors of their own, mostly without the file.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT}
FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "disk is full")
# Folders that this project writes to, below the current one.
PLACES = (".", "data", "model", "reports", ".checkpoints", ".cache", ".dvc/cache", ".prefect", "mlruns")
NOTHING = 2**20  # bytes: a disk with less counts as full


def explain(error: OSError) -> str:
    """The reason and the file; for a full disk with a remedy."""
    text = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
    if error.errno in FULL or is_full(text):
        return f"{text}; {remedy(error.filename)}"
    return text


def is_full(text: str) -> bool:
    """Whether a library's message means a full disk."""
    return any(words in text for words in FULL_TEXTS)


def remedy(file: str | bytes | int | None = None) -> str:
    """The instruction to free space: at the file, or in the folders with the least space."""
    if isinstance(file, str) and file:
        where: Iterable[str] = [file]
    else:
        free = {place: _free(place) for place in (*PLACES, tempfile.gettempdir()) if Path(place).exists()}
        where = full() or [place for place, left in free.items() if left == min(free.values())]
    return f"free space on the disk of {', '.join(where)} and run again"


def full() -> list[str]:
    """The folders on full disks, one per disk."""
    found: dict[int, str] = {}
    for place in (*PLACES, tempfile.gettempdir()):
        if Path(place).exists() and _free(place) < NOTHING:
            found.setdefault(Path(place).stat().st_dev, place)
    return list(found.values())


def _free(place: str) -> int:
    """Bytes available to this user."""
    try:
        status = os.statvfs(place)
    except OSError:
        return NOTHING
    return status.f_bavail * status.f_frsize
