"""`seq2seq run` before it starts: the plan, mistakes, the lock of the workspace."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from flows import locks
from flows.__main__ import main
from seq2seq.common.errors import UserError
from tests.support import projects


def test_one_run_per_workspace(tmp_path: Path) -> None:
    path = tmp_path / ".run.lock"
    refusal = pytest.raises(UserError, match=rf"process {os.getpid()}, since 20.*wait for it")
    with locks.workspace(path), refusal, locks.workspace(path):
        raise AssertionError
    with locks.workspace(path):
        pass


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This project's tree without anything that ran, the current folder."""
    folder = projects.make(tmp_path)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_dry_prints_the_stages_that_would_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (project / "params.yaml").read_bytes()
    assert main(["run", "--dry", "--recipe", "grammar", "--set", "train.seed=9", "--until", "train"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "grammar + 1 change: corpora/grammar-de-en.yaml -> grammar-de-en"
    assert "  train.seed: 1 -> 9" in lines
    assert lines[-6:] == [
        "[1/6] ingest     would run             never ran here",
        "[2/6] mix        would run             never ran here",
        "[3/6] score      would run             never ran here",
        "[4/6] clean      would run             never ran here",
        "[5/6] tokenize   would run             never ran here",
        "[6/6] train      would run             never ran here",
    ]
    assert (project / "params.yaml").read_bytes() == before
    assert projects.git(project, "status", "--porcelain") == ""


@pytest.mark.slow
def test_a_broken_params_file_is_named_by_its_own_path_and_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (project / "params.yaml").read_text().splitlines()
    lines.insert(6, "<<<<<<< HEAD")
    (project / "params.yaml").write_text("\n".join(lines))
    assert main(["run"]) == 2
    assert re.match(r"error: params\.yaml, line [78] is not valid YAML: ", capsys.readouterr().err)


@pytest.mark.slow
def test_a_mistake_is_reported_before_anything_starts(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in {
        ("--recipe", "tinny"): "no recipe 'tinny' (did you mean tiny?)",
        ("--set", "train.seeed=1"): "no key train.seeed (did you mean train.seed?)",
        ("--until", "trian"): "no stage 'trian'; there are: ingest, mix, score, clean",
        ("--set", "ingest.path=mine.tsv"): "ingest@mine needs mine.tsv, which does not exist",
    }.items():
        assert main(["run", *arguments]) == 2
        assert message in capsys.readouterr().err
    with locks.workspace():
        assert main(["run"]) == 2
    assert "another run holds" in capsys.readouterr().err
