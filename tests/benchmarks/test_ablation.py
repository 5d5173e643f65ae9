"""Comparing kinds of attention: side by side, at equal updates, outside the workspace."""

import fcntl
import json
import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import ablation
from benchmarks.ablation import Bin, Result
from seq2seq.__main__ import STAGES
from seq2seq.common import params, paths, recipes
from seq2seq.common.errors import UserError
from seq2seq.data import own_corpus
from tests.support.projects import ROOT

RESULTS = {
    "additive": Result(91.25, 94.0, [Bin("3-7", 5.5, 95.0), Bin("8", 8.0, 88.0)], 1200, "d", 0.0625, 1012),
    "none": Result(60.0, 71.5, [Bin("3-7", 5.5, 80.0), Bin("8", 8.0, 41.5)], 1150, "d"),
}


def test_the_table_has_a_column_for_each_kind_and_a_row_for_each_length():
    assert ablation.table(RESULTS).splitlines() == [
        "     words  additive      none",
        "       3-7      95.0      80.0",
        "         8      88.0      41.5",
        "       all      91.2      60.0",
        "      chrF      94.0      71.5",
        "       AER     6.2 %         -",
        "counted on     1,012         -",
        "   updates     1,200     1,150",
    ]


def test_files_outside_of_the_project_are_never_overwritten(tmp_path, monkeypatch):
    (tmp_path / "corpora").mkdir()
    (tmp_path / "project/corpora").mkdir(parents=True)
    mine = tmp_path / "project/corpora/mine.tsv"
    mine.write_text("ja\tyes\n")
    monkeypatch.chdir(mine.parents[1])
    up = "../" * len(ablation.FOLDER.parts)
    for path in (f"{up}../corpora", "../corpora"):
        with pytest.raises(UserError, match="is outside of this project: name it by its absolute path"):
            ablation._prepare("none", [path], tmp_path / "cache")
    assert mine.read_text() == "ja\tyes\n"


def test_without_a_gold_alignment_the_table_has_no_error_rates():
    assert "AER" not in ablation.table({"none": RESULTS["none"]})


def test_results_are_read_from_the_reports_of_a_copy(tmp_path):
    (tmp_path / paths.REPORTS).mkdir()
    ours = {"bleu": 91.25, "chrf": 94.0, "alignment_error_rate": 0.0625, "aligned_sentences": 1012}
    metrics = {"news": ours, "frozen_set": "news", "digests": {"test": "e", "news": "d"}}
    (tmp_path / paths.METRICS).write_text(json.dumps(metrics))
    (tmp_path / paths.LENGTHS).write_text("words,sentences,bleu,chrf\n3-7,3,95.0,96.0\n8,1,88.0,90.0\n")
    (tmp_path / paths.CURVE).write_text("update,loss\n600,1.5\n1200,1.0\n")
    with (tmp_path / paths.SEGMENTS).open("w") as file:
        for words in (3, 8, 6, 7):
            line = json.dumps({"source": "a line\u2028in a line", "words": words}, ensure_ascii=False)
            file.write(line + "\n")
    additive = RESULTS["additive"]
    expected = replace(additive, by_length=[Bin("3-7", 5.33, 95.0), Bin("8", 8.0, 88.0)])
    assert ablation.read_reports(tmp_path) == expected
    del ours["alignment_error_rate"], ours["aligned_sentences"]
    (tmp_path / paths.METRICS).write_text(json.dumps(metrics))
    assert ablation.read_reports(tmp_path) == replace(expected, error_rate=None, aligned=0)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project with a small corpus that git does not track."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("seq2seq", "benchmarks", "recipes"):
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
            output = draw.choices(list(words), k=draw.randint(2, 6))
            file.write(f"{' '.join(output)}\t{' '.join(words[word] for word in output)}\n")
    changes = ["ingest.path=corpora/numbers.tsv", "ingest.train_size=null", "tokenize.vocabulary_size=300"]
    changes += ["ingest.validation_size=20", "ingest.test_size=20", "train.updates=20"]
    changes += ["register.name=numbers"]
    recipes.apply(None, changes, complete=own_corpus.complete)
    return tmp_path


def test_a_kind_that_does_not_exist_is_refused(project):
    with pytest.raises(UserError, match="no attention lots; there are: additive, dot, general, none"):
        ablation.compare(["none", "lots"])
    assert not ablation.FOLDER.exists()


