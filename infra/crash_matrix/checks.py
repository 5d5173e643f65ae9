"""Conditions after a fault, and after the run that heals it; each check returns its problems as text.

Why: a cell is green because these found nothing, so each of them has a test in which it finds something.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from infra.crash_matrix import processes, project, records
from infra.crash_matrix.cells import STAGES

CURVE = ("perplexity", "training_loss", "validation_loss")  # equal in each run with the same weights
Curve = list[tuple[str, int, float]]  # metric, update, value
ENDING = 30.0  # seconds in which all processes of a broken run have to end


def orphans(mark: str, seconds: float = ENDING) -> list[str]:
    """Processes of a cell that go on after its run has ended."""
    try:
        processes.wait_for(lambda: not processes.of_cell(mark), seconds, "the end of all processes")
    except processes.StuckError:
        return [f"orphan: {command}" for command in processes.end_all(mark)] or []
    return []


def unfinished_results(folder: Path, place: str) -> list[str]:
    """Outputs of the broken stage that DVC counts as results."""
    named = project.hashes(project.read_lock(folder), place)
    return [f"dvc.lock names the unfinished {path}" for path in named]


def results(folder: Path, reference: project.Lock, until: str) -> list[str]:
    """Outputs up to training that differ from those of the undisturbed run, or are missing."""
    lock, problems = project.read_lock(folder), []
    for stage in STAGES[: min(STAGES.index(until), STAGES.index("train")) + 1]:
        wanted, found = project.hashes(reference, stage), project.hashes(lock, stage)
        for path, md5 in wanted.items():
            # reports/run.json has the id of the MLflow run.
            if path != "reports/run.json" and found.get(path) != md5:
                problems.append(f"{path} is {found.get(path, 'missing')}, undisturbed {md5}")
    return problems


def weights(folder: Path, wanted: str) -> list[str]:
    """The model's weights if they are not those of the undisturbed run."""
    found = project.sha256(folder / project.WEIGHTS)
    return [] if found == wanted else [f"other weights: {found[:12] or 'none'}, undisturbed {wanted[:12]}"]


def registry(folder: Path, place: str) -> list[str]:
    """Runs, versions and aliases of the local MLflow registry that are not in order."""
    problems = []
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        count = "SELECT count(*) FROM runs WHERE status IN ('RUNNING', 'SCHEDULED')"
        if running := database.execute(count).fetchone()[0]:
            problems.append(f"{running} MLflow runs are still open")
        half = "SELECT count(*) FROM model_versions WHERE status != 'READY'"
        if unfinished := database.execute(half).fetchone()[0]:
            problems.append(f"{unfinished} versions are not ready")
        versions = database.execute("SELECT count(*) FROM model_versions").fetchone()[0]
        if place in ("register", "promote") and versions != 1:
            problems.append(f"the model has {versions} versions in place of one")
        query = "SELECT alias, version FROM registered_model_aliases"
        aliases = dict(database.execute(query).fetchall())
    for alias, needed in (("challenger", ("register", "promote")), ("champion", ("promote",))):
        if place in needed and alias not in aliases:
            problems.append(f"no version has the alias {alias}")
    return problems


def curve_of_file(folder: Path) -> Curve:
    """The training's points in a local MLflow registry."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        query = f"SELECT key, step, value FROM metrics WHERE run_uuid = ? AND key IN {CURVE}"
        return sorted(database.execute(query, (records.run_of(folder),)).fetchall())


def curve(found: Curve, wanted: Curve) -> list[str]:
    """Points of a training that MLflow lacks, has twice, or has with another value."""
    if found == wanted:
        return []
    other = sorted({f"{key} at {step}" for key, step, value in {*found} ^ {*wanted}})
    return [f"MLflow has {len(found)} points of the training, undisturbed {len(wanted)}; differ: {other[:4]}"]


def waiting_records(folder: Path) -> list[str]:
    """Records of MLflow that wait for delivery after a healed run."""
    found = [path.name for path in (folder / ".cache/mlflow").rglob("*.zip")]
    return [f"{len(found)} records wait for MLflow"] if found else []


def prefect(count: Callable[[str], int]) -> list[str]:
    """Runs and slots that hang on the Prefect server; `count` returns the number of a kind."""
    kinds = {
        "flow runs": "flow runs are not ended",
        "task runs": "task runs of ended flow runs are not ended",
        "slots": "concurrency slots are held",
    }
    numbers = {text: count(kind) for kind, text in kinds.items()}
    return [f"{number} {text}" for text, number in numbers.items() if number]
