"""A training and a version as MLflow keeps them, as JSON: what they were made from, and how.

Why: whoever tells of a model's origin reads the same tags, inputs and files, whichever server keeps them.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seq2seq import paths, tracking
from seq2seq.store import answering, client

CORPUS = "dvc.corpus"  # tag of every training: DVC's hash of data/corpus
FOLDERS = ("train", "recreated")  # of a run's files: how things stood when it was trained

Facts = dict[str, Any]


def of_run(run: Any, versions: Iterable[Any], *, short: bool = False) -> Facts:
    """A run as JSON; not `short`: with its parameters and what lies among its files."""
    tags, info = run.data.tags, run.info
    facts: Facts = {
        "run_id": info.run_id,
        "name": tags.get("mlflow.runName", ""),
        "status": info.status if info.lifecycle_stage == "active" else f"{info.status}, deleted",
        "began": _moment(info.start_time),
        "seconds": (info.end_time - info.start_time) / 1000 if info.end_time else None,
        "place": tags.get(tracking.PLACE),
        "fingerprint": tags.get(tracking.FINGERPRINT),
        "flow_run": tags.get("prefect.flow_run_id") or None,
        "commit": tags.get("git.commit"),
        "dirty": tags.get("git.dirty"),
        "recipe": tags.get("recipe"),
        "recipe_changes": json.loads(tags.get("recipe.changes", "null")),
        "corpus": of_corpus(run),
        "versions": [of_version(version) for version in versions],
    }
    if not short:
        facts["metrics"] = dict(sorted(run.data.metrics.items()))
        facts["params"] = dict(sorted(run.data.params.items()))
        facts |= _kept(info.run_id)
    return facts


def of_corpus(run: Any) -> Facts:
    """What the run was trained on: DVC's hash of data/corpus, and what provenance.json said."""
    facts: Facts = {"hash": run.data.tags.get(CORPUS)}
    for used in run.inputs.dataset_inputs:
        facts |= json.loads(used.dataset.source)
    if facts.get("files") == tracking.ELSEWHERE:
        facts |= json.loads(_texts(run.info.run_id)[paths.PROVENANCE.name])
    return facts


def files(facts: Any) -> Iterator[Mapping[str, Any]]:
    """Every file that a provenance names, wherever in it."""
    if isinstance(facts, Mapping):
        if "sha256" in facts:
            yield facts
        facts = list(facts.values())
    if isinstance(facts, list):
        for one in facts:
            yield from files(one)


def _kept(run_id: str) -> Facts:
    """What a training has left among its run's files: packages, machine, dvc.lock, changes to the code."""
    texts = _texts(run_id)
    packages = (line.partition("==") for line in texts.get("packages.txt", "").splitlines())
    lock = texts.get("dvc.lock")
    return {
        "packages": {name: version for name, _, version in packages},
        "machine": json.loads(texts.get("machine.json", "{}")),
        "lock_sha256": lock and hashlib.sha256(lock.encode()).hexdigest(),
        "diff": texts.get("git.diff"),
    }


def _texts(run_id: str) -> dict[str, str]:
    """The files that tell how things stood at a training; none if the server has lost them."""
    with answering(), tempfile.TemporaryDirectory() as scratch:
        for folder in FOLDERS:
            if client().list_artifacts(run_id, folder):
                got = Path(client().download_artifacts(run_id, folder, scratch))
                return {path.name: path.read_bytes().decode() for path in got.iterdir() if path.is_file()}
    return {}


def of_version(made: Any) -> Facts:
    """A version of the registry as JSON, without what has become of it."""
    return {
        "name": made.name,
        "version": str(made.version),
        "run_id": made.run_id,
        "registered": _moment(made.creation_timestamp),
        "tags": dict(sorted(made.tags.items())),
    }


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
