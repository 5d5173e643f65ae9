"""Stubs of trainings that are recorded in MLflow."""

from __future__ import annotations

import csv
import json
import shutil

from seq2seq.common import params, paths, workspace
from seq2seq.tracking import client, runs
from tests.support.projects import ROOT

CHECKED = params.load(ROOT / "recipes/tiny.yaml")
FIRST = "f" * 40
CURVE = ("update", "epoch", "training_loss", "validation_loss", "perplexity", "learning_rate")


def points(run_id: str, metric: str) -> list[tuple[int, float]]:
    history = client.connect().get_metric_history(run_id, metric)
    return sorted((point.step, point.value) for point in history)


def write_curve(updates: int) -> None:
    paths.CURVE.parent.mkdir(exist_ok=True)
    with paths.CURVE.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(CURVE)
        rows.writerows([update, 1, "", 2.0 + update, 8.0, 0.1] for update in range(1, updates + 1))


def train(updates: int, fingerprint: str = FIRST, error: BaseException | None = None) -> str:
    """A stub of a training; returns the run's id."""
    with runs.training_run(CHECKED, fingerprint) as run:
        for update in range(1, updates + 1):
            run.log_metrics({"validation_loss": 2.0 + update}, update)
        if error is not None:
            raise error
    return run.id


def make() -> None:
    """In the current folder, the files of a workspace whose corpus is made."""
    shutil.copyfile(ROOT / "recipes/tiny.yaml", paths.PARAMS)
    paths.PROVENANCE.parent.mkdir()
    rows = {"train": 5, "validation": 1, "test": 1}
    facts = {"kind": "hub", "path": "corpora/x.yaml", "id": "a/x", "revision": "0" * 40, "rows": rows}
    paths.PROVENANCE.write_text(json.dumps(facts))
    workspace.LOCK.write_text("stages:\n  clean:\n    outs:\n    - path: data/corpus\n      md5: 12.dir\n")
