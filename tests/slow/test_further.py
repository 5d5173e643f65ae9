"""Training further from a registered version, by DVC: its files, its records, its refusals."""

import json
from pathlib import Path

import pytest

from seq2seq.common import paths
from seq2seq.data.vocabulary import FILE
from tests.support import projects

SHORT = ["train.updates=20", "train.learning_rate=0.0005", "train.validate_every=10"]


def use(project: Path, *values: str) -> str:
    arguments = [part for value in values for part in ("--set", value)]
    return projects.call(project, "-m", "seq2seq", "use", *arguments).stdout


@pytest.mark.nightly
def test_a_version_is_trained_further_on_another_corpus(by_hand: Path, tmp_path: Path) -> None:
    project = projects.copy(by_hand, tmp_path)
    before = (project / paths.VOCABULARY / FILE).read_bytes()
    start = "train.start_from=models:/grammar-tiny@challenger"
    shown = use(project, start, "ingest.seed=2", *SHORT)
    assert "train.start_from.model: (missing) -> grammar-tiny" in shown
    done = projects.repro(project)
    assert "pieces taken over from grammar-tiny version 1" in done.stdout
    assert "train: starts from the weights of grammar-tiny version 1" in done.stdout
    assert "grammar-tiny version 2 registered" in done.stdout
    assert (project / paths.VOCABULARY / FILE).read_bytes() == before
    again = projects.repro(project)
    assert "up to date" in again.stdout

    digest = json.loads((project / paths.REGISTRATION).read_text())["model_digest"]
    lineage = ["-m", "seq2seq", "lineage", "models:/grammar-tiny/2"]
    assert "weights of grammar-tiny version 1, model " in projects.call(project, *lineage).stdout
    [run] = json.loads(projects.call(project, *lineage, "--json").stdout)["runs"]
    assert (run["start"]["model"], run["start"]["version"]) == ("grammar-tiny", "1")
    [version] = run["versions"]
    assert version["tags"]["train.start_from.digest"] == run["start"]["digest"] != digest
    projects.call(project, "-m", "seq2seq.report.page")
    assert "the weights of `grammar-tiny` version 1" in (project / paths.CARD).read_text()
    assert "weights of grammar-tiny version 1" in (project / paths.REPORT).read_text()

    use(project, "train.hidden_size=32")
    with pytest.raises(AssertionError, match=r"use --set train\.hidden_size=64` takes these"):
        projects.repro(project, "train")
    assert "train.start_from: (missing) -> null" in use(project, "train.start_from=null")
