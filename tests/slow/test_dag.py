"""Stages in the order of dvc.yaml, and why each is stale, after a real DVC has run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.common import dag
from seq2seq.common.errors import UserError
from tests.support.toy import STAGE, run_stage, with_python


def test_the_graph_is_dvcs_in_order_with_reasons(toy: Path) -> None:
    nodes = dag.read()
    assert [(node.name, node.upstream) for node in nodes] == [
        ("first", ()),
        ("second", ("first",)),
        ("third", ("second",)),
    ]
    assert nodes[0].outs == (toy / "one.txt",)
    assert {node.reasons for node in nodes} == {("never ran here",)}
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], cwd=toy, check=True, env=with_python())
    assert [node.reasons for node in dag.read()] == [(), (), ()]

    draft = toy / "draft.yaml"
    draft.write_text((toy / "params.yaml").read_text().replace("size: 1", "size: 5"))
    assert dag.read(draft)[0].reasons == ("first.size: 1 -> 5",)
    (toy / "params.yaml").write_text("first:\n  size: 2\n  deep: {er: true}\n")
    (toy / "stage.py").write_text(STAGE + "#")
    (toy / "three.txt").unlink()
    assert [node.reasons for node in dag.read()] == [
        ("first.size: 1 -> 2", "first.deep.er: null -> true"),
        ("stage.py changed",),
        ("output three.txt missing",),
    ]


def test_a_lock_file_with_conflict_marks_is_named_with_the_remedy(toy: Path) -> None:
    run_stage("first")
    text = (toy / "dvc.lock").read_text()
    (toy / "dvc.lock").write_text(text.replace("  first:", "<<<<<<< HEAD\n  first:\n=======\n  first:"))
    with pytest.raises(UserError, match=r"dvc\.lock.*`git checkout dvc\.lock`, or rm dvc\.lock: outputs are"):
        dag.read()


def test_without_a_git_repository_dvc_is_set_to_do_without(toy: Path) -> None:
    (toy / ".dvc/config").write_text("[core]\n    analytics = false\n")
    assert [node.name for node in dag.read()] == ["first", "second", "third"]
    assert not (toy / ".dvc/config.local").exists()  # to look changes nothing
    assert "core.no_scm is set in .dvc/config.local" in dag.settle_without_git()
    assert run_stage("first")[0] == "ran"
    assert dag.settle_without_git() == ""
