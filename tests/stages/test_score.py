"""score: the bytes of a run, killed or not, and the refusals of a version that is not the one named."""

import json
import math
import shutil

import numpy as np
import pytest

from seq2seq import score as stage
from seq2seq.common import params, paths, progress
from seq2seq.common.errors import TransientError, UserError
from seq2seq.data import direction, scores
from seq2seq.data.corpus import Pair
from seq2seq.data.direction import Direction, Side
from seq2seq.nn import model_folder
from seq2seq.tracking import registry
from seq2seq.training.pair_scores import PairScorer
from tests.support import untrained
from tests.support.projects import ROOT
from tests.support.sources import write_mixture

WORDS = ["Hund", "Katze", "Haus", "läuft", "schläft", "und"]
PAIRS = [
    Pair(f"der {WORDS[n % 6]} {WORDS[n % 5]}", f"die {WORDS[n % 4]} " + "nicht " * (n % 7)) for n in range(50)
]
PAIRS[7] = Pair("", "die Katze")
GERMAN = Direction(Side("de", "Latin"), Side("en-GB", "Latin"))


@pytest.fixture
def settings(project, monkeypatch):
    """The current folder: an untrained model as version 3 of `wise`, and 50 training pairs."""
    untrained.make()
    shutil.copyfile(ROOT / "dvc.yaml", "dvc.yaml")
    write_mixture(PAIRS, {})
    direction.write(paths.MIXED, GERMAN)
    monkeypatch.setattr(registry, "download_model", {"models:/wise/3": paths.MODEL}.__getitem__)
    monkeypatch.setattr(stage, "SHARD", 20)
    monkeypatch.setattr(stage, "PORTION", 8)
    checked = params.load(ROOT / "params.yaml")
    named = {"model": "wise", "version": 3, "digest": model_folder.digest(paths.MODEL)}
    return checked.model_copy(update={"score": checked.score.model_copy(update=named)})


def test_each_row_has_its_score_in_order(settings, capsys):
    stage.score(settings)
    found = scores.read(paths.SCORED)
    assert len(found) == 50
    assert [row for row, value in enumerate(found) if math.isnan(value)] == [7]
    scorer = PairScorer.from_folder(paths.MODEL, stage_device())
    for row in (0, 19, 20, 49):
        [alone] = scorer.score([PAIRS[row].source], [PAIRS[row].target])
        assert found[row] == pytest.approx(alone, abs=1e-4)
    about = json.loads((paths.SCORED / scores.ABOUT).read_text())
    assert (about["rows"], about["unscored"], about["version"]) == (50, 1, 3)
    assert about["percentiles"]["50"] == pytest.approx(float(np.nanmedian(found)), abs=1e-3)
    assert "score: 50 train pairs by wise version 3 in" in capsys.readouterr().out
    assert not any(paths.CHECKPOINTS.iterdir())


def test_a_killed_run_resumes_and_gives_the_same_bytes(settings, capsys, monkeypatch):
    stage.score(settings)
    whole = {path.name: path.read_bytes() for path in paths.SCORED.iterdir()}
    shutil.rmtree(paths.SCORED)

    calls = []
    score = PairScorer.score

    def killed(self, sources, targets):
        calls.append(len(sources))
        if len(calls) == 5:  # in the second shard of three
            raise KeyboardInterrupt
        return score(self, sources, targets)

    monkeypatch.setattr(PairScorer, "score", killed)
    with pytest.raises(KeyboardInterrupt):
        stage.score(settings)
    assert not paths.SCORED.exists()
    calls.clear()
    calls += [0] * 5
    stage.score(settings)
    assert "score: resumes after 20 pairs" in capsys.readouterr().out
    assert sum(calls) == 30
    assert {path.name: path.read_bytes() for path in paths.SCORED.iterdir()} == whole


def test_shards_of_other_data_or_another_device_are_not_used(settings, capsys, monkeypatch):
    [work] = interrupted(settings, monkeypatch)
    state = work / stage.STATE
    state.write_text(json.dumps({"device": "cuda", "threads": 1}))
    stage.score(settings)
    assert "score: begins again: it ran on {'device': 'cuda'" in capsys.readouterr().out
    [work] = interrupted(settings, monkeypatch)
    write_mixture(PAIRS[::-1], {})
    stage.score(settings)
    assert "resumes" not in capsys.readouterr().out
    assert work.exists()  # `make clean` removes it


def test_off_writes_no_score_and_needs_no_registry(settings, capsys, monkeypatch):
    monkeypatch.setattr(registry, "download_model", None)
    stage.score(params.load(ROOT / "params.yaml"))
    assert len(scores.read(paths.SCORED)) == 0
    assert capsys.readouterr().out == "score: off (score.model is null)\n"


def test_another_model_under_the_number_is_refused_with_the_remedy(settings):
    other = settings.score.model_copy(update={"digest": "0" * 64})
    with pytest.raises(UserError, match=r"another model; `seq2seq use --set score.model=models:/wise@"):
        stage.score(settings.model_copy(update={"score": other}))


def test_a_version_of_another_format_is_refused_with_the_remedy(settings):
    config = paths.MODEL / model_folder.CONFIG
    config.write_text(config.read_text().replace(f'"format": {model_folder.FORMAT}', '"format": 2'))
    older = settings.score.model_copy(update={"digest": model_folder.digest(paths.MODEL)})
    with pytest.raises(UserError, match=r"score.version: .*format 2.*; `seq2seq use --set score.model="):
        stage.score(settings.model_copy(update={"score": older}))


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (UserError("models:/wise/3 does not exist"), UserError, r"does not exist; `seq2seq use --set"),
        (TransientError("MLflow is away"), TransientError, "^MLflow is away$"),
    ],
)
def test_a_missing_version_and_an_unreachable_registry_differ(settings, monkeypatch, error, kind, message):
    def fail(name):
        raise error

    monkeypatch.setattr(registry, "download_model", fail)
    with pytest.raises(kind, match=message):
        stage.score(settings)


@pytest.mark.parametrize(
    ("corpus", "allowed"),
    [
        (Direction(Side("de-AT", "Latin"), Side("en", "Latin")), True),
        (Direction(Side("en", "Latin"), Side("de", "Latin")), False),
        (Direction(Side("de", "Latin"), Side(None, "Latin")), False),
    ],
)
def test_the_languages_of_model_and_corpus_must_be_the_same(settings, corpus, allowed):
    direction.write(paths.MIXED, corpus)
    if allowed:
        stage.score(settings)
    else:
        with pytest.raises(UserError, match=r"wise version 3 translates de → en, the corpus is .*null"):
            stage.score(settings)


def interrupted(settings, monkeypatch):
    """The work folder of a run that was stopped after its first shard."""

    def stop(self, count=1, note=""):
        if self.done >= 24:
            raise KeyboardInterrupt
        self.done += count

    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, "advance", stop)
        with pytest.raises(KeyboardInterrupt):
            stage.score(settings)
    return list(paths.CHECKPOINTS.iterdir())


def stage_device():
    import torch

    return torch.device("cpu")
