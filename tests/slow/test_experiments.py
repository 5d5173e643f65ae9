"""`dvc exp run` with another seed, and how its result is shown."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.support import projects

DVC = str(Path(sys.executable).with_name("dvc"))
PATH = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
WIDTH = 80  # columns of a screen


@pytest.mark.nightly
def test_an_experiment_leaves_a_result_that_dvc_shows(by_hand: Path, tmp_path: Path) -> None:
    project = projects.copy(by_hand, tmp_path)
    projects.commit(project)
    seed = ("-S", "train.seed=2", "evaluate")
    projects.call(project, "-m", "dvc", "exp", "run", "--name", "seed-2", *seed, PATH=PATH)
    shown = json.loads(projects.call(project, "-m", "dvc", "exp", "show", "--json", PATH=PATH).stdout)
    [experiment] = [
        one["revs"][0] for row in shown for one in (row.get("experiments") or []) if one["name"] == "seed-2"
    ]
    assert experiment["data"]["params"]["params.yaml"]["data"]["train"]["seed"] == 2
    metrics = experiment["data"]["metrics"]["reports/scores.json"]["data"]
    assert isinstance(metrics["bleu"], float)


def test_metrics_fit_a_screen(by_hand: Path, tmp_path: Path) -> None:
    project = projects.copy(by_hand, tmp_path)
    table = projects.call(project, "-m", "dvc", "metrics", "show", PATH=PATH, COLUMNS=str(WIDTH)).stdout
    assert "bleu" in table
    assert max(map(len, table.splitlines())) <= WIDTH, table
