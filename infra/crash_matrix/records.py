"""The records of MLflow and a registry, taken back to the state just before a stage.

Why: a registry that has the run and the version of the undisturbed run already would hide that a healed run
has lost a record.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

MODELS = (  # MLflow's tables of models, dependents first
    *("registered_model_aliases", "registered_model_tags", "model_version_tags", "model_versions"),
    *(
        "registered_models",
        "logged_model_tags",
        "logged_model_params",
        "logged_model_metrics",
        "logged_models",
    ),
)
RUNS = ("input_tags", "inputs", "datasets", "tags", "params", "latest_metrics", "metrics", "runs")
EVALUATION = ("test.", "validation.")  # how the names of an evaluation's metrics begin


def take_back(folder: Path, place: str) -> None:
    """Reduce a local registry to the records from before the stage `place` of a run in `folder`.

    After a stage before `train`, DVC restores the model, which has its run already.
    """
    if place in ("ingest", "clean", "tokenize"):
        return
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        if place == "promote":
            database.execute("DELETE FROM registered_model_aliases")
            database.execute("DELETE FROM model_version_tags WHERE key LIKE 'promotion.%'")
            return
        for table in MODELS:
            database.execute(f"DELETE FROM {table}")
        shutil.rmtree(folder / "mlruns/models", ignore_errors=True)
        if place not in ("evaluate", "register"):
            for table in RUNS:
                database.execute(f"DELETE FROM {table}")
            shutil.rmtree(folder / "mlruns", ignore_errors=True)
            return
        run = run_of(folder)
        shutil.rmtree(folder / "mlruns" / run / "artifacts/register", ignore_errors=True)
        if place == "evaluate":
            shutil.rmtree(folder / "mlruns" / run / "artifacts/evaluation", ignore_errors=True)
            for table in ("metrics", "latest_metrics"):
                for start in EVALUATION:
                    database.execute(f"DELETE FROM {table} WHERE key LIKE ?", (f"{start}%",))


def take_back_all(address: str) -> None:
    """Empty the registry of a server, by its PostgreSQL database; the server can go on. Raises OSError."""
    import psycopg2

    try:
        with closing(psycopg2.connect(address)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join((*MODELS, *RUNS))} CASCADE")
    except psycopg2.Error as error:
        raise OSError(f"PostgreSQL: {error}") from error


def run_of(folder: Path) -> str:
    """The id of the MLflow run of the model in a folder; empty without one."""
    file = folder / "reports/run.json"
    return str(json.loads(file.read_text("utf-8"))["run_id"]) if file.exists() else ""
