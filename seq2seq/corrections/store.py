"""The corrections that users send: a SQLite file, written by servers and reviewed by people.

Why: a correction may arrive at any time in any of several processes, and none may be lost or block a server
for long. SQLite's write-ahead log lets readers and one writer work at the same time. The file has to be on a
local disk, because the log needs shared memory.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from seq2seq.common import paths, workspace
from seq2seq.common.errors import TransientError, UserError
from seq2seq.corrections import checks

NEW, ACCEPTED, REJECTED = "new", "accepted", "rejected"
STATES = (NEW, ACCEPTED, REJECTED)
FORMAT = 1  # of the file: SQLite's user_version
PATIENCE = 10.0  # seconds to wait for another writer
PAUSE = 0.02  # seconds between attempts to switch the log on
MOST_NEW = 10_000  # corrections that wait for a review, at most
TABLE = """
CREATE TABLE corrections (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    suggestion TEXT NOT NULL,
    translation TEXT NOT NULL,
    source_language TEXT NOT NULL,
    target_language TEXT NOT NULL,
    version TEXT NOT NULL,
    who TEXT NOT NULL,
    received TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('new', 'accepted', 'rejected')),
    reviewer TEXT NOT NULL DEFAULT '',
    reviewed TEXT NOT NULL DEFAULT '',
    decision INTEGER NOT NULL DEFAULT 0
)
"""


class Correction(NamedTuple):
    """A row of the file. Times are ISO 8601 in UTC; `decision` counts reviews, 0 before the first."""

    id: int
    source: str
    suggestion: str
    translation: str  # by the model; empty if the sender left it out
    source_language: str
    target_language: str
    version: str  # of the model that translated
    who: str
    received: str
    state: str
    reviewer: str
    reviewed: str
    decision: int


class Range(NamedTuple):
    """Numbers of corrections, both ends included; `last` is None for an open end."""

    first: int
    last: int | None

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number and (self.last is None or number <= self.last)

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last or ''}"


def add(
    source: str,
    suggestion: str,
    source_language: str,
    target_language: str,
    version: str,
    who: str,
    translation: str = "",
    *,
    languages: checks.Languages | None = None,
    path: Path = paths.CORRECTIONS,
) -> int:
    """Store a correction and return its number; one that already waits keeps its number.

    `languages` are those of the model: others are refused. Raises UserError for what `checks` refuses and
    if MOST_NEW wait, TransientError if other processes write for too long.
    """
    source, suggestion = checks.text(source, "the source"), checks.text(suggestion, "the suggestion")
    checks.check_differs(suggestion, translation)
    tags = checks.languages_of(source_language, target_language, languages)
    translation = checks.text(translation, "the translation") if translation.strip() else ""
    sender, version = checks.name(who, "the sender"), checks.name(version, "the version")
    with _writing(path) as connection:
        same = connection.execute(
            "SELECT id FROM corrections WHERE state = ? AND source = ? AND suggestion = ?"
            " AND source_language = ? AND target_language = ?",
            (NEW, source, suggestion, *tags),
        ).fetchone()
        if same:
            return int(same[0])
        [waiting] = connection.execute("SELECT count(*) FROM corrections WHERE state = ?", (NEW,)).fetchone()
        if waiting >= MOST_NEW:
            raise UserError(
                f"{waiting:,} corrections wait for a review, more are not taken: `seq2seq corrections list`"
            )
        values = (source, suggestion, translation, *tags, version, sender, workspace.now(), NEW)
        made = connection.execute(
            "INSERT INTO corrections (source, suggestion, translation, source_language, target_language,"
            " version, who, received, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        return int(made.lastrowid or 0)


def find(
    chosen: Sequence[Range] = (),
    state: str | None = None,
    sender: str | None = None,
    path: Path = paths.CORRECTIONS,
) -> list[Correction]:
    """The corrections in the order of their numbers: those chosen, or all, by state and sender.

    Raises UserError for a chosen number or range that has none.
    """
    if not path.is_file():
        _check_chosen(chosen, [], path)
        return []
    with _opened(path) as connection:
        rows = connection.execute(f"SELECT {', '.join(Correction._fields)} FROM corrections ORDER BY id")
        found = [Correction(*row) for row in rows]
    _check_chosen(chosen, found, path)
    return [
        one
        for one in found
        if (not chosen or any(one.id in some for some in chosen))
        and state in (None, one.state)
        and sender in (None, one.who)
    ]


def review(numbers: Sequence[int], state: str, reviewer: str, path: Path = paths.CORRECTIONS) -> list[int]:
    """Accept or reject corrections, all or none; returns the numbers of those that were in another state."""
    assert state in (ACCEPTED, REJECTED)
    reviewer, moved = checks.name(reviewer, "the reviewer"), []
    with _writing(path) as connection:
        for number in numbers:
            done = connection.execute(
                "UPDATE corrections SET state = ?, reviewer = ?, reviewed = ?,"
                " decision = (SELECT max(decision) + 1 FROM corrections) WHERE id = ? AND state <> ?",
                (state, reviewer, workspace.now(), number, state),
            )
            moved += [number] * done.rowcount
    return moved


def _check_chosen(chosen: Sequence[Range], found: Sequence[Correction], path: Path) -> None:
    for some in chosen:
        if not any(one.id in some for one in found):
            last = f"the last number is {found[-1].id}" if found else "it has none"
            raise UserError(f"{path} has no correction {some}: {last}")


@contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in a transaction that no other writer shares; it is undone after an exception."""
    with _opened(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the file, which is made if it is missing; errors name it."""
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        _prepare(connection, path)
        yield connection
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise TransientError(f"{path} is written by other processes for {PATIENCE:.0f} s") from None
        raise UserError(f"{path} cannot be used: {error}; see to its folder's permissions and disk") from None
    except sqlite3.DatabaseError as error:
        raise UserError(f"{path} is damaged: {error}; restore it from a backup, or move it away") from None
    finally:
        if connection is not None:
            connection.close()


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the table of a new file; raises UserError for a file of a later release."""
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version == FORMAT:
        return
    if version > FORMAT:
        raise UserError(f"{path} has format {version}, this release reads {FORMAT}: use the later release")
    _log_ahead(connection)
    connection.execute("BEGIN IMMEDIATE")  # several processes may be here; the first makes the table
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version != FORMAT:
        connection.execute(TABLE)
        connection.execute("CREATE INDEX by_state ON corrections (state)")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("COMMIT")


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch the write-ahead log on, which stays so; SQLite does not wait for others at this statement."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE)
