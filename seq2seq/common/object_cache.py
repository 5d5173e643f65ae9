"""Objects of DVC's cache that nothing names any more.

Why: `dvc gc` keeps by folders and commits, and not by the versions of a registry, whose corpora must stay. An
object goes only if it is named by none of the hashes that are given, and by no file of DVC's of the project.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from seq2seq.common import dag
from seq2seq.common.errors import UserError

HASH = re.compile(r"\bmd5: ['\"]?([0-9a-f]{32}(?:\.dir)?)\b")
NAME = re.compile(r"[0-9a-f]{30}(\.dir)?")


def of_the_project() -> Path | None:
    """The folder of objects; None if DVC's cache is not in the current folder's own .dvc."""
    if not Path(".dvc").is_dir():
        return None
    cache = dag.cache_folder()
    return cache if cache.resolve().is_relative_to(Path(".dvc").resolve()) else None


def named_by(trees: Iterable[Path]) -> set[str]:
    """The hashes in the files of DVC's of folders, in dvc.lock at the tips of all branches and tags, and in
    each .dvc file that was ever committed: data under `dvc add` can be computed from nothing."""
    found: set[str] = set()
    for tree in trees:
        for path in (tree / "dvc.lock", *tree.rglob("*.dvc")):
            if path.is_file():
                found |= set(HASH.findall(path.read_text(encoding="utf-8", errors="replace")))
        if (tree / ".git").exists():
            for tip in ["HEAD", *_git(tree, "for-each-ref", "--format=%(objectname)").split()]:
                found |= set(HASH.findall(_git(tree, "show", f"{tip}:dvc.lock", optional=True)))
            found |= set(HASH.findall(_git(tree, "log", "--all", "--patch", "--", "*.dvc", optional=True)))
    return found


def unused(cache: Path, kept: set[str], before: float) -> Iterator[Path]:
    """The objects written before a time (seconds since 1970) that are not named; lists of files first.

    A named list of files keeps the files that it names; raises UserError for one that cannot be read.
    """
    kept = set(kept)
    for name in [name for name in kept if name.endswith(".dir")]:
        path = cache / name[:2] / name[2:]
        if path.is_file():
            try:
                kept |= {str(entry["md5"]) for entry in json.loads(path.read_bytes())}
            except (ValueError, TypeError, KeyError):
                raise UserError(f"{path} is damaged, so that its files are not known") from None
    objects = [p for p in cache.glob("??/*") if NAME.fullmatch(p.name) and p.lstat().st_mtime < before]
    for path in sorted(objects, key=lambda path: (path.suffix != ".dir", path)):
        if path.parent.name + path.name not in kept:
            yield path


def size(path: Path) -> int:
    """The bytes of a file or folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def _git(folder: Path, *arguments: str, optional: bool = False) -> str:
    """The output of git; empty if it fails and is `optional`, otherwise UserError."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    if done.returncode and not optional:
        raise UserError(
            f"git {arguments[0]} fails in {folder.resolve()}: {done.stderr.decode(errors='replace')}"
        )
    return done.stdout.decode(errors="replace") if not done.returncode else ""
