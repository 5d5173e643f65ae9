"""MLflow's SQLite database: damage, loss, and upgrades of its schema, with copies to go back to."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import DatabaseError

from seq2seq.common.errors import UserError
from seq2seq.tracking import client, sqlite_store


def damage_pages(database: Path) -> None:
    whole = bytearray(database.read_bytes())
    whole[4096:-4096] = os.urandom(len(whole) - 8192)
    database.write_bytes(whole)


@pytest.mark.parametrize(
    "damage",
    [
        lambda database: database.write_text("no database, but long enough to look at" * 50),
        lambda database: os.truncate(database, database.stat().st_size // 2),
        damage_pages,
    ],
)
def test_a_damaged_database_is_named_with_the_command_that_restores_it(project, damage):
    database = project / "mlflow.db"
    copy = project / "mlflow.db.copy-20260101-000000-abc"
    copy.write_bytes(b"")
    damage(database)
    back = r"mlflow\.db is damaged: .*; to go back .* cp .*copy-2026.*move it away"
    with pytest.raises(UserError, match=back):
        client.connect()
    copy.unlink()
    with pytest.raises(UserError, match=r"is damaged: .*if you have a copy"):
        client.connect()


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        ("database disk image is malformed", UserError, r"mlflow\.db is damaged"),
        ("database or disk is full", OSError, r"No space left on device: .*mlflow\.db"),
        ("attempt to write a readonly database", UserError, r"mlflow\.db: .*readonly database; correct that"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_later_errors_of_sqlite_are_one_line_too(project, answer, kind, text, wrapped):
    error: Exception = DatabaseError("SELECT 1", {}, sqlite3.DatabaseError(answer))
    with pytest.raises(kind, match=text), client.translate_errors():
        raise MlflowException(str(error)) if wrapped else error


def test_a_missing_database_is_not_recreated_without_a_warning(project, capsys):
    database = project / "mlflow.db"
    (project / "mlruns/1").mkdir(parents=True)
    with sqlite_store.prepared(client.uri()):
        assert capsys.readouterr().err == ""
    for lose in (lambda path: os.truncate(path, 0), Path.unlink):
        lose(database)
        with sqlite_store.prepared(client.uri()):
            assert "a new, empty registry without promotion log is created" in capsys.readouterr().err


def set_revision(database: Path, revision: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()


def earlier_copies(project: Path) -> list[str]:
    """Make one copy more than the limit; returns their names."""
    names = [f"mlflow.db.copy-2020010{day}-000000-x" for day in range(1, sqlite_store.COPIES + 2)]
    for name in names:
        (project / name).touch()
    return names


def test_a_copy_is_kept_before_the_schema_changes(project, capsys, monkeypatch):
    database = project / "mlflow.db"
    before = earlier_copies(project)
    latest, earlier = sqlite_store._revisions()[:2]
    set_revision(database, earlier)
    monkeypatch.setattr("mlflow.store.db.utils._upgrade_db", lambda engine: set_revision(database, latest))
    client.connect()
    copies = sorted(project.glob("mlflow.db.copy-*"))
    assert [copy.name for copy in copies[:2]] == before[-2:]
    assert len(copies) == 3
    output = capsys.readouterr().out
    assert f"({earlier} -> {latest})" in output
    assert f"cp {copies[-1]} {database}" in output
    assert (sqlite_store._check(database), sqlite_store._check(copies[-1])) == (latest, earlier)


@pytest.mark.parametrize(
    ("failure", "kind", "text"),
    [
        (RuntimeError("no such column"), UserError, r"no such column\) and is unchanged"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    ],
)
def test_a_failed_change_of_the_schema_changes_nothing(project, monkeypatch, failure, kind, text):
    database = project / "mlflow.db"
    before = earlier_copies(project)
    earlier = sqlite_store._revisions()[1]
    set_revision(database, earlier)

    def fail(engine):
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE half (x)")
        set_revision(database, "between")
        raise failure

    monkeypatch.setattr("mlflow.store.db.utils._upgrade_db", fail)
    with pytest.raises(kind, match=text):
        client.connect()
    assert sqlite_store._check(database) == earlier
    with closing(sqlite3.connect(database)) as connection:
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchone()
    assert sorted(path.name for path in project.glob("mlflow.db.copy-*")) == before


def test_a_database_of_a_newer_mlflow_is_named_and_not_copied(project):
    set_revision(project / "mlflow.db", "fffffff")
    before = earlier_copies(project)
    with pytest.raises(UserError, match=r"newer MLflow wrote it; install that MLflow; to go back .*: cp "):
        client.connect()
    assert sorted(path.name for path in project.glob("mlflow.db.copy-*")) == before
