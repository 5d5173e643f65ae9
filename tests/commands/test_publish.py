"""`seq2seq publish`: the metadata as the hub reads it, and a folder that translates by its own code."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import EvalResult, ModelCard

from seq2seq.__main__ import main
from seq2seq.common import paths
from seq2seq.inference.translator import Translator
from seq2seq.nn import model_folder
from seq2seq.report import hub_card
from seq2seq.tracking import client, registry
from tests.support import registered
from tests.support.report_record import lay, record
from tests.support.untrained import CHECKED, METRICS, SENTENCES, write

TAGS = {
    **{"corpus.id": "some/corpus", "corpus.revision": "ab" * 20, "corpus.kind": "natural"},
    **{"source.language": "de-AT", "target.language": "en", "corpus.licences": '{"x": "CC-BY-4.0"}'},
    **{"bleu": "31.5", "chrf": "55.25", "ter": "50.0", "frozen_set": "news", "frozen_digest": "c" * 64},
    **{"bleu_signature": "tok:13a", "chrf_signature": "nc:6", "ter_signature": "tok:tercom"},
}


def judged(**provenance: Any) -> None:
    """Reports of `evaluate` and `mix` about the model folder."""
    files = record()
    metrics = files[paths.METRICS] | {"model_digest": model_folder.digest(paths.MODEL), "frozen_set": "news"}
    lay({paths.METRICS: metrics, paths.PROVENANCE: files[paths.PROVENANCE] | provenance})


def card(text: str) -> Any:
    return ModelCard(text).data


def scores(data: Any) -> dict[tuple[str, str], EvalResult]:
    return {(one.dataset_name, one.metric_type): one for one in data.eval_results}


@pytest.mark.slow
def test_a_folder_of_the_workspace_translates_by_its_own_code(unregistered: Path, capsys) -> None:
    judged(sources={"x": {"licence": "unknown", "attribution": None, "rows": {"train": 1}}})
    assert main(["publish", "model", "--output", "hub"]) == 0
    shown = capsys.readouterr()
    assert "hub: " in shown.out
    assert "warning: the licence of x is unknown" in shown.err
    text = Path("hub/README.md").read_text("utf-8")
    data = card(text)
    assert (data.license, data.pipeline_tag) == ("unknown", "translation")
    found = scores(data)
    assert found["news", "bleu"].metric_value == 30.0
    assert found["news", "chrf"].dataset_args == {"sha256": "c"}
    assert "| x | unknown |" in text
    assert text.count("## How to load it") == 1
    assert "Apache License" in Path("hub/seq2seq/LICENSE").read_text()
    how = CHECKED.evaluate
    stored = json.loads(Path("hub/decoding.json").read_text())
    assert (stored["beam"], stored["source_language"]) == (how.beam, "de")
    assert {path.name for path in paths.MODEL.iterdir()} < {path.name for path in Path("hub").iterdir()}

    moved = unregistered / "elsewhere"
    shutil.move("hub", moved)
    [code, _] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    program = code.replace("TEXT", SENTENCES[0]) + "import seq2seq; print(seq2seq.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=moved,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    translation, where = done.stdout.splitlines()
    assert translation == str(Translator.from_folder(moved).translate(SENTENCES[:1], warn=False))
    assert Path(where) == moved / "seq2seq/__init__.py"


def test_a_version_without_reports_here_is_described_by_its_tags(unregistered: Path, capsys) -> None:
    shutil.copytree(paths.MODEL, "kept")
    version = registered.register(unregistered, "m", **TAGS)
    shutil.copytree("kept", registry.download_model("models:/m/1"), dirs_exist_ok=True)
    paths.METRICS.unlink()
    assert main(["publish", "models:/m/1", "--output", "hub"]) == 0
    assert capsys.readouterr().err == ""  # its licence is known
    data = card(Path("hub/README.md").read_text("utf-8"))
    assert (data.license, data.language, data.datasets) == ("cc-by-4.0", ["de", "en"], ["some/corpus"])
    assert scores(data)["news", "chrf"].metric_value == 55.25
    assert data.model_name == "m"

    described = "# m version 1\n\nAbout it.\n\n## How to load it\n\nfrom there\n\n## Provenance\n\nx"
    rest = "\n\nThe whole card: mlflow-artifacts:/1/card.md"
    client.connect().update_model_version("m", version.version, described + rest)
    assert main(["publish", "models:/m/1", "--output", "again", "--licence", "mit"]) == 0
    text = Path("again/README.md").read_text("utf-8")
    assert card(text).license == "mit"
    assert "About it." in text
    assert "## Provenance\n\nx\n" in text
    assert "from there" not in text
    assert "mlflow-artifacts" not in text


@pytest.mark.parametrize(("reported", "sets"), [("1", {"validation", "test", "news"}), ("2", {"news"})])
def test_reports_about_the_version_give_the_whole_card(unregistered: Path, reported, sets) -> None:
    judged()
    digest = model_folder.digest(paths.MODEL)
    write(paths.REGISTRATION, {"name": "m", "version": reported, "model_digest": digest, "run_id": "r"})
    registered.register(unregistered, "m", **TAGS)
    shutil.copytree(paths.MODEL, registry.download_model("models:/m/1"), dirs_exist_ok=True)
    assert main(["publish", "models:/m/1", "--output", "hub"]) == 0
    text = Path("hub/README.md").read_text("utf-8")
    named = {one.dataset_split or one.dataset_name for one in card(text).eval_results}
    assert named == sets
    assert ("## Training data" in text) == (reported == "1")


def test_reports_about_another_model_are_not_used(unregistered: Path) -> None:
    write(paths.METRICS, METRICS | {"model_digest": "other"})
    assert main(["publish", "model", "--output", "hub"]) == 0
    text = Path("hub/README.md").read_text("utf-8")
    assert card(text).language == ["de", "en"]
    assert card(text).eval_results is None
    assert "| the corpus | unknown |" in text


@pytest.mark.parametrize(
    ("licences", "wanted", "name"),
    [
        ({"a": "CC-BY-4.0", "b": "unknown"}, ["cc-by-4.0", "unknown"], None),
        ({"a": "MIT, ODbL-1.0"}, ["mit", "odbl"], None),
        ({"a": "CC BY 2.0 FR"}, "other", "cc-by-2.0-fr"),
        ({"a": "mit", "b": "Own terms", "c": "more"}, ["mit", "other"], "own-terms-and-more"),
        ({}, "unknown", None),
    ],
)
def test_licences_are_those_that_the_hub_accepts(licences, wanted, name) -> None:
    facts = hub_card.of_version("m", "1", TAGS | {"corpus.licences": json.dumps(licences)})
    data = card(hub_card.front_matter(facts))
    assert (data.license, data.to_dict().get("license_name")) == (wanted, name)


def test_data_sets_of_all_sources_are_named(unregistered: Path) -> None:
    source = {"kind": "hub", "licence": "mit", "attribution": None, "rows": {"train": 1}}
    judged(kind="mixed", id=None, sources={"x": source | {"id": "a/b"}, "y": source | {"id": "c/d"}})
    assert main(["publish", "model", "--output", "hub"]) == 0
    assert card(Path("hub/README.md").read_text("utf-8")).datasets == ["a/b", "c/d"]


def test_wrong_folders_are_refused(project: Path, capsys) -> None:
    Path("there").mkdir()
    assert main(["publish", "nothing", "--output", "hub"]) == 2
    assert "nothing is not a model folder" in capsys.readouterr().err
    assert main(["publish", "nothing", "--output", "there"]) == 2
    assert "there exists: name a new folder" in capsys.readouterr().err
    assert not Path("hub").exists()
