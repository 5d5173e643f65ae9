"""SQLite files as a whole: a consistent copy, and a copy that names its own folder.

Why: MLflow and Prefect keep their records in such files, with absolute paths, and write them at any time.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def copy_database(database: Path, copy: Path) -> None:
    """A consistent copy of a database that other processes may write."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def relocate(database: Path, before: str, now: str) -> None:
    """Replace the name of a folder in all texts of a database: for a copy in another place."""
    with closing(sqlite3.connect(database)) as connection, connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for _, column, kind, *_ in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
                if kind.upper().startswith(("VARCHAR", "TEXT")):
                    connection.execute(
                        f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '
                        f'WHERE instr("{column}", ?)',
                        (before, now, before),
                    )
