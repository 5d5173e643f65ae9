"""`seq2seq cleanup` = `make clean`: remove what runs have written, and nothing else.

Why: data, model and reports are folders in which people keep files of their own; DVC records which are a
run's.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from flows import console, locks
from seq2seq.common import dag, integrity, paths
from seq2seq.common.exits import Exit
from seq2seq.tracking import outbox

# Of the gate and of commands, which are no stages; the clones of schedules (.cache/retrain) stay.
OURS = (
    *(paths.EVIDENCE, paths.VERDICT, paths.REPORT, paths.CARD, paths.COSTS),
    *(Path(".cache", name) for name in ("bench", "compare", "huggingface", "matplotlib", "models")),
    *map(Path, (".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis")),
)
SHOWN = 5  # names of what is left


def command(options: argparse.Namespace) -> int:
    """`seq2seq cleanup`; returns the exit status."""
    display = console.current.get()
    with locks.workspace():
        left = clean()
    for path, reason in left[:SHOWN]:
        display.print(f"left: {path} ({reason})")
    if left[SHOWN:]:
        display.print(f"left: {len(left) - SHOWN} more; remove them yourself if nobody needs them")
    return Exit.DONE


def clean() -> list[tuple[Path, str]]:
    """Remove outputs of stages, reports of the gate, checkpoints and caches.

    Returns what is left in folders of outputs, and why. Raises UserError for a dvc.lock or dvc.yaml that
    cannot be read.
    """
    recorded = {out.path: out.md5 for out in integrity.recorded()}
    left = []
    for output in integrity.declared():
        if output.is_dir() and not output.is_symlink():
            md5 = recorded.get(output.as_posix(), "")
            names = integrity.listed(dag.cache_folder(), md5)
            for name in names:
                (output / name).unlink(missing_ok=True)
            reason = _reason(output, is_recorded=bool(md5), is_listed=bool(names))
            left += [(path, reason) for path in _without_empty_folders(output)]
        else:
            output.unlink(missing_ok=True)
    for checkpoint in checkpoints():
        shutil.rmtree(checkpoint)
    ours = [*OURS, outbox.FOLDER]
    if any(outbox.FOLDER.rglob("*.zip")):
        left.append((ours.pop(), "it holds records that wait for MLflow"))
    for path in ours:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    for folder in (
        paths.RAW,
        Path("data"),
        paths.REPORTS,
        *paths.SHARDS.glob("*"),
        paths.SHARDS,
        paths.CHECKPOINTS,
        Path(".cache"),
    ):
        with suppress(OSError):  # missing, or somebody's files are in it
            folder.rmdir()
    return left


def _reason(output: Path, *, is_recorded: bool, is_listed: bool) -> str:
    """Why a file in the folder of an output is left."""
    if not is_recorded:
        return f"dvc.lock records no finished run that wrote {output}: it may be yours"
    if not is_listed:
        return f"the list of {output}'s files is missing in DVC's cache: it may be yours"
    return f"not among the files that dvc.lock records of {output}: yours, or of an interrupted run"


def checkpoints(tree: Path = Path()) -> Iterator[Path]:
    """The folders that trainings and stages have made in a tree, each named by a fingerprint."""
    for folder in filter(Path.is_dir, (tree / paths.CHECKPOINTS, *(tree / paths.SHARDS).glob("*"))):
        for path in sorted(folder.iterdir()):
            if path.is_dir() and len(path.name) == 40 and set(path.name) <= set("0123456789abcdef"):
                yield path


def _without_empty_folders(folder: Path) -> list[Path]:
    """Remove the folders below that hold no file, and it; returns the files that are left."""
    left = sorted(path for path in folder.rglob("*") if not path.is_dir())
    for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        with suppress(OSError):
            path.rmdir()
    with suppress(OSError):
        folder.rmdir()
    return left
