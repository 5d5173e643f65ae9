"""Records of trainings and versions in a workspace, without training."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from seq2seq.commands import lineage
from seq2seq.common import params, paths, recipes, workspace
from seq2seq.tracking import client, promotions, registry, runs
from tests.support.projects import ROOT

FIRST, SECOND = "12ab34cd" + "0" * 24 + ".dir", "12ab99ff" + "0" * 24 + ".dir"


def make_workspace(folder: Path, empty_database: Path) -> None:
    """A workspace of recipe tiny with a registry and a git history."""
    shutil.copyfile(empty_database, folder / "mlflow.db")
    shutil.copyfile(ROOT / "recipes/tiny.yaml", folder / paths.PARAMS)
    shutil.copytree(ROOT / "recipes", folder / paths.RECIPES)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "first"]):
        subprocess.run(["git", *identity, *command], check=True, cwd=folder)


def train(corpus: str, file: str, fingerprint: str, **model: str) -> str:
    """Stands for a training on a corpus made of a file with this sha256; the run's id."""
    workspace.LOCK.write_text(f"stages:\n  clean:\n    outs:\n    - path: data/corpus\n      md5: {corpus}\n")
    files = [{"name": "train.tsv", "sha256": file, "bytes": 9}]
    facts = {"kind": "file", "path": "corpora/x.tsv", "files": files, "rows": {"train": 9, "test": 1}}
    paths.PROVENANCE.parent.mkdir(exist_ok=True)
    paths.PROVENANCE.write_text(json.dumps(facts))
    with runs.training_run(params.load(), fingerprint * 40) as run:
        run.log_metrics({"test.bleu": 20.0})
    for name, value in model.items():
        run.set_tags({name: value})
    return run.id


def register(run_id: str, digest: str, **tags: str) -> registry.Version:
    """A version of the run's model, tagged as `register` does."""
    mlflow_client = client.connect()
    experiment = mlflow_client.get_run(run_id).info.experiment_id
    model = mlflow_client.create_logged_model(experiment, source_run_id=run_id)
    mlflow_client.finalize_logged_model(model.model_id, "READY")
    known = {"model_digest": digest, "bleu": "20.0", "chrf": "40.0", "git.commit": workspace.commit()}
    return registry.register_version("toy", f"models:/{model.model_id}", run_id, {**known, **tags})


def judge(version: registry.Version, outcome: str, champion: str | None = None) -> None:
    when, who = promotions.now_and_here()
    reason = f"because it is {outcome}"
    promotions.apply(promotions.Entry("toy", outcome, champion, version.version, reason, when, who), {})


def make_runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Four trainings: two on one corpus, one on it made of another file, one on another; three versions."""
    made = {"plain": train(FIRST, "aa" * 32, "1")}
    judge(register(made["plain"], "d1"), "promoted")
    recipes.apply(None, ["train.seed=2", "register.name=toy"])
    Path("seq2seq").mkdir()
    Path("seq2seq/new.py").write_text("CHANGED = True\n")
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "flow-7")
    made["changed"] = train(FIRST, "aa" * 32, "2")
    judge(register(made["changed"], "d2"), "promoted", "1")
    made["other file"] = train(FIRST, "bb" * 32, "3", model_digest="d2")  # the very same model
    made["other corpus"] = train(SECOND, "cc" * 32, "4")
    judge(register(made["other corpus"], "d4"), "rejected", "2")
    return made


def names(found: dict[str, Any]) -> dict[str, list[str]]:
    """Runs and the versions that came of them."""
    return {run["run_id"]: [version["version"] for version in run["versions"]] for run in found["runs"]}


def text(subject: str) -> str:
    return "\n".join(lineage.lines(lineage.trace(subject)))
