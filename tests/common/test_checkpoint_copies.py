"""Copies of checkpoints in a store: another machine goes on, and no store stops a training."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import torch
from fsspec.implementations.local import LocalFileSystem

from seq2seq.common import checkpoint_copies
from seq2seq.common.errors import TransientError, UserError
from seq2seq.training.checkpoints import Checkpoints

TRAINING = "x" * 40


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store of the environment, a folder."""
    monkeypatch.setenv(checkpoint_copies.STORE, str(tmp_path / "store"))
    return tmp_path / "store" / TRAINING


def save(machine: Path, *updates: int) -> None:
    """Checkpoints whose tensor is the number of the update, each copied before the next."""
    checkpoints = Checkpoints(TRAINING, machine)
    for update in updates:
        checkpoints.save({"a": torch.full((3,), float(update))}, {"update": update})
        checkpoints.finish()


def loaded(machine: Path) -> int | None:
    """The update from which a machine goes on."""
    found = Checkpoints(TRAINING, machine).load()
    assert found is None or found[0]["a"].tolist() == [found[1]["update"]] * 3
    return None if found is None else int(found[1]["update"])


def test_another_machine_goes_on_from_the_newest_copy(tmp_path, store):
    assert loaded(tmp_path / "a") is None
    save(tmp_path / "a", 5, 10, 15)
    assert sorted(path.name for path in store.iterdir()) == ["000000010.safetensors", "000000015.safetensors"]
    assert loaded(tmp_path / "b") == 15
    save(tmp_path / "b", 20)
    assert loaded(tmp_path / "a") == 20  # its own checkpoint is older
    assert not (tmp_path / "a" / TRAINING / checkpoint_copies.COPIED).exists()


def test_its_own_newer_checkpoint_counts(tmp_path, store, monkeypatch):
    save(tmp_path / "a", 5)
    monkeypatch.delenv(checkpoint_copies.STORE)
    save(tmp_path / "a", 10)
    monkeypatch.setenv(checkpoint_copies.STORE, str(store.parent))
    assert loaded(tmp_path / "a") == 10
    assert loaded(tmp_path / "b") == 5


def test_of_a_damaged_copy_the_one_before_is_taken(tmp_path, store, capsys):
    save(tmp_path / "a", 5, 10)
    os.truncate(store / "000000010.safetensors", 60)
    assert loaded(tmp_path / "b") == 5
    assert "copy 10 in" in capsys.readouterr().out
    assert [path.name for path in store.iterdir()] == ["000000005.safetensors"]
    os.truncate(store / "000000005.safetensors", 0)
    assert loaded(tmp_path / "c") is None
    save(tmp_path / "d", 1)
    assert loaded(tmp_path / "e") == 1


def test_another_rank_fetches_nothing(tmp_path, store):
    save(tmp_path / "a", 5)
    assert Checkpoints(TRAINING, tmp_path / "b").load(fetch=False) is None


def test_a_file_system_without_hard_links(tmp_path, store, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("no links")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    save(tmp_path / "a", 5)
    assert loaded(tmp_path / "b") == 5


def test_a_training_goes_on_without_its_store(tmp_path, store, monkeypatch, capsys):
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "put_file", fail)
        save(tmp_path / "a", 5, 10)
    assert capsys.readouterr().out.count("no answer; the training goes on") == 1  # of two in a row
    save(tmp_path / "a", 15)
    assert loaded(tmp_path / "b") == 15
    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "ls", fail)
        with pytest.raises(TransientError, match="no answer"):
            loaded(tmp_path / "c")


def test_a_store_that_hangs_holds_up_nothing_and_gets_the_last_one_later(
    tmp_path, store, monkeypatch, capsys
):
    answers, real = threading.Event(), LocalFileSystem.put_file

    def slow(*arguments: object, **options: object) -> None:
        answers.wait(60)
        real(*arguments, **options)

    monkeypatch.setattr(LocalFileSystem, "put_file", slow)
    monkeypatch.setattr(checkpoint_copies, "LAST", 0.01)
    checkpoints = Checkpoints(TRAINING, tmp_path / "a")
    for update in (5, 10, 15):
        checkpoints.save({"a": torch.full((3,), float(update))}, {"update": update})
    checkpoints.finish()
    assert "has not taken a copy in 0.01 s" in capsys.readouterr().out
    assert not list(store.iterdir())
    answers.set()
    monkeypatch.setattr(checkpoint_copies, "LAST", 60.0)
    checkpoints.finish()
    assert loaded(tmp_path / "b") == 15


def test_copies_of_a_finished_training_are_removed(tmp_path, store, monkeypatch, capsys):
    save(tmp_path / "a", 5)
    checkpoint_copies.remove(TRAINING)
    assert not store.exists()
    checkpoint_copies.remove(TRAINING)
    monkeypatch.setenv(checkpoint_copies.STORE, "nothing://x")
    checkpoint_copies.remove(TRAINING)
    assert "copies of checkpoints stay: nothing://x" in capsys.readouterr().out


def test_an_address_of_no_store_is_named(monkeypatch):
    monkeypatch.setenv(checkpoint_copies.STORE, "nothing://x")
    with pytest.raises(UserError, match="nothing://x"):
        Checkpoints(TRAINING).load()


def test_a_password_in_an_address_is_not_shown(monkeypatch):
    monkeypatch.setenv(checkpoint_copies.STORE, "sftp://me:secret@host/x")
    copies = checkpoint_copies.Copies.configured(TRAINING)
    assert copies is not None
    assert "secret" not in copies.address
