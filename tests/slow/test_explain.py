"""The planned outcome and reasons of each stage, held against those of DVC."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq.commands import explain
from seq2seq.common import dag, params, planning, recipes
from seq2seq.common.errors import UserError
from seq2seq.training import checkpoints
from tests.support.projects import ROOT

DAG = """
stages:
  clean: {cmd: exec sh code.sh clean, params: [clean], deps: [corpus, code.sh], outs: [one, one.txt]}
  train: {cmd: exec sh code.sh train, params: [train], deps: [one], outs: [two.txt]}
  evaluate: {cmd: exec sh code.sh evaluate, params: [evaluate], deps: [two.txt, one.txt], outs: [three.txt]}
"""
# `clean` drops spaces, so that some changes of the corpus end there.
CODE = """
case $1 in
  clean) mkdir one; for f in corpus/*; do tr -d " " < $f > one/${f#corpus/}; done; echo one > one.txt;;
  train) grep updates: params.yaml | cat - one/a.txt > two.txt;;
  evaluate) cat two.txt one.txt > three.txt;;
esac
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of three stages that have run, with a git history."""
    folder = tmp_path_factory.mktemp("explain") / "project"
    for name, text in {
        ".dvc/config": "[core]\n    analytics = false\n    no_scm = true\n",
        "dvc.yaml": DAG,
        "code.sh": CODE,
        "corpus/a.txt": "a",
        "corpus/b.txt": "b",
        "params.yaml": (ROOT / "recipes/tiny.yaml").read_text(),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with contextlib.chdir(folder):
        git("init", "-q")
        git("add", "--all")
        git("commit", "-qm", "first")
        assert set(repro().values()) == {"would run"}
    return folder


@pytest.fixture
def toy(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, the current folder."""
    project = shutil.copytree(finished, tmp_path / "project")
    monkeypatch.chdir(project)
    return project


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repro() -> dict[str, str]:
    """Run stale stages; returns DVC's message on each stage."""
    from dvc.repo import Repo

    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger, level = logging.getLogger("dvc"), logging.getLogger("dvc").level
    for name, one in logging.root.manager.loggerDict.items():
        if name.startswith("dvc") and isinstance(one, logging.Logger):
            one.disabled = (
                False  # alembic, of MLflow, disables all loggers that exist when it upgrades a database
            )
    # Those that an earlier test's DVC has left write to its captured output, which is closed.
    handlers, logger.handlers = logger.handlers, [handler]
    logger.setLevel(logging.INFO)
    try:
        with Repo(".") as repo:
            repo.reproduce()
    finally:
        logger.handlers = handlers
        logger.setLevel(level)
    kinds = {"Running stage '(.*)'": "would run", "Stage '(.*)' is cached": "would be restored"}
    became = dict.fromkeys(("clean", "train", "evaluate"), "unchanged")
    for text in messages:
        for pattern, outcome in kinds.items():
            if found := re.match(pattern, text):
                became[found[1]] = outcome
    return became


def use(**values: object) -> None:
    """Set values of params.yaml, e.g. train_updates=9."""
    recipes.apply(None, [f"{key.replace('_', '.', 1)}={value}" for key, value in values.items()])


def switch_back_without_outputs() -> None:
    use(train_updates=7)
    repro()
    use(train_updates=60)
    shutil.rmtree("one")
    Path("three.txt").unlink()


EDITS: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "a parameter": lambda: use(train_updates=9),
    "a parameter of the last": lambda: use(evaluate_beam=3),
    "code of the first": lambda: Path("code.sh").write_text(CODE + "#"),
    "a corpus that grew": lambda: Path("corpus/c.txt").write_text("c"),
    "a change that ends with the first": lambda: Path("corpus/a.txt").write_text("a "),
    "an output that is gone": lambda: Path("two.txt").unlink(),
    "an output written over": lambda: Path("one/a.txt").write_text("z"),
    "back to values that were run before": switch_back_without_outputs,
    "another command": lambda: Path("dvc.yaml").write_text(DAG.replace("code.sh train", "code.sh train now")),
    "all outputs and the cache gone": lambda: [
        *map(shutil.rmtree, ("one", ".dvc/cache/files")),
        *(Path(name).unlink() for name in ("one.txt", "two.txt", "three.txt")),
    ],
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_the_plan_is_the_behaviour_of_dvc(toy: Path, edit: str) -> None:
    EDITS[edit]()
    planned = {step["stage"]: step["outcome"] for step in explain.explain()}
    became = repro()
    for position, (stage, outcome) in enumerate(planned.items()):
        if outcome == "may run":  # because of one before it
            before = [became[name] for name in list(planned)[:position]]
            assert {"would run", "would be restored"} & set(before), (stage, planned, became)
        else:
            assert became[stage] == outcome, (stage, planned, became)
    assert {step["outcome"] for step in explain.explain()} == {"unchanged"}


def explained(stage: str | None = None) -> list[str]:
    return list(explain.lines(explain.explain(stage)))


def test_nothing_to_do_is_one_line(toy: Path) -> None:
    assert explained() == ["nothing to do: clean, train, evaluate up to date with dvc.lock"]
    assert explained("train") == ["nothing to do: train up to date with dvc.lock"]


def test_values_files_and_lines_are_shown(toy: Path) -> None:
    Path("code.sh").write_text(CODE + "# one\n# two\n")
    Path("corpus/a.txt").write_text("aa")
    Path("corpus/c.txt").write_text("c")
    use(train_updates=61, clean_source_script="null")
    since = git("rev-parse", "HEAD")
    lines = explained()
    assert lines[0] == "clean     would run"
    assert re.fullmatch(r" {12}corpus changed: files 1 added, 1 changed \(7e373e6 -> \w{7}\)", lines[1])
    assert lines[2] == f"            code.sh changed: +2 -0 lines, git diff {since[:7]} -- code.sh"
    assert lines[3:] == [
        "train     would run, after clean",
        "            train.updates: 60 -> 61",
        "evaluate  may run, after clean, train: only if its inputs change",
    ]
    [clean] = explain.explain("clean")
    code = next(change for change in clean["changes"] if change["name"] == "code.sh")
    assert (code["git"]["since"], code["git"]["added"], code["git"]["removed"]) == (since, 2, 0)
    assert code["before"] != code["after"]
    assert json.loads(json.dumps(clean)) == clean


def test_a_change_that_is_committed_is_shown_since_the_commit_that_ran(toy: Path) -> None:
    ran = git("rev-parse", "HEAD")
    for number in range(3):
        Path("code.sh").write_text(CODE + "# and\n" * (number + 1))
        git("commit", "-qam", "more")
    assert f"         code.sh changed: +3 -0 lines, git diff {ran[:7]} -- code.sh" in explained("clean")


def test_code_that_no_commit_has_is_shown_by_its_hash(toy: Path) -> None:
    Path("code.sh").write_text(CODE + "# tried out\n")
    repro()
    Path("code.sh").write_text(CODE + "# otherwise\n")
    assert re.fullmatch(r" +code.sh changed \(\w{7} -> \w{7}\)", explained("clean")[1])


def test_earlier_outputs_are_restored_and_missing_ones_named(toy: Path) -> None:
    switch_back_without_outputs()
    assert explained() == [
        "clean     would be restored: DVC has the outputs of a run with these inputs",
        "            output one missing",
        "train     would be restored, after clean: DVC has the outputs of a run with these inputs",
        "            train.updates: 7 -> 60",
        "evaluate  would be restored, after clean, train: DVC has the outputs of a run with these inputs",
        "            output three.txt missing",
    ]


def test_a_training_that_will_continue_is_shown_with_its_checkpoint(toy: Path) -> None:
    import torch

    use(train_updates=61)
    assert explain.explain("train")[0]["goes_on_from"] is None
    key = checkpoints.of_training(params.load().train)
    checkpoints.Checkpoints(key).save({"weight": torch.zeros(1)}, {"update": 1200})
    assert explained("train")[-1] == "         continues from its checkpoint at update 1,200"
    use(train_updates=62)  # that of another training
    assert explain.explain("train")[0]["goes_on_from"] is None
    use(train_updates=61, clean_max_characters=7)  # its training data is not certain yet
    assert explain.explain("train")[0]["goes_on_from"] is None


def test_a_stage_that_is_none_is_the_users_slip(toy: Path) -> None:
    with pytest.raises(UserError, match="no stage 'trian'; there are: clean, train, evaluate"):
        explain.explain("trian")


def test_a_forced_stage_runs_although_it_is_fresh(toy: Path) -> None:
    steps = [(step.node.name, step.outcome) for step in planning.plan(dag.read(), ["train"])]
    assert steps == [("clean", "unchanged"), ("train", "would run"), ("evaluate", "may run")]
