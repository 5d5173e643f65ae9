"""Stages in the order of dvc.yaml, and why each is stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from seq2seq.common import dag
from seq2seq.common.errors import UserError
from tests.support.toy import DAG


@pytest.mark.slow
def test_an_input_that_is_nowhere_is_named(toy: Path) -> None:
    (toy / "input.txt").unlink()
    with pytest.raises(UserError, match=r"first needs input\.txt, which does not exist .* `dvc add`"):
        dag.read()
    (toy / "other.txt").touch()
    draft = toy / "draft.yaml"
    draft.write_text((toy / "params.yaml").read_text() + "more: {path: other.txt}\n")
    (toy / "dvc.yaml").write_text(DAG.replace("[input.txt]", '["${more.path}"]'))
    with pytest.raises(UserError, match=r"more\.path"):
        dag.read()
    assert dag.read(draft)  # as if params.yaml named the other


@pytest.mark.slow
def test_a_graph_that_cannot_be_read_is_the_users_error(toy: Path) -> None:
    (toy / "dvc.yaml").write_text(DAG.replace("outs", "outz"))
    with pytest.raises(UserError, match="outz"):
        dag.read()
