"""The corpus against the champion's before a training: limit, acceptance, and no failure without figures."""

import json

import pytest

from flows import drift
from flows.stage_errors import QualityStageError, StageError
from seq2seq.common import acceptance, params, paths, recipes, workspace
from seq2seq.common.errors import Figure
from seq2seq.report import drift as comparison
from seq2seq.tracking import client, registry, runs
from seq2seq.tracking.run import Run
from tests.support.projects import ROOT
from tests.support.registered import register


def profile(language):
    side = {
        "repeated": 0.0,
        "characters": {"counts": [1], "deciles": [1] * 9},
        "words": {"counts": [1], "deciles": [1] * 9},
        "alphabet": {"number": 1, "total": 10, "counts": {"a": 10}},
        "scripts": {"Latin": 10},
        "languages": {"counts": {language: 10}, "expected": 1.0},
        "frequent": {"total": 10, "counts": {"a": 10}},
    }
    sources = {"corpus": {"pairs": 10, "ratio": [10], "source": side, "target": side}}
    bins = {"characters": [0], "words": [0], "ratio": [0]}
    return {"pairs": 10, "bins": bins, "sources": sources, "unknown": {}}


@pytest.fixture
def champion(project, monkeypatch):
    """A champion whose corpus was German on both sides; the corpus of this folder is as well."""
    paths.PARAMS.write_bytes((ROOT / "params.yaml").read_bytes())
    recipes.apply(None, ["register.name=m", "promote.max_drift=0.5"])
    paths.REPORTS.mkdir()
    paths.PROFILE.write_text(json.dumps(profile("de")))
    version = register(project, "m")
    Run(version.run_id).log_artifact(paths.PROFILE, "train")
    registry.set_alias("m", registry.CHAMPION, version.version)
    monkeypatch.setattr(drift, "call", lambda *_: comparison.write())
    monkeypatch.setattr(drift, "create_table_artifact", lambda rows, **_: shown.append(rows))
    shown: list[object] = []
    return shown


def found():
    return json.loads(paths.DRIFT.read_text())


@pytest.mark.slow
def test_an_equal_corpus_passes_and_another_stops_before_the_training(champion, capsys):
    printed: list[str] = []
    drift.check("train", "", printed.append)
    assert (found()["champion"], found()["largest"]["divergence"], found()["note"]) == ("1", 0.0, "")
    assert "against the corpus of m version 1" in capsys.readouterr().out

    paths.PROFILE.write_text(json.dumps(profile("en")))
    with pytest.raises(
        QualityStageError, match=r"train \(quality\): the divergence of languages of so"
    ) as error:
        drift.check("train", "", printed.append)
    assert error.value.figure[1:4] == ("1.00", "0.50", "promote.max_drift")
    assert "de 100.0 % → 0.0 %" in error.value.message
    assert champion[-1][0]["name"] == "languages of source"
    assert acceptance.read() == []

    drift.check("train", "new customers", printed.append)
    assert printed[-1].endswith("promote.max_drift allows 0.50: accepted (new customers)")
    [record] = acceptance.read()
    assert (record["stage"], record["key"], record["reason"]) == (
        "train",
        "promote.max_drift",
        "new customers",
    )
    drift.check("train", "", printed.append)  # the training was interrupted, and is continued
    assert acceptance.read() == [record]
    recipes.apply(None, ["promote.max_drift=null"])
    paths.PROFILE.write_text(json.dumps(profile("fr")))
    drift.check("train", "", printed.append)
    assert acceptance.read() == []  # of another corpus
    assert params.load().promote.max_drift is None


@pytest.mark.slow
def test_without_a_champion_its_profile_or_mlflow_there_is_a_line_alone(champion, capsys, monkeypatch):
    printed: list[str] = []
    recipes.apply(None, ["register.name=other"])
    drift.check("train", "", printed.append)
    assert "drift: not measured: other has no champion yet" in capsys.readouterr().out
    recipes.apply(None, ["register.name=m"])
    version = register(paths.PARAMS.parent.resolve(), "m")
    registry.set_alias("m", registry.CHAMPION, version.version)
    drift.check("train", "", printed.append)
    assert "drift: not measured: the run of version 2 has no profile" in capsys.readouterr().out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    drift.check("train", "", printed.append)
    assert "drift: not measured: MLflow at http://127.0.0.1:1 does not answer" in capsys.readouterr().out
    assert found()["largest"] is None
    assert printed == []

    def fail(*_):
        raise StageError("train", "bug", "no such module")

    monkeypatch.setattr(drift, "call", fail)
    drift.check("train", "", printed.append)
    assert printed == ["warning: the corpus is not compared with the champion's: train (bug): no such module"]


def test_accepted_limits_become_tags_of_a_run_that_lacks_them(champion):
    version = registry.version_by_alias("m", registry.CHAMPION)
    assert version is not None
    assert runs.missing_acceptances(version.run_id) == {}
    record = acceptance.record("clean", Figure("x", "1", "0", "clean.min_kept", "?"), "it is right")
    paths.CLEAN_ACCEPTED.write_text(json.dumps([record]))
    [(name, text)] = runs.missing_acceptances(version.run_id).items()
    assert name == "accepted.clean.min_kept"
    assert text.startswith("x is 1, clean.min_kept allows 0: accepted by ")
    assert text.endswith(": it is right")
    Run(version.run_id).set_tags({name: text})
    assert runs.missing_acceptances(version.run_id) == {}
    assert client.connect().get_run(version.run_id).data.tags[name] == text
    assert workspace.author() in text
