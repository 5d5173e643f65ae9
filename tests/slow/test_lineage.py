"""Origins of models in rare cases: ambiguous names, deleted runs, a registry on a server."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from seq2seq.commands import lineage
from seq2seq.common import workspace
from seq2seq.common.errors import UserError
from seq2seq.tracking import client, promotions, runs
from tests.support.trainings import (
    FIRST,
    judge,
    make_runs,
    make_workspace,
    names,
    register,
    text,
    train,
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path) -> Path:
    for name in ("MLFLOW_TRACKING_URI", "PREFECT__FLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    make_workspace(tmp_path, empty_database)
    return tmp_path


def test_one_that_may_be_several_is_refused(project: Path) -> None:
    train("aaaaaaa1", "1", "1")
    train("aaaaaaa2", "2", "2")
    with pytest.raises(UserError, match=r"several corpora: aaaaaaa1, aaaaaaa2$"):
        lineage.trace("aaaaaaa")


def test_a_rollback_is_shown_for_both_versions(project: Path) -> None:
    run_id = train(FIRST, "aa" * 32, "1")
    judge(register(run_id, "d1"), "promoted")
    judge(register(run_id, "d2"), "promoted", "1")
    promotions.apply(
        promotions.Entry("toy", promotions.ROLLED_BACK, "2", "1", "names", "2026-01-02T03:04:05", "me@x"), {}
    )
    assert "2026-01-02 03:04 UTC  restored by me@x: names" in text("models:/toy/1")
    assert "03:04 UTC  rolled back, version 1 replaced it by me@x: names" in text("models:/toy/2")


def test_a_list_too_long_for_the_record_is_found_among_the_files(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "LONGEST_SOURCE", 50)
    monkeypatch.setattr(workspace, "LONGEST_TAG", 10)
    run_id = train(FIRST, "aa" * 32, "1")
    assert list(names(lineage.trace("aa" * 32))) == [run_id]


def test_a_version_with_a_deleted_run_is_shown_by_its_tags(project: Path) -> None:
    run_id = train(FIRST, "aa" * 32, "1")
    version = register(run_id, "d1", **{"corpus.id": "a/x", "corpus.revision": "7" * 40})
    with sqlite3.connect("mlflow.db") as database:  # as `mlflow gc` does
        database.execute("DELETE FROM runs WHERE run_uuid = ?", [run_id])
    output = text(version.uri)
    assert f"{run_id} is deleted from the server" in output
    assert f"a/x, revision {'7' * 40}" in output
    assert "model d1" in output
    client.connect().set_model_version_tag("toy", version.version, "corpus.revision", workspace.NONE)
    assert "a/x\n" in text(version.uri)


def test_a_server_reports_it_without_the_workspace(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_runs(monkeypatch)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    [run] = lineage.trace("models:/toy@champion")["runs"]
    assert run["packages"]["torch"]
    assert "+CHANGED = True" in run["diff"]
    assert len(lineage.trace(FIRST)["runs"]) == 3
