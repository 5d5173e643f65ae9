"""A version registered before the modules moved into folders still works: it contains its own code.

`fixtures/registered_version.tar.xz` has the files that `register` wrote then; the JSON beside it has the
registry's entry and some translations.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from seq2seq.gate import isolated
from seq2seq.inference.translator import Translator
from seq2seq.nn import model_folder
from seq2seq.nn.model_folder import WEIGHTS
from seq2seq.tracking import client, registry, runs
from tests.support import prefect_home, projects

FIXTURE = projects.ROOT / "tests/fixtures" / "registered_version.tar.xz"
KNOWN = json.loads(FIXTURE.with_name("registered_version.json").read_text("utf-8"))


def adopt(folder: Path) -> registry.Version:
    """Register it in the registry of the current folder."""
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    mlflow_client = client.connect()
    experiment = runs.experiment("earlier")
    run_id = mlflow_client.create_run(experiment, tags=KNOWN["run"]["tags"]).info.run_id
    for key, value in KNOWN["run"]["params"].items():
        mlflow_client.log_param(run_id, key, value)
    model = mlflow_client.create_logged_model(experiment, source_run_id=run_id)
    mlflow_client.log_model_artifacts(model.model_id, str(folder))
    mlflow_client.finalize_logged_model(model.model_id, "READY")
    return registry.register_version(KNOWN["name"], f"models:/{model.model_id}", run_id, KNOWN["tags"])


def test_today_s_code_reads_its_model_folder_and_writes_the_same_weights(tmp_path: Path) -> None:
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    folder, again = tmp_path / "artifacts/model", tmp_path / "again"
    translator = Translator.from_folder(folder)
    assert translator.translate(list(KNOWN["answers"]), warn=False) == list(KNOWN["answers"].values())
    model_folder.save(translator.model, again)
    assert (again / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert model_folder.digest(folder) == KNOWN["run"]["tags"]["model_digest"]


def test_its_run_is_found_by_the_tags_of_today() -> None:
    assert {runs.FINGERPRINT, runs.PLACE} <= KNOWN["run"]["tags"].keys()


def test_it_translates_is_judged_and_rolled_back_to(
    by_hand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = projects.copy(by_hand, tmp_path)
    monkeypatch.chdir(project)
    earlier = adopt(tmp_path / "files")
    registry.set_alias(KNOWN["name"], registry.CHAMPION, earlier.version)
    texts = list(KNOWN["answers"])
    assert isolated.query(earlier.uri, client.uri(), texts) == list(KNOWN["answers"].values())

    # The project's own version, 1, loses against it.
    assert earlier.version == "2"
    prefect_home.fill(project / ".prefect")
    with pytest.raises(AssertionError, match=r"promote +(kept|rejected)"):
        projects.call(project, "-m", "flows", "run")
    evidence = json.loads(Path("reports/evidence.json").read_text("utf-8"))
    assert (evidence["champion"]["version"], evidence["champion"]["problem"]) == (earlier.version, "")
    assert evidence["champion"]["scores"]["chrf"] > 5
    verdict = json.loads(Path("reports/verdict.json").read_text("utf-8"))
    assert {"same direction": True, "loads and answers": True}.items() <= {
        criterion["name"]: criterion["ok"] for criterion in verdict["criteria"]
    }.items(), verdict

    projects.call(
        project, "-m", "flows", "promote", "--force", "--reason", "to have something to go back from"
    )
    assert champion() == "1"
    projects.call(project, "-m", "flows", "rollback", "--to", earlier.version, "--reason", "it was better")
    assert champion() == earlier.version


def champion() -> str:
    """The number of the champion."""
    version = registry.version_by_alias(KNOWN["name"], registry.CHAMPION)
    assert version is not None
    return version.version
