"""Training to its end: it learns, also from damaged checkpoints, with graphs and in two processes."""

import csv
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from seq2seq.nn import precision
from seq2seq.training import cuda_graphs
from seq2seq.training.checkpoints import BEFORE, FILE, Checkpoints
from tests.support import projects
from tests.support.tape import Tape
from tests.support.trainer import Recorder, outcome, trainer


def test_the_same_seed_gives_the_same_model_and_another_another(tokens, tmp_path, uninterrupted):
    again = trainer(tokens, tmp_path / "a")
    again.fit(Recorder())
    assert outcome(again) == uninterrupted
    other = trainer(tokens, tmp_path / "b", seed=2)
    other.fit(Recorder())
    assert outcome(other) != uninterrupted


def test_with_cuda_graphs_it_is_the_same_training_and_resumes(tokens, tmp_path, monkeypatch, capsys):
    plain = trainer(tokens, tmp_path / "plain", dropout=0.0)
    plain.fit(Recorder())
    tape = Tape()
    monkeypatch.setattr("seq2seq.training.trainer.wants_graphs", lambda device: True)
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


def test_two_processes_train_the_model_of_one(tmp_path):
    project = projects.make(tmp_path, [*projects.TINY, "train.dropout=0.0"])
    for stage in ("ingest", "mix", "clean", "tokenize"):
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
    monkeypatch.setattr("seq2seq.training.trainer.keep_threads", lambda who, kept: asked.append(kept))
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
    monkeypatch.setattr("seq2seq.training.trainer.keep_threads", lambda who, kept: pytest.fail("kept"))
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
