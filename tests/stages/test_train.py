"""Training: resumed equals uninterrupted to the bit, it learns, it stops clearly, fingerprints differ."""

import copy
import errno
import os
import shutil
import signal
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from seq2seq import train as stage
from seq2seq.common import checkpoint_copies, params, paths
from seq2seq.common.errors import UserError
from seq2seq.common.schema import NamedVersion
from seq2seq.data import direction, vocabulary
from seq2seq.nn import model_folder
from seq2seq.tracking import registry, runs
from seq2seq.training import checkpoints, distributed
from seq2seq.training.checkpoints import FILE, Checkpoints, fingerprint
from seq2seq.training.trainer import learning_rate
from tests.support import untrained
from tests.support.projects import ROOT
from tests.support.trainer import SETTINGS, Recorder, outcome, trainer, write_tokens


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_stopped_and_resumed_is_uninterrupted_to_the_bit(tokens, tmp_path, uninterrupted, signum, capsys):
    first = trainer(tokens, tmp_path)

    def plug(step: int) -> None:
        if step == 20:
            os.kill(os.getpid(), signum)
            os.kill(os.getpid(), signum)  # twice changes nothing

    with pytest.raises(KeyboardInterrupt):
        first.fit(Recorder(plug))
    assert 20 <= first.state.update < 60
    assert "the next run resumes there" in capsys.readouterr().out
    torch.rand(5)  # changes the random state
    second = trainer(tokens, tmp_path)
    second.fit(Recorder())
    assert f"resumes from update {first.state.update}" in capsys.readouterr().out
    assert outcome(second) == uninterrupted


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", [False, True])
def test_killed_between_checkpoints_and_resumed_is_uninterrupted_to_the_bit(
    tokens, tmp_path, uninterrupted, capsys, monkeypatch, elsewhere
):
    """Also on another machine, which has the copies of the checkpoints alone."""

    class PowerCut(BaseException):
        pass

    def cut(step: int) -> None:
        if step == 40:
            raise PowerCut

    if elsewhere:
        monkeypatch.setenv(checkpoint_copies.STORE, str(tmp_path / "store"))
    first = trainer(tokens, tmp_path / "first")
    with pytest.raises(PowerCut):
        first.fit(Recorder(cut))
    first.checkpoints.finish()
    second = trainer(tokens, tmp_path / ("second" if elsewhere else "first"))
    second.fit(Recorder())
    assert "resumes from update 3" in capsys.readouterr().out
    assert outcome(second) == uninterrupted


@pytest.mark.slow
def test_patience_is_counted_in_updates_and_the_best_weights_are_kept(tokens, tmp_path):
    trained = trainer(tokens, tmp_path, updates=4000, learning_rate=0.5, clip_norm=50.0, patience=60)
    trained.fit(Recorder())
    state = trained.state
    assert state.update == state.best_update + 60 < 4000
    best = min(state.curve, key=lambda point: point["validation_loss"])
    assert best["update"] == state.best_update
    assert any(not torch.equal(trained.best[n], p) for n, p in trained.parameters.items())


def test_a_loss_that_is_no_number_stops_with_the_remedy(tokens, tmp_path):
    broken = trainer(tokens, tmp_path)
    with torch.no_grad():
        broken.parameters["decoder.readout.bias"][0] = torch.nan
    with pytest.raises(UserError, match=r"loss is nan near update 7: lower train\.learning_rate"):
        broken.fit(Recorder())


def test_pairs_that_are_all_too_long_are_named(tokens, tmp_path):
    with pytest.raises(UserError, match=r"train\.max_tokens: no train pair has 1 to 1 tokens"):
        trainer(tokens, tmp_path, max_tokens=1)


def test_the_learning_rate_rises_and_falls():
    rates = [learning_rate(update, SETTINGS) for update in range(1, 61)]
    assert rates[0] == pytest.approx(0.001)
    assert max(rates) == rates[9] == SETTINGS.learning_rate
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.0001)


