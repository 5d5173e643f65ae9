"""The crash matrix queries a real MLflow server, and finds faults there."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from infra.crash_matrix import checks, records
from infra.crash_matrix.registry import Registry
from seq2seq.tracking import client, registry
from tests.support.registered import register


def test_open_runs_missing_champions_and_points_are_found(project: Path, server: None) -> None:
    asked = Registry(os.environ["MLFLOW_TRACKING_URI"], "nobody:nothing")
    assert (asked.open_runs(), asked.unready(), asked.without("champion")) == (set(), [], [])
    made = register(project, "m")
    assert asked.open_runs() == {made.run_id}
    assert asked.unready() == []
    assert asked.runs_of_versions() == [made.run_id]
    assert asked.without("champion") == ["m"]
    mlflow = client.connect()
    for step, value in ((6, 342.5), (12, 277.25)):
        mlflow.log_metric(made.run_id, "perplexity", value, step=step)
    mlflow.log_metric(made.run_id, "cost.money", 1.0)
    mlflow.set_terminated(made.run_id)
    registry.set_alias("m", registry.CHAMPION, made.version)
    assert asked.open_runs() == set()
    assert asked.without("champion") == []
    assert asked.curve(made.run_id) == [("perplexity", 6, 342.5), ("perplexity", 12, 277.25)]


@pytest.mark.parametrize(
    ("place", "runs", "metrics", "versions"),
    [
        ("tokenize", 1, 2, 1),
        ("train", 0, 0, 0),
        ("evaluate", 1, 1, 0),
        ("register", 1, 2, 0),
        ("promote", 1, 2, 1),
    ],
)
def test_a_registry_forgets_what_a_stage_and_later_ones_recorded(
    project: Path, place: str, runs: int, metrics: int, versions: int
) -> None:
    made = register(project, "m")
    for name in ("perplexity", "test.bleu"):
        client.connect().log_metric(made.run_id, name, 1.0)
    registry.set_alias("m", registry.CHAMPION, made.version)
    (project / "reports").mkdir(exist_ok=True)
    (project / "reports/run.json").write_text(json.dumps({"run_id": made.run_id}))
    records.take_back(project, place)
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        tables = ("runs", "metrics", "model_versions", "registered_model_aliases")
        counts = [database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    assert counts == [runs, metrics, versions, int(place == "tokenize")]
    assert (project / "mlruns/models").exists() == bool(versions)
    if place == "train":
        register(project, "m")  # the registry is in order
        assert checks.registry(project, "train") == ["1 MLflow runs are still open"]
