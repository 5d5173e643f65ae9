"""Training: resumed equals uninterrupted to the bit, it learns, it stops clearly, fingerprints differ."""

import copy
import csv
import errno
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from seq2seq import train
from seq2seq.common import params
from seq2seq.common.errors import UserError
from seq2seq.data.tokens import TokenWriter
from seq2seq.nn import precision
from seq2seq.training import checkpoints, cuda_graphs
from seq2seq.training.checkpoints import BEFORE, FILE, Checkpoints, fingerprint
from tests.support import projects
from tests.support.projects import ROOT
from tests.support.tape import Tape

SIZE = 40  # pieces
SETTINGS = params.load(ROOT / "params.yaml").train.model_copy(
    update={
        "embedding_size": 16,
        "hidden_size": 24,
        "attention_size": 16,
        "dropout": 0.2,
        "batch_tokens": 240,
        "updates": 60,
        "warmup_updates": 10,
        "learning_rate": 0.01,
        "validate_every": 20,
        "checkpoint_every": 7,
        "patience": 1000,
    }
)


class Recorder:
    """Replaces an MLflow run; calls `plug` after each validation."""

    def __init__(self, plug=None) -> None:
        self.points: list[tuple[int, dict[str, float]]] = []
        self.plug = plug

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        self.points.append((step, dict(values)))
        if self.plug:
            self.plug(step)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory) -> Path:
    """Sentences, with their reversals as translations."""
    folder = tmp_path_factory.mktemp("tokens")
    random = np.random.default_rng(1)
    for split, count in (("train", 300), ("validation", 40)):
        sources = [random.integers(4, SIZE, random.integers(2, 8)).tolist() for _ in range(count)]
        with TokenWriter(folder, split) as writer:
            writer.append("source", sources)
            writer.append("target", [s[::-1] for s in sources])
    return folder


def trainer(tokens: Path, store: Path, **changes) -> train.Trainer:
    settings = SETTINGS.model_copy(update=changes)
    torch.manual_seed(settings.seed)
    return train.Trainer(settings, SIZE, torch.device("cpu"), Checkpoints("x" * 40, store), tokens)


def outcome(trained: train.Trainer):
    return trained.state.curve, {name: p.tolist() for name, p in trained.best.items()}


@pytest.fixture(scope="module")
def uninterrupted(tokens, tmp_path_factory):
    trained = trainer(tokens, tmp_path_factory.mktemp("store"))
    trained.fit(Recorder())
    return outcome(trained)


def test_the_same_seed_gives_the_same_model_and_another_another(tokens, tmp_path, uninterrupted):
    again = trainer(tokens, tmp_path / "a")
    again.fit(Recorder())
    assert outcome(again) == uninterrupted
    other = trainer(tokens, tmp_path / "b", seed=2)
    other.fit(Recorder())
    assert outcome(other) != uninterrupted


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


def test_killed_between_checkpoints_and_resumed_is_uninterrupted_to_the_bit(
    tokens, tmp_path, uninterrupted, capsys
):
    class PowerCut(BaseException):
        pass

    def cut(step: int) -> None:
        if step == 40:
            raise PowerCut

    first = trainer(tokens, tmp_path)
    with pytest.raises(PowerCut):
        first.fit(Recorder(cut))
    second = trainer(tokens, tmp_path)
    second.fit(Recorder())
    assert "resumes from update 3" in capsys.readouterr().out
    assert outcome(second) == uninterrupted


