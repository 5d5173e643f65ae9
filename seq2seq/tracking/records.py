"""MLflow's records of a training and of a version, as JSON: their inputs and their environment.

Why: all commands that show a model's origin read the same tags, inputs and files, on any server.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seq2seq.common import paths, workspace
from seq2seq.tracking import runs
from seq2seq.tracking.client import connect, translate_errors

CORPUS = "dvc.corpus"  # tag of every training: DVC's hash of data/corpus
# Folders of a run's files: the state when it was trained, or when the run was recreated on another server.
TRAINED, RECREATED = "train", "recreated"
STARTED = ("model", "version", "digest")  # of the version that a training began with

Facts = dict[str, Any]


def of_run(run: Any, versions: Iterable[Any], *, short: bool = False) -> Facts:
    """A run as JSON; unless `short`, with its parameters and the content of its files."""
    tags, info = run.data.tags, run.info
    facts: Facts = {
        "run_id": info.run_id,
        "name": tags.get("mlflow.runName", ""),
        "status": info.status if info.lifecycle_stage == "active" else f"{info.status}, deleted",
        "began": _moment(info.start_time),
        "place": tags.get(runs.PLACE),
        "fingerprint": tags.get(runs.FINGERPRINT),
        "flow_run": tags.get("prefect.flow_run_id") or None,
        "commit": tags.get("git.commit"),
        "dirty": tags.get("git.dirty"),
        "recipe": tags.get("recipe"),
        "recipe_changes": json.loads(tags.get("recipe.changes", "null")),
        "start": {key: tags[name] for key in STARTED if (name := f"{workspace.START}.{key}") in tags} or None,
        "corpus": of_corpus(run),
        "versions": [of_version(version) for version in versions],
    }
    if not short:
        facts["metrics"] = dict(sorted(run.data.metrics.items()))
        facts["params"] = dict(sorted(run.data.params.items()))
        facts |= _kept(info.run_id)
    return facts


def of_corpus(run: Any) -> Facts:
    """The corpus of a run: DVC's hash of data/corpus, and the content of provenance.json."""
    facts: Facts = {"hash": run.data.tags.get(CORPUS)}
    for used in run.inputs.dataset_inputs:
        facts |= json.loads(used.dataset.source)
    if facts.get("files") == workspace.ELSEWHERE:
        _, texts = _described(run.info.run_id)
        facts |= json.loads(texts.get(paths.PROVENANCE.name, "{}"))
    return facts


def _kept(run_id: str) -> Facts:
    """The files of a training: packages, machine, dvc.lock, changes to the code."""
    folder, texts = _described(run_id)
    packages = (line.partition("==") for line in texts.get("packages.txt", "").splitlines())
    lock = texts.get("dvc.lock")
    return {
        "described": folder,
        "packages": {name: version for name, _, version in packages},
        "machine": json.loads(texts.get("machine.json", "{}")),
        "lock_sha256": lock and hashlib.sha256(lock.encode()).hexdigest(),
        "diff": texts.get("git.diff"),
    }


def _described(run_id: str) -> tuple[str | None, dict[str, str]]:
    """The folder with the description of a training, and its files; None if there is none."""
    with translate_errors(), tempfile.TemporaryDirectory() as scratch:
        for folder in (TRAINED, RECREATED):
            if connect().list_artifacts(run_id, folder):
                got = Path(connect().download_artifacts(run_id, folder, scratch))
                return folder, {path.name: path.read_bytes().decode() for path in got.iterdir()}
    return None, {}


def file_of(run_id: str, name: str) -> str | None:
    """The text of a file that describes a training; None if its run has none."""
    with translate_errors(), tempfile.TemporaryDirectory() as scratch:
        for folder in (TRAINED, RECREATED):
            path = f"{folder}/{name}"
            if any(file.path == path for file in connect().list_artifacts(run_id, folder)):
                return Path(connect().download_artifacts(run_id, path, scratch)).read_text(encoding="utf-8")
    return None


def of_version(made: Any) -> Facts:
    """A version of the registry as JSON, without aliases and log."""
    return {
        "name": made.name,
        "version": str(made.version),
        "run_id": made.run_id,
        "registered": _moment(made.creation_timestamp),
        "tags": dict(sorted(made.tags.items())),
    }


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
