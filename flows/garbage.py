"""`seq2seq gc`: list what nothing needs any more, and delete it with --delete.

Why: models, checkpoints and DVC's cache grow with every training. Versions that serve or could serve next,
and their corpora, stay; everything else goes once it is older than --older-than days.

Nothing is deleted without a registry that answers and has this folder's version: another registry would not
name the versions whose corpora stay.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from flows import cleanup, console, locks, promote, rollback
from flows.checkout import CLONES
from flows.child import PrintLine
from seq2seq.common import object_cache, paths
from seq2seq.common.errors import UserError
from seq2seq.common.exits import Exit
from seq2seq.common.plain import size as shown_size
from seq2seq.tracking import outbox, registry, retention
from seq2seq.tracking.retention import Item, Key

DAY = 86400.0
SHOWN = 8  # names of a kind
DOWNLOADS = registry.DOWNLOADS


class Kind(NamedTuple):
    """Things of one kind that may go: names with sizes, and the function that deletes one."""

    name: str
    going: list[tuple[object, int]]
    delete: Callable[[object], None]


def command(options: argparse.Namespace) -> int:
    """`seq2seq gc`; returns the exit status."""
    display = console.current.get()
    name = options.name or rollback.model_of_the_tree()
    if options.older_than < 0:
        raise UserError(f"--older-than {options.older_than:g}: a number of days, 0 or more")
    with locks.workspace():
        total = collect(name, time.time() - options.older_than * DAY, options.delete, display.print)
    if total and not options.delete:
        display.print("nothing is deleted yet: the same command with --delete does it")
    return Exit.DONE


def collect(name: str, before: float, delete: bool, print_line: PrintLine) -> int:
    """List, and delete if `delete`, what may go; returns the bytes. The caller holds the workspace.

    Raises TransientError if the registry cannot be reached, UserError if it is another than this tree's.
    """
    registry.check_exists()
    outbox.deliver_all()
    if any(outbox.FOLDER.rglob("*.zip")):
        raise UserError(f"{outbox.FOLDER} holds records that MLflow does not have yet: nothing is deleted")
    if reason := promote.missing_from_registry():
        raise UserError(f"{reason}: nothing is deleted, it may be the wrong registry")
    with ExitStack() as held:
        clones, busy = _clones(held)
        for clone in busy:
            print_line(f"stays: {clone}, its checkpoints and DVC's cache: a run works there")
        plan = retention.plan(name, before, _named([Path(), *clones, *busy]))
        for key, why in sorted(plan.stays.items(), key=lambda stay: (stay[0][0], int(stay[0][1]))):
            print_line(f"stays: {key[0]} version {key[1]}: {why}")
        kinds = [
            Kind("versions", [(item, item.size) for item in plan.versions], _delete_version),
            Kind("failed runs", [(item, item.size) for item in plan.runs], _delete_item),
            *_files(clones, before),
        ]
        going = {clone for clone in clones if _newest(clone) < before}
        kept_clones = [clone for clone in clones if clone not in going]
        kinds.append(_objects(plan.stays, kept_clones, bool(busy), before, print_line))
        return sum(_collect(kind, delete, print_line) for kind in kinds)


def _collect(kind: Kind, delete: bool, print_line: PrintLine) -> int:
    total = sum(size for _, size in kind.going)
    if kind.going:
        names = ", ".join(str(thing) for thing, _ in kind.going[:SHOWN])
        more = f" and {len(kind.going) - SHOWN:,} more" if len(kind.going) > SHOWN else ""
        verb = "deletes" if delete else "would go"
        print_line(f"{verb}: {kind.name}: {len(kind.going):,}, {shown_size(total)}: {names}{more}")
    for thing, _ in kind.going if delete else ():
        kind.delete(thing)
    return total


def _clones(held: ExitStack) -> tuple[list[Path], list[Path]]:
    """The clones of deployments that nobody works in, now locked, and the others."""
    free, busy = [], []
    for folder in sorted(CLONES.iterdir()) if CLONES.is_dir() else ():
        if folder.is_dir():
            try:
                held.enter_context(locks.workspace(folder.with_name(f"{folder.name}.lock")))
                free.append(folder)
            except UserError:
                busy.append(folder)
    return free, busy


def _named(trees: Iterable[Path]) -> dict[Key, str]:
    """The versions that folders have registered, and those that score their corpora."""
    found: dict[Key, str] = {}
    for tree in trees:
        shown = "this folder" if tree == Path() else str(tree)
        with suppress(OSError, ValueError, KeyError):
            record = json.loads((tree / paths.REGISTRATION).read_text(encoding="utf-8"))
            found[record["name"], str(record["version"])] = f"the version of {shown}"
        with suppress(OSError, UserError, KeyError, TypeError):
            from seq2seq.common import params

            score = params.read_document(tree / paths.PARAMS)["score"]
            found[str(score["model"]), str(score["version"])] = f"scores the corpus of {shown}"
    return found


def _files(clones: list[Path], before: float) -> Iterator[Kind]:
    """Checkpoints, clones of deployments that run no more, and downloaded models."""
    dead = [clone for clone in clones if _newest(clone) < before]
    live = [Path(), *(clone for clone in clones if clone not in dead)]
    checkpoints = [c for tree in live for c in cleanup.checkpoints(tree) if _newest(c) < before]
    downloads = [path for path in sorted(DOWNLOADS.glob("*")) if _newest(path) < before]
    for name, found in (("checkpoints", checkpoints), ("clones", dead), ("downloads", downloads)):
        yield Kind(name, [(path, object_cache.size(path)) for path in found], _remove)


def _objects(
    stays: Iterable[Key], clones: list[Path], busy: bool, before: float, print_line: PrintLine
) -> Kind:
    """The objects of DVC's cache that no version that stays, folder, branch or `dvc add` names."""
    going: list[tuple[object, int]] = []
    cache = object_cache.of_the_project()
    if busy:
        pass  # named before
    elif cache is None:
        print_line("stays: DVC's cache, which is not this folder's own: other projects may use it")
    else:
        try:
            kept = retention.hashes(stays) | object_cache.named_by([Path(), *clones])
            going = [(path, path.stat().st_size) for path in object_cache.unused(cache, kept, before)]
        except UserError as error:
            print_line(f"stays: DVC's cache: {error}")
    return Kind("objects of DVC's cache", going, _remove)


def _newest(path: Path) -> float:
    """The last change of a file or of a file in a folder, in seconds since 1970."""
    files = [file for file in path.rglob("*") if not file.is_dir()] if path.is_dir() else []
    return max((file.lstat().st_mtime for file in [path, *files]), default=0.0)


def _remove(path: object) -> None:
    assert isinstance(path, Path)
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def _delete_item(item: object) -> None:
    assert isinstance(item, Item)
    retention.delete(item)


def _delete_version(item: object) -> None:
    """Delete a version unless it got an alias since the list was made."""
    assert isinstance(item, Item)
    with registry.promotions():
        if item.number not in registry.aliased(item.name):
            retention.delete(item)