def test_with_cuda_graphs_it_is_the_same_training_and_resumes(tokens, tmp_path, monkeypatch, capsys):
    plain = trainer(tokens, tmp_path / "plain", dropout=0.0)
    plain.fit(Recorder())
    tape = Tape()
    monkeypatch.setattr(train, "wants_graphs", lambda device: True)
    monkeypatch.setattr(cuda_graphs, "Recorder", lambda device: tape)

    def pull(step: int) -> None:
        if step == 40:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trainer(tokens, tmp_path / "store", dropout=0.0).fit(Recorder(pull))
    resumed = trainer(tokens, tmp_path / "store", dropout=0.0)
    resumed.fit(Recorder())
    assert "resumes from update 3" in capsys.readouterr().out
    assert tape.records > 2
    losses = [[p["validation_loss"] for p in one.state.curve] for one in (resumed, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_it_learns(tokens, tmp_path):
    trained = trainer(tokens, tmp_path, updates=250, validate_every=50, dropout=0.0)
    trained.fit(Recorder())
    losses = [point["validation_loss"] for point in trained.state.curve]
    assert losses[0] > 2.5
    assert losses[-1] < 0.75 * losses[0]


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
    rates = [train.learning_rate(update, SETTINGS) for update in range(1, 61)]
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


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def flip(path: Path, offset: int) -> None:
    whole = bytearray(path.read_bytes())
    whole[offset] ^= 1
    path.write_bytes(whole)


def flip_tensor(path: Path) -> None:
    flip(path, -100)


def flip_length(path: Path) -> None:
    flip(path, 5)


def flip_state(path: Path) -> None:
    flip(path, path.read_bytes().index(b"best_loss") + 14)


def flip_shape(path: Path) -> None:
    flip(path, path.read_bytes().index(b"shape") + 8)


def old_format(path: Path) -> None:
    save_file({"model.a": torch.zeros(1)}, path, metadata={"state": "{}"})


DAMAGE = [truncate, empty, flip_tensor, flip_length, flip_state, flip_shape, old_format]


def interrupted(tokens: Path, store: Path) -> Path:
    """The folder of a training with checkpoints at updates 28 and 35."""

    class PowerCut(BaseException):
        pass

    def cut(step: int) -> None:
        if step == 40:
            raise PowerCut

    with pytest.raises(PowerCut):
        trainer(tokens, store).fit(Recorder(cut))
    return store / ("x" * 40)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_set_aside_and_the_previous_one_gives_the_same(
    tokens, tmp_path, uninterrupted, damage, capsys
):
    folder = interrupted(tokens, tmp_path)
    damage(folder / FILE)
    second = trainer(tokens, tmp_path)
    second.fit(Recorder())
    text = capsys.readouterr().out
    assert f"{folder / FILE} is damaged" in text
    assert "resumes from update 28" in text
    assert outcome(second) == uninterrupted
    assert {path.name for path in folder.iterdir()} == {FILE, BEFORE, f"{FILE}.damaged"}


def test_without_the_last_checkpoint_the_previous_one_is_used(tokens, tmp_path, uninterrupted, capsys):
    (interrupted(tokens, tmp_path) / FILE).unlink()
    second = trainer(tokens, tmp_path)
    assert second.checkpoints.exists()
    second.fit(Recorder())
    assert "resumes from update 28" in capsys.readouterr().out
    assert outcome(second) == uninterrupted


def test_with_both_damaged_it_begins_at_the_start(tokens, tmp_path, uninterrupted, capsys):
    folder = interrupted(tokens, tmp_path)
    flip_tensor(folder / FILE)
    truncate(folder / BEFORE)
    second = trainer(tokens, tmp_path)
    second.fit(Recorder())
    text = capsys.readouterr().out
    assert "resumes from update" not in text
    assert "training resumes from the start" in text
    assert outcome(second) == uninterrupted


def test_a_full_disk_raises_the_system_s_error_with_the_file(tmp_path, monkeypatch):
    def full(*arguments, **named):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        Checkpoints("f" * 40, tmp_path).save({"a": torch.zeros(3)}, {})
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename.endswith(f"{FILE}.new")


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(tmp_path):
    project = projects.make(tmp_path, [*projects.TINY, "train.dropout=0.0"])
    for stage in ("ingest", "clean", "tokenize"):
        projects.call(project, "-m", "seq2seq", stage)
    curves = {}
    for processes in ("1", "2"):
        shutil.rmtree(project / ".checkpoints", ignore_errors=True)
        done = projects.call(project, "-m", "seq2seq", "train", SEQ2SEQ_PROCESSES=processes)
        assert done.stdout.count("best perplexity") >= 1
        with (project / "reports/curve.csv").open() as file:
            curves[processes] = [float(row["validation_loss"]) for row in csv.DictReader(file)]
    assert curves["2"] == pytest.approx(curves["1"], rel=1e-4)


def test_a_resumed_training_keeps_its_threads_and_kind_of_products(tokens, tmp_path, monkeypatch, capsys):
    def pull(step: int) -> None:
        if step == 20:
            raise ZeroDivisionError

    monkeypatch.setenv("SEQ2SEQ_BF16", "native")
    with pytest.raises(ZeroDivisionError):
        trainer(tokens, tmp_path, precision="bf16").fit(Recorder(pull))
    monkeypatch.delenv("SEQ2SEQ_BF16")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(precision, "native_share", lambda: 9.0)
    asked: list[int | None] = []
    monkeypatch.setattr(train, "keep_threads", lambda who, kept: asked.append(kept))
    precision._print_once.cache_clear()
    capsys.readouterr()
    again = trainer(tokens, tmp_path, precision="bf16", updates=21)
    again._resume()
    assert not again.precision.emulated
    assert capsys.readouterr().err == "bf16: native products on this cpu (as the checkpoint has it)\n"
    assert asked == [torch.get_num_threads()]
    assert (again.state.threads, again.state.bf16) == (torch.get_num_threads(), "native")


def test_a_checkpoint_of_another_type_of_device_does_not_set_threads_and_products(
    tokens, tmp_path, monkeypatch, capsys
):
    def pull(step: int) -> None:
        if step == 20:
            raise ZeroDivisionError

    monkeypatch.setenv("SEQ2SEQ_BF16", "native")
    with pytest.raises(ZeroDivisionError):
        trainer(tokens, tmp_path, precision="bf16").fit(Recorder(pull))
    monkeypatch.delenv("SEQ2SEQ_BF16")
    store = Checkpoints("x" * 40, tmp_path)
    tensors, state = store.load()
    assert state["device"] == "cpu"
    store.save(tensors, {**state, "device": "cuda", "threads": 99})
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(precision, "native_share", lambda: 9.0)
    monkeypatch.setattr(train, "keep_threads", lambda who, kept: pytest.fail("kept"))
    precision._print_once.cache_clear()
    capsys.readouterr()
    again = trainer(tokens, tmp_path, precision="bf16", updates=state["update"] + 1)
    again.fit(Recorder())
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("bf16: ")] == [
        "bf16: emulated products on this cpu (native ones take 9.00 times as long as those of float32; "
        "SEQ2SEQ_BF16 sets either)"
    ]
    assert (again.state.device, again.state.bf16) == ("cpu", "emulated")
    assert again.state.threads == torch.get_num_threads()