def test_one_comparison_at_a_time(project):
    ablation.FOLDER.mkdir(parents=True)
    with (ablation.FOLDER / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another comparison is running"):
            ablation.compare(["none"])


@pytest.fixture
def trained(project, monkeypatch) -> list[str]:
    """Replaces training: the kinds trained so far; results are in RESULTS."""
    asked: list[str] = []

    def result(kind: str) -> Result:
        asked.append(kind)
        return RESULTS[kind]

    monkeypatch.setattr(ablation, "_dvc_cache", lambda: project / ".dvc/cache")
    monkeypatch.setattr(ablation, "_result", result)
    return asked


@pytest.mark.slow
def test_a_comparison_is_stored_by_the_name_of_the_model(trained, capsys):
    ablation.compare(["none"])
    output = capsys.readouterr().out
    assert trained == ["additive", "none"]
    assert ablation.table(RESULTS) in output
    assert "numbers: BLEU" in output
    assert f"drawn: {ablation.FIGURE}" in output
    assert {">numbers<", ">additive<", ">none<", ">6.2 %<"} <= set(tokens(ablation.FIGURE))

    recipes.apply(None, ["register.name=other"])
    ablation.compare(["none", "additive", "none"])
    assert sorted(path.name for path in ablation.FOLDER.glob("*.json")) == ["numbers.json", "other.json"]


def tokens(figure: Path) -> list[str]:
    """The texts of an SVG, each between the brackets of its tags."""
    return [f">{part.split('<')[0]}<" for part in figure.read_text().split(">")]


@pytest.mark.slow
def test_one_kind_alone_can_be_shown(trained):
    ablation.compare([])
    assert trained == ["additive"]
    assert ">additive<" in tokens(ablation.FIGURE)


@pytest.mark.slow
def test_edits_during_the_training_change_no_kind(trained, monkeypatch):
    def result(kind: str) -> Result:
        recipes.apply(None, ["train.updates=7"])
        return RESULTS[kind]

    monkeypatch.setattr(ablation, "_result", result)
    ablation.compare(["none"])
    copies = {kind: params.load(ablation.FOLDER / kind / paths.PARAMS).train for kind in RESULTS}
    assert {kind: (one.attention, one.updates) for kind, one in copies.items()} == {
        "additive": ("additive", 20),
        "none": ("none", 20),
    }


@pytest.mark.slow
def test_a_failed_comparison_keeps_the_last_one(trained, monkeypatch):
    ablation.compare(["none"])
    kept = ablation.FOLDER / "numbers.json"
    before = kept.read_bytes(), ablation.FIGURE.read_bytes()

    def killed(kind: str) -> Result:
        if kind == "none":
            raise KeyboardInterrupt
        return replace(RESULTS[kind], bleu=1.0)

    monkeypatch.setattr(ablation, "_result", killed)
    with pytest.raises(KeyboardInterrupt):
        ablation.compare(["none"])
    assert (kept.read_bytes(), ablation.FIGURE.read_bytes()) == before


def test_scores_on_other_sentences_are_not_compared(trained, monkeypatch):
    monkeypatch.setitem(RESULTS, "none", replace(RESULTS["none"], test_digest="e"))
    with pytest.raises(UserError, match="the evaluation set has changed during"):
        ablation.compare(["none"])
    assert not list(ablation.FOLDER.glob("*.json"))


@pytest.mark.slow
def test_stored_comparisons_are_shown_side_by_side_without_training(trained, capsys, tmp_path):
    ablation.compare(["none"])
    recipes.apply(None, ["register.name=other"])
    ablation.compare([])
    trained.clear()
    capsys.readouterr()
    svg, again = tmp_path / "new/both.svg", tmp_path / "again.svg"
    assert ablation.main(["--saved", "other", "numbers", "--figure", str(svg)]) == 0
    output = capsys.readouterr().out
    assert output.index("other: BLEU") < output.index("numbers: BLEU")
    names = [one for one in tokens(svg) if one in (">numbers<", ">other<")]
    assert names == [">other<", ">numbers<"]
    assert ablation.main(["--saved", "other", "numbers", "--figure", str(again)]) == 0
    assert svg.read_bytes() == again.read_bytes()
    assert ablation.main(["--saved", "--figure", str(again)]) == 0
    assert ">numbers<" in tokens(again), "no name stands for all"
    assert trained == []


def test_a_missing_comparison_cannot_be_shown(trained):
    with pytest.raises(UserError, match=r"no comparison in \.cache/compare yet: run `make compare`"):
        ablation.show(["numbers"])
    ablation.compare(["none"])
    with pytest.raises(UserError, match="no comparison dot; there are: numbers"):
        ablation.show(["numbers", "dot"])
    (ablation.FOLDER / "numbers.json").write_text('{"additive": {}}')
    with pytest.raises(UserError, match=r"numbers\.json is of another version or damaged"):
        ablation.show([])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dot", "--saved", "numbers"], "give kinds to train, or --saved comparisons"),
        (["dot", "--figure", "chart.bmp"], "chart.bmp must end in .png, .pdf, .svg"),
    ],
)
def test_a_wrong_argument_is_an_error_before_any_training(trained, capsys, arguments, message):
    assert ablation.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert trained == []


def run(*arguments: str) -> str:
    """Run a command with the project's own code; returns its output."""
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


def stages_run(output: str) -> list[str]:
    """The stages that have printed a line, and so ran."""
    return [stage for stage in STAGES if re.search(f"^{stage}: ", output, re.MULTILINE)]


@pytest.mark.nightly
@pytest.mark.slow
def test_other_kinds_are_trained_beside_the_workspace_and_only_once(project):
    run("dvc", "repro", "evaluate")
    watched = [paths.PARAMS, Path("dvc.lock"), paths.METRICS]
    before = [path.read_bytes() for path in watched]

    output = run("benchmarks.ablation", "none")
    own, other = output.split("compare: attention none")
    assert own.strip() == "compare: attention additive, in .cache/compare/additive", "all of it is restored"
    assert stages_run(other) == ["train", "evaluate"], "the first three are restored"
    assert "stage" not in output.lower(), "DVC's own messages are left out"
    assert "updates        20        20" in output
    assert [path.read_bytes() for path in watched] == before
    assert run("dvc", "status", "evaluate").strip() == "Data and pipelines are up to date."
    kept = json.loads((ablation.FOLDER / "numbers.json").read_text())
    assert {kind: result["updates"] for kind, result in kept.items()} == {"additive": 20, "none": 20}
    figure = ablation.FIGURE.read_bytes()

    assert stages_run(run("benchmarks.ablation", "none")) == []
    run("benchmarks.ablation", "--saved", "numbers", "--figure", "again.svg")
    assert figure == ablation.FIGURE.read_bytes() == Path("again.svg").read_bytes()
