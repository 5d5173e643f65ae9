"""Origin of a model and models of a corpus, with real records of several trainings."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from seq2seq.__main__ import main
from seq2seq.commands import lineage
from seq2seq.common import workspace
from seq2seq.common.errors import UserError
from seq2seq.tracking import client, promotions
from tests.support import shared
from tests.support.trainings import (
    FIRST,
    SECOND,
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
    monkeypatch.setattr("seq2seq.tracking.run.LONGEST_SOURCE", 50)
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
    assert "# new, content not included: seq2seq/new.py" in run["diff"]
    assert len(lineage.trace(FIRST)["runs"]) == 3


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A workspace after four trainings, whose ids are in runs.json."""

    def make(folder: Path) -> None:
        make_workspace(folder, empty_database)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            patch.chdir(folder)
            made = make_runs(patch)
        (folder / "runs.json").write_text(json.dumps(made))

    return shared.make_once(tmp_path_factory, "trainings", make)


@pytest.fixture
def trainings(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The ids of the trainings; the current folder is a copy of their workspace."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    made: dict[str, str] = json.loads(Path("runs.json").read_text())
    return made


def test_a_champion_is_traced_to_data_code_parameters_and_verdict(trainings: dict[str, str]) -> None:
    found = lineage.trace("models:/toy@champion")
    assert found["kind"] == "version"
    [run] = found["runs"]
    assert run["run_id"] == trainings["changed"]
    assert run["corpus"]["hash"] == FIRST
    assert run["corpus"]["files"][0]["sha256"] == "aa" * 32
    assert (run["commit"], run["dirty"], run["flow_run"]) == (workspace.commit(), "true", "flow-7")
    assert "# new, content not included: seq2seq/new.py" in run["diff"]
    assert "-  seed: 1" in run["diff"]
    assert (run["recipe"], run["recipe_changes"]["train.seed"]) == ("tiny", [1, 2])
    assert run["params"]["train.seed"] == "2"
    assert run["packages"]["torch"]
    assert run["machine"]["python"]
    assert len(run["lock_sha256"]) == 64
    [version] = run["versions"]
    assert (version["version"], version["aliases"]) == ("2", ["champion"])
    assert [(e["outcome"], e["champion"]) for e in version["log"]] == [("rejected", "2"), ("promoted", "1")]
    assert json.loads(json.dumps(found)) == found
    assert lineage.trace("models:/toy/2")["runs"] == found["runs"]
    for part in (f"data/corpus {FIRST}", "aaaaaaaaaaaa  train.tsv", "with changes", "train.seed: 1 -> 2"):
        assert part in text("models:/toy@champion")


def test_a_run_is_shown_in_both_directions(trainings: dict[str, str]) -> None:
    for subject in (trainings["plain"], trainings["plain"][:9]):
        found = lineage.trace(subject)
        assert (found["kind"], names(found)) == ("run", {trainings["plain"]: ["1"]})
    assert found["runs"][0]["dirty"] == "false"
    assert "toy (previous): BLEU 20.00, chrF 40.00" in text(subject)
    assert "promoted by" in text(subject)


def test_all_runs_of_a_corpus_are_found(trainings: dict[str, str]) -> None:
    came = {trainings["plain"]: ["1"], trainings["changed"]: ["2"], trainings["other file"]: ["2"]}
    for subject in (FIRST, FIRST.removesuffix(".dir"), FIRST[:7]):
        found = lineage.trace(subject)
        assert (found["kind"], names(found)) == ("corpus", came)
    assert names(lineage.trace(SECOND)) == {trainings["other corpus"]: ["3"]}
    output = text(FIRST)
    assert output.count(f"data/corpus {FIRST}") == 2  # it was made of either file
    assert "bbbbbbbbbbbb  train.tsv" in output
    assert "version 3 rejected against it by" in output
    assert "version 2 promoted in its place by" in output
    output = text(SECOND)
    assert "toy version 3: BLEU" in output
    assert "rejected by" in output


def test_a_file_is_traced_through_every_corpus_it_went_into(trainings: dict[str, str]) -> None:
    assert names(lineage.trace("aa" * 32)) == {trainings["plain"]: ["1"], trainings["changed"]: ["2"]}
    assert names(lineage.trace("b" * 9)) == {trainings["other file"]: ["2"]}
    assert lineage.trace("b" * 9)["kind"] == "file"


def test_back_and_forth_agree(trainings: dict[str, str]) -> None:
    for corpus in (FIRST, SECOND):
        for run in lineage.trace(corpus)["runs"]:
            for version in run["versions"]:
                [back] = lineage.trace(f"models:/toy/{version['version']}")["runs"]
                assert back["corpus"]["hash"] == corpus
                assert version in back["versions"]


def test_an_unknown_subject_lists_alternatives(trainings: dict[str, str]) -> None:
    nearest = trainings["plain"]
    for subject, message in {
        "models:/toy@best": r"not exist: the versions of toy are: 1 \(previous, promoted\), 2 \(champion",
        "models:/tay/1": r"did you mean toy\?",
        "models:/toy": "write models:/NAME@ALIAS",
        "champion": "is no model, run or hash",
        "12ab": "is no model, run or hash",
        nearest[:8] + "x": "is no model, run or hash",
        "12ab34c" + "e" * 25: f"no run, corpus or file .*\n  ({'|'.join(trainings.values())})",
    }.items():
        with pytest.raises(UserError, match=message):
            lineage.trace(subject)
    subject = nearest[:12] + ("0" if nearest[12] != "0" else "1") * 8
    with pytest.raises(
        UserError, match=rf"the most similar of the newest runs \(with their corpora\) are:\n  {nearest}"
    ):
        lineage.trace(subject)


def test_a_deleted_run_is_still_shown(trainings: dict[str, str]) -> None:
    client.connect().delete_run(trainings["changed"])
    try:
        assert names(lineage.trace(FIRST))[trainings["changed"]] == ["2"]
        assert "FINISHED, deleted" in text("models:/toy@champion")
    finally:
        client.connect().restore_run(trainings["changed"])


def test_it_is_the_same_from_any_folder(
    trainings: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = lineage.trace("models:/toy@champion")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.uri())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["lineage", "models:/toy@champion", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == here
    assert list(Path().iterdir()) == []
