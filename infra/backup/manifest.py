"""A backup's folder: its files and a manifest with sizes, hashes and versions.

Why: a damaged backup has to be refused by name before the first byte is restored. A backup is written beside
its final name and renamed when it is complete, so that an interrupted one is never taken for a whole one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from seq2seq.common.errors import UserError

FORMAT = 1
FILE, CHECKSUM = "manifest.json", "manifest.json.sha256"
SERVERS, FILES = "servers", "files"  # kinds
PACKAGES = ("seq2seq", "mlflow", "prefect", "dvc")
SHOWN = 3  # damaged files named in a message


@dataclass
class Manifest:
    """The content of a backup; `files` has size and sha256 by path below the folder."""

    kind: str
    made: str
    versions: dict[str, str]
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: list[dict[str, str]] = field(default_factory=list)  # bucket, key, file
    project: str = ""  # of the kind `files`: the folder whose absolute paths its databases hold

    def size(self) -> int:
        """Bytes of all files."""
        return sum(int(one["size"]) for one in self.files.values())


class Draft:
    """A backup that is being written."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        found = {name: installed(name) for name in PACKAGES}
        self.manifest = Manifest(kind, datetime.now(UTC).isoformat(timespec="seconds"), found)

    def path(self, name: str) -> Path:
        """The place of a file, in a folder that exists."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def add(self, name: str) -> None:
        """List a file that has been written."""
        path = self.folder / name
        self.manifest.files[name] = {"size": path.stat().st_size, "sha256": sha256(path)}


@contextmanager
def writing(folder: Path, kind: str) -> Iterator[Draft]:
    """A draft that becomes `folder` if the block ends without an error; raises UserError if that exists."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not empty: name a new folder, e.g. one with the date")
    beside = folder.with_name(f".{folder.name}.incomplete")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True, mode=0o700)
    try:
        draft = Draft(beside, kind)
        yield draft
        text = json.dumps({"format": FORMAT, **vars(draft.manifest)}, indent=1, ensure_ascii=False) + "\n"
        (beside / FILE).write_text(text, "utf-8")
        (beside / CHECKSUM).write_text(f"{sha256(beside / FILE)}  {FILE}\n", "utf-8")
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def read(folder: Path) -> Manifest:
    """The manifest of a backup, all of whose files have been compared; raises UserError that names damage."""
    path = folder / FILE
    try:
        wanted = (folder / CHECKSUM).read_text("utf-8").split()[0]
        found = sha256(path)
    except (OSError, IndexError, UnicodeDecodeError) as error:
        raise UserError(f"{folder} is no complete backup: {error}; nothing is restored") from None
    if found != wanted:
        raise UserError(f"{path} is damaged: its sha256 differs from {CHECKSUM}; nothing is restored")
    content = json.loads(path.read_text("utf-8"))
    if content.pop("format") != FORMAT:
        raise UserError(f"{path} has another format than {FORMAT}: restore with the code that made it")
    manifest = Manifest(**content)
    damaged = [
        f"{folder / name} {problem}"
        for name, wanted in manifest.files.items()
        if (problem := _problem(folder / name, wanted))
    ]
    if damaged:
        more = f"; and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else ""
        raise UserError(f"the backup is damaged: {'; '.join(damaged[:SHOWN])}{more}; nothing is restored")
    return manifest


def read_restorable(folder: Path, kind: str) -> Manifest:
    """The manifest of a backup of this kind for the versions here; raises UserError for another."""
    found = read(folder)
    if found.kind != kind:
        raise UserError(f"{folder} is a backup of {found.kind}, not of {kind}")
    check_versions(found)
    return found


def check_versions(manifest: Manifest, look_up: Callable[[str], str] | None = None) -> None:
    """Raise UserError if an installed package is older than the one that wrote the backup's databases."""
    look_up = look_up or installed
    for name in ("mlflow", "prefect"):
        then, now = manifest.versions.get(name, ""), look_up(name)
        if _numbers(now) < _numbers(then):
            raise UserError(
                f"the backup is of {name} {then}, {name} {now} is installed and cannot read a newer "
                f"database: install {name} {then} or later; nothing is restored"
            )


def sha256(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _problem(path: Path, wanted: dict[str, Any]) -> str:
    try:
        size = path.stat().st_size
    except OSError:
        return "is missing"
    if size != wanted["size"]:
        return f"has {size:,} bytes instead of {wanted['size']:,}"
    return "" if sha256(path) == wanted["sha256"] else "has another sha256"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def installed(name: str) -> str:
    """The version of an installed package; empty if there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
