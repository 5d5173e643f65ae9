"""`make clean` removes what runs have written, and nothing that a person keeps beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows import cleanup, locks
from flows.__main__ import main
from seq2seq.common import integrity
from seq2seq.common.errors import UserError
from seq2seq.tracking import outbox
from tests.support import projects
from tests.support.projects import ROOT


def files(folder: Path) -> set[str]:
    """The files below a folder but DVC's own."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return {path for path in found if not path.startswith((".dvc/", ".dvcignore"))}


@pytest.mark.slow
def test_outputs_go_and_what_is_among_them_stays(first_ran: Path) -> None:
    mine = [
        "out/mine.txt",
        "out/new/mine.txt",
        "data/mine.tsv",
        "reports/notes.md",
        ".cache/own/x",
        "model/x",
    ]
    mine += [".checkpoints/notes.txt", ".checkpoints/mine/x"]
    ours = [".checkpoints/" + 40 * "a" + "/checkpoint.safetensors", ".cache/models/x", "reports/report.html"]
    for name in [*mine, *ours]:
        (first_ran / name).parent.mkdir(parents=True, exist_ok=True)
        (first_ran / name).write_text("x")
    kept = {*mine, "input.txt", "dvc.yaml", "dvc.lock"}
    reason = "not among the files that dvc.lock records of out: yours, or of an interrupted run"
    assert cleanup.clean() == [(Path(name), reason) for name in ("out/mine.txt", "out/new/mine.txt")]
    assert files(first_ran) == kept
    assert not (first_ran / "out/deep").exists()
    cleanup.clean()
    assert files(first_ran) == kept


LISTED = [Path("out/a.txt"), Path("out/b.txt"), Path("out/deep/é.txt")]


def test_a_folder_whose_list_of_files_is_gone_is_left_and_named(first_ran: Path) -> None:
    shutil.rmtree(".dvc/cache")
    reason = "the list of out's files is missing in DVC's cache: it may be yours"
    assert cleanup.clean() == [(path, reason) for path in LISTED]
    assert not (first_ran / "one.txt").exists()


def test_a_folder_of_a_stage_that_never_ended_is_left_and_named(first_ran: Path) -> None:
    (first_ran / "dvc.lock").unlink()
    reason = "dvc.lock records no finished run that wrote out: it may be yours"
    assert cleanup.clean() == [(path, reason) for path in LISTED]


@pytest.mark.parametrize(
    ("name", "text", "remedy"),
    [
        ("dvc.lock", "<<<<<<< HEAD\nstages: {}\n=======\n", r"`git checkout dvc\.lock`, or rm dvc\.lock"),
        ("dvc.lock", "stages:\n- x\n", r"`git checkout dvc\.lock`, or rm dvc\.lock"),
        ("dvc.yaml", "stages: {\n", r"`git checkout dvc\.yaml`"),
    ],
)
def test_an_unreadable_file_is_named_with_the_remedy(
    first_ran: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, remedy: str
) -> None:
    (first_ran / name).write_text(text)
    with locks.workspace(), pytest.raises(UserError, match=rf"^{name}.*{remedy}"):
        cleanup.clean()
    assert main(["cleanup"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {name}")
    assert error.count("\n") == 1
    assert (first_ran / "one.txt").exists()


def test_a_python_without_the_libraries_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    shutil.copyfile(ROOT / "Makefile", tmp_path / "Makefile")
    (tmp_path / "bare").write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    (tmp_path / "bare").chmod(0o755)
    done = subprocess.run(
        ["make", "clean", "PYTHON=./bare"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ./bare lacks the project's libraries: make .venv/.run sets up")
    assert "Traceback" not in done.stderr


def test_a_link_is_removed_and_not_what_it_leads_to(first_ran: Path, tmp_path_factory) -> None:
    there = tmp_path_factory.mktemp("disk") / "out"
    shutil.move("out", there)
    (first_ran / "out").symlink_to(there)
    cleanup.clean()
    assert not (first_ran / "out").is_symlink()
    assert (there / "a.txt").exists()


def test_nothing_is_removed_under_a_run(first_ran: Path) -> None:
    with locks.workspace(), pytest.raises(UserError, match="another run holds"), locks.workspace():
        pass
    with locks.workspace():
        assert main(["cleanup"]) == 2
    assert (first_ran / "one.txt").exists()


@pytest.mark.slow
def test_make_clean_in_the_project_itself(tokenized: Path, tmp_path: Path) -> None:
    folder = projects.copy(tokenized, tmp_path)
    assert {path.as_posix() for path in integrity_outputs(folder)} >= {"data/raw/grammar", "data/mixed"}
    (folder / "data/mine.tsv").write_text("a\tb\n")
    (folder / "data/raw/grammar/mine.tsv").write_text("a\tb\n")
    done = subprocess.run(
        ["make", "clean", f"PYTHON={sys.executable}"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert "left: data/raw/grammar/mine.tsv" in done.stdout
    left = {*projects.git(folder, "ls-files", "--others", "-z").split("\0")} - {""}
    theirs = (".dvc/", ".prefect/", "mlruns/")  # caches and records that `make clean` keeps
    left = {path for path in left if not path.startswith(theirs)}
    assert {path for path in left if "pycache" not in path and "mlflow" not in path} == {
        *("data/mine.tsv", "data/raw/grammar/mine.tsv", "dvc.lock", ".run.lock")
    }


def integrity_outputs(folder: Path) -> list[Path]:
    """The outputs that a project declares and that exist."""
    return [path for path in integrity.declared(folder / "dvc.yaml") if (folder / path).exists()]


def test_records_that_wait_for_mlflow_stay(first_ran: Path) -> None:
    outbox.FOLDER.mkdir(parents=True)
    (outbox.FOLDER / "lock").touch()
    cleanup.clean()
    assert not outbox.FOLDER.exists()
    record = outbox.FOLDER / "server/run/000001-1.zip"
    record.parent.mkdir(parents=True)
    record.touch()
    assert (outbox.FOLDER, "it holds records that wait for MLflow") in cleanup.clean()
    assert record.is_file()
