"""A workspace whose records wait while MLflow's server is away."""

import json
import shutil

from seq2seq.common import params, paths, workspace
from seq2seq.tracking import client
from tests.support.projects import ROOT

CHECKED = params.load(ROOT / "recipes/tiny.yaml")
CORPUS = "12ab34cd" + "0" * 24 + ".dir"
KEPT = ["dvc.lock", "git.diff", "machine.json", "packages.txt", "params.yaml", "provenance.json"]


def points(run_id: str, metric: str) -> list[tuple[int, float]]:
    return sorted((p.step, p.value) for p in client.connect().get_metric_history(run_id, metric))


def make() -> None:
    """In the current folder, the files of a workspace whose corpus is made of one file."""
    shutil.copyfile(ROOT / "recipes/tiny.yaml", paths.PARAMS)
    paths.PROVENANCE.parent.mkdir()
    files = [{"name": "train.tsv", "sha256": "aa" * 32, "bytes": 9}]
    facts = {"kind": "file", "path": "corpora/x.tsv", "files": files, "rows": {"train": 9, "test": 1}}
    paths.PROVENANCE.write_text(json.dumps(facts))
    workspace.LOCK.write_text(f"stages:\n  clean:\n    outs:\n    - path: data/corpus\n      md5: {CORPUS}\n")