def test_a_fingerprint_covers_every_dep_and_parameter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/a").write_text("1")
    Path("code.py").write_text("x = 1")
    Path("dvc.yaml").write_text("stages: {train: {cmd: x, deps: [data, code.py]}}")
    first = fingerprint("train", {"seed": 1})
    assert fingerprint("train", {"seed": 1}) == first
    assert fingerprint("train", {"seed": 2}) != first
    Path("data/a").write_text("2")
    second = fingerprint("train", {"seed": 1})
    Path("code.py").write_text("x = 2")
    assert len({first, second, fingerprint("train", {"seed": 1})}) == 3


def test_a_checkpoint_is_replaced_as_a_whole(tmp_path, monkeypatch):
    store = Checkpoints("f" * 40, tmp_path)
    assert store.load() is None
    store.save({"a": torch.arange(3.0)}, {"update": 1})
    real = Path.replace
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        store.save({"a": torch.zeros(3)}, {"update": 2})
    monkeypatch.setattr(Path, "replace", real)
    tensors, state = copy.deepcopy(store.load())
    assert state == {"update": 1}
    assert tensors["a"].tolist() == [0, 1, 2]
    assert store.exists()


def test_a_full_disk_raises_the_system_s_error_with_the_file(tmp_path, monkeypatch):
    def full(*arguments, **named):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        Checkpoints("f" * 40, tmp_path).save({"a": torch.zeros(3)}, {})
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename.endswith(f"{FILE}.new")


@pytest.fixture
def further(project, monkeypatch):
    """Parameters of a training that starts from version 3 of `wise`; MLflow records nothing."""
    untrained.make()
    paths.MODEL.rename("wise")
    paths.VOCABULARY.mkdir()
    for name in (vocabulary.FILE, direction.FILE):
        shutil.copyfile(Path("wise") / name, paths.VOCABULARY / name)
    for name, words in ((vocabulary.WORDS_FILE, "neu"), (vocabulary.PARENT_WORDS_FILE, "alt")):
        (paths.VOCABULARY / name).write_text(f"{words}\n")
    write_tokens(paths.TOKENS)
    shutil.copyfile(ROOT / "dvc.yaml", "dvc.yaml")
    asked: list[str] = []
    monkeypatch.setattr(registry, "download_model", lambda name: asked.append(name) or Path("wise"))
    start = NamedVersion(model="wise", version=3, digest=model_folder.digest(Path("wise")))
    sizes = {"embedding_size": 8, "hidden_size": 8, "attention_size": 8, "attention": "additive"}
    changes = {**sizes, "layer_norm": False, "layers": 1, "updates": 30, "validate_every": 10}
    checked = params.load()
    settings = SETTINGS.model_copy(update={**changes, "start_from": start})
    return checked.model_copy(update={"train": settings}), asked


def trained(parameters, monkeypatch, plug=None) -> bytes:
    """The weights after the stage has run."""
    recorder = Recorder(plug)
    recorder.set_tags = lambda tags: None
    monkeypatch.setattr(runs, "training_run", lambda *_, **__: nullcontext(recorder))
    stage.train_rank(parameters, distributed.SINGLE)
    return (paths.MODEL / model_folder.WEIGHTS).read_bytes()


@pytest.mark.slow
def test_a_training_begins_with_the_weights_of_a_version_and_its_checkpoint_goes_first(
    further, monkeypatch, capsys
):
    parameters, asked = further
    whole = trained(parameters, monkeypatch)
    assert asked == ["models:/wise/3"]
    assert "starts from the weights of wise version 3" in capsys.readouterr().out
    assert (paths.MODEL / vocabulary.WORDS_FILE).read_text() == "alt\nneu\n"
    shutil.rmtree(paths.CHECKPOINTS)

    def cut(step: int) -> None:
        if step == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(parameters, monkeypatch, cut)
    asked.clear()
    assert trained(parameters, monkeypatch) == whole
    assert asked == []
    out = capsys.readouterr().out
    assert out.count("starts from the weights") == 1
    assert "resumes from update" in out
    shutil.rmtree(paths.CHECKPOINTS)
    random = parameters.model_copy(update={"train": parameters.train.model_copy(update={"start_from": None})})
    assert trained(random, monkeypatch) != whole
