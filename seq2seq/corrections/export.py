"""Accepted corrections as two corpus files: pairs to train on, and pairs held out to measure their effect.

Why: a source of the corpus is a file with a hash, so the export of the same reviews has the same bytes, and
DVC and `watch-corpus` notice a change and nothing else.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from seq2seq.common import locks, paths
from seq2seq.common.errors import UserError
from seq2seq.common.files import write_atomically
from seq2seq.corrections import store
from seq2seq.corrections.store import Correction
from seq2seq.data.corpus import digest

SHARE = 0.2  # of the sources, held out
SPACE = 2**64  # of digests
COLUMNS = ("source", "target")  # where a language is unknown


class Export(NamedTuple):
    """The counts of an export, and whether a file has changed."""

    train: int
    held_out: int
    superseded: int  # accepted, but a later accepted correction has the same source
    columns: tuple[str, str]
    changed: bool


def export(
    file: Path,
    held_out: Path,
    share: float = SHARE,
    languages: tuple[str, str] | None = None,
    database: Path = paths.CORRECTIONS,
) -> Export:
    """Write both files; each is replaced as a whole, and only if its content changes.

    `languages` chooses among corrections of several directions. Raises UserError without an accepted
    correction, and for several directions without a choice.
    """
    with locks.exclusive(database.with_name(f"{database.name}.lock"), "the export of corrections"):
        accepted = _of_one_direction(store.find(state=store.ACCEPTED, path=database), languages, database)
        rows = last_accepted(accepted)
        columns = columns_of(rows[0])
        held = [row for row in rows if is_held_out(row.source, share)]
        train = [row for row in rows if not is_held_out(row.source, share)]
        texts = {file: lines(train, columns), held_out: lines(held, columns)}
        changed = [path for path, text in texts.items() if _content(path) != text.encode()]
        for path in changed:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, texts[path])
    return Export(len(train), len(held), len(accepted) - len(rows), columns, bool(changed))


def last_accepted(found: Iterable[Correction]) -> list[Correction]:
    """Of corrections with the same source the one that was accepted last, in the order of their numbers."""
    last: dict[str, Correction] = {}
    for one in sorted(found, key=lambda one: one.decision):
        last[unicodedata.normalize("NFC", one.source)] = one
    return sorted(last.values())


def is_held_out(source: str, share: float) -> bool:
    """Whether a source is held out: by its hash alone, which ignores case and spacing.

    The range is at the other end of the hashes than those of the test and validation splits that `ingest`
    makes. A larger share only moves sentences out of train.
    """
    return digest(source) >= SPACE * (1 - share)


def columns_of(one: Correction) -> tuple[str, str]:
    """The names of the columns: the languages, if they are known and differ."""
    tags = one.source_language, one.target_language
    return tags if all(tags) and tags[0] != tags[1] else COLUMNS


def lines(rows: Iterable[Correction], columns: tuple[str, str]) -> str:
    """The rows as JSON lines."""
    pairs = (dict(zip(columns, (row.source, row.suggestion), strict=True)) for row in rows)
    return "".join(f"{json.dumps(pair, ensure_ascii=False)}\n" for pair in pairs)


def _of_one_direction(
    accepted: Sequence[Correction], languages: tuple[str, str] | None, database: Path
) -> list[Correction]:
    found = sorted({(one.source_language, one.target_language) for one in accepted})
    if not found:
        raise UserError(f"{database} has no accepted correction: `seq2seq corrections accept NUMBER`")
    if languages is None and len(found) > 1:
        named = ", ".join("-".join(tag or "unknown" for tag in tags) for tags in found)
        raise UserError(
            f"accepted corrections have several directions ({named}): choose one with --from and --to"
        )
    chosen = languages or found[0]
    rows = [one for one in accepted if (one.source_language, one.target_language) == chosen]
    if not rows:
        raise UserError(f"{database} has no accepted correction from {chosen[0]} to {chosen[1]}")
    return rows


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
