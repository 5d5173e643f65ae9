"""Folders of finished shards: the results of a worker outlast a kill, and the next run uses them.

Why: a folder appears under its name only when it is complete and on the disk, and stands below a fingerprint
of all that it depends on, so that no run uses half a shard or one of other data.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from seq2seq.common import paths


def fingerprint(settings: object, libraries: Sequence[str], files: Iterable[Path]) -> str:
    """40 hex digits over settings, versions of Python and libraries, and the names and contents of files."""
    versions = [platform.python_version(), *map(version, libraries)]
    total = hashlib.sha256(json.dumps([settings, versions], sort_keys=True).encode())
    for path in files:
        with path.open("rb") as file:
            total.update(f"{path.name}\0".encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:40]


def begin(stage: str, name: str) -> Path:
    """The folder for the shards of a stage with a fingerprint; those of others, and drafts, are removed."""
    stages = paths.SHARDS / stage
    for other in stages.glob("*"):
        if other.name != name:  # of other settings or another corpus
            shutil.rmtree(other)
    work = stages / name
    work.mkdir(parents=True, exist_ok=True)
    for draft in work.glob("*.*"):  # of processes that were killed
        shutil.rmtree(draft) if draft.is_dir() else draft.unlink()
    return work


def end(stage: str) -> None:
    """Remove the shards of a stage, whose results are written."""
    shutil.rmtree(paths.SHARDS / stage)
    for folder in (paths.SHARDS, paths.CHECKPOINTS):
        with suppress(OSError):  # it holds those of another stage, or checkpoints
            folder.rmdir()


@contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """A folder to write into, which gets its name, and is on the disk, at the end of the block."""
    drafted = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    drafted.chmod(0o755)  # a worker of Ray may be another user's
    try:
        yield drafted
        for path in (*drafted.iterdir(), drafted):
            _flush(path)
        drafted.rename(folder)
    except BaseException as error:
        shutil.rmtree(drafted, ignore_errors=True)
        if not (isinstance(error, OSError) and folder.is_dir()):  # else it was done twice, with one result
            raise


def _flush(path: Path) -> None:
    """Write a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
