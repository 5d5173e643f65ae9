"""Comparing kinds of attention: side by side, at equal updates, beside the workspace."""

import fcntl
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq import comparison, params, paths
from seq2seq.comparison import Result
from seq2seq.errors import UserError

ROOT = Path(__file__).parents[1]
RESULTS = {
    "additive": Result(91.25, 1200, {"3-7": 95.0, "8-12": 88.0}),
    "none": Result(60.0, 1150, {"3-7": 80.0, "8-12": 41.5}),
}


def test_the_table_has_a_column_for_each_kind_and_a_row_for_each_length():
    assert comparison.table(RESULTS).splitlines() == [
        "    words  additive      none",
        "      3-7      95.0      80.0",
        "     8-12      88.0      41.5",
        "      all      91.2      60.0",
        "  updates     1,200     1,150",
    ]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project of its own, whose corpus is a small file that git does not know."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("seq2seq", "recipes"):
        shutil.copytree(ROOT / name, name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copyfile(ROOT / name, name)
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    shutil.copyfile("recipes/tiny.yaml", paths.PARAMS)
    draw = random.Random(1)
    words = {"eins": "one", "zwei": "two", "drei": "three", "vier": "four", "fünf": "five", "sechs": "six"}
    Path("corpora").mkdir()
    with Path("corpora/numbers.tsv").open("w") as file:
        file.write("source\ttarget\n")
        for _ in range(600):
            said = draw.choices(list(words), k=draw.randint(2, 6))
            file.write(f"{' '.join(said)}\t{' '.join(words[word] for word in said)}\n")
    changes = ["ingest.path=corpora/numbers.tsv", "ingest.train_size=null", "tokenize.vocabulary_size=300"]
    params.apply(None, [*changes, "ingest.validation_size=20", "ingest.test_size=20", "train.updates=20"])
    return tmp_path


def test_a_kind_that_does_not_exist_is_refused(project):
    with pytest.raises(UserError, match="no attention lots; there are: additive, dot, general, none"):
        comparison.compare(["none", "lots"])
    assert not comparison.FOLDER.exists()


def test_one_comparison_at_a_time(project):
    comparison.FOLDER.mkdir(parents=True)
    with (comparison.FOLDER / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another comparison is running"):
            comparison.compare(["none"])


def run(*arguments: str) -> str:
    """A command of the project's own copy; returns what it printed."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_other_kinds_are_trained_beside_the_workspace_and_only_once(project):
    run("dvc", "repro", "evaluate")
    watched = [paths.PARAMS, Path("dvc.lock"), paths.METRICS]
    before = [path.read_bytes() for path in watched]

    said = run("seq2seq", "compare", "none")
    own, other = said.split("compare: attention none")
    assert "Running stage" not in own, "what the project has computed is restored"
    assert other.count("Running stage") == 2
    assert "Stage 'tokenize' is cached" in other
    assert "updates        20        20" in said
    assert [path.read_bytes() for path in watched] == before
    assert run("dvc", "status", "evaluate").strip() == "Data and pipelines are up to date."
    lines = comparison.TABLE.read_text().splitlines()
    assert lines[0] == "attention,words,bleu"
    assert {line.split(",")[0] for line in lines[1:]} == {"additive", "none"}

    assert "Running stage" not in run("seq2seq", "compare", "none")
