"""The promotion lock: messages while waiting, and access for its owner only."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from seq2seq.common import locks
from seq2seq.common.errors import TransientError, UserError
from seq2seq.tracking import client, registry, sqlite_store


@pytest.fixture(params=["sqlite", "server"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if request.param == "server":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:hunter2secret@tracker:5000/")
    return client.uri()


@contextmanager
def held() -> Iterator[None]:
    """Another process holds the lock."""
    holding, going_on = threading.Event(), threading.Event()

    def hold() -> None:
        with registry.promotions():
            holding.set()
            going_on.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert holding.wait(30)
    try:
        yield
    finally:
        going_on.set()
        holder.join()


def file() -> Path:
    return registry._lock_file(client.uri().rstrip("/"))


def test_only_the_owner_can_open_its_file(address: str, tmp_path: Path) -> None:
    os.umask(os.umask(0o022))
    file().touch(0o644)  # as in earlier releases
    with registry.promotions():
        assert stat.S_IMODE(file().stat().st_mode) == 0o600
    if sqlite_store.sqlite_file(address) is None:
        assert file().parent == tmp_path / "home/.cache/seq2seq/locks"
        assert stat.S_IMODE(file().parent.stat().st_mode) == 0o700


def test_a_message_names_the_lock_its_limit_and_its_holder(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "SILENCE", 0.0)
    monkeypatch.setattr("sys.argv", ["promote", "http://a:hunter2secret@b/"])
    with held():
        refusal = pytest.raises(TransientError, match=rf"held after 0\.5 s \(process {os.getpid()}, since 20")
        with refusal, registry.promotions(patience=0.5):
            raise AssertionError
        text = capsys.readouterr().err
    assert text.startswith("waiting for the promotion lock of ")
    assert text.count("\n") == 1
    assert f"process {os.getpid()}, since 20" in text
    assert text.endswith(": promote http://***@b/); at most 0.5 s\n")
    assert "hunter2secret" not in text
    with registry.promotions(patience=0.5):
        pass


def test_a_short_wait_prints_nothing(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    tried, acquire = threading.Event(), FileLock.acquire

    def second() -> None:
        with registry.promotions():
            order.append("second")

    with held():
        monkeypatch.setattr(FileLock, "acquire", lambda *a, **k: tried.set() or acquire(*a, **k))
        waiting = threading.Thread(target=second)
        waiting.start()
        assert tried.wait(30)
        time.sleep(0.3)  # long enough to pass, if nothing held the lock
        order.append("first")
    waiting.join(30)
    assert order == ["first", "second"]
    assert capsys.readouterr().err == ""


def test_a_link_in_its_place_is_not_followed(address: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    file().symlink_to(target)
    with pytest.raises(OSError), registry.promotions():
        raise AssertionError
    assert target.read_text() == "precious"


def test_without_a_home_a_folder_of_others_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    (tmp_path / "home").write_text("not a folder")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with registry.promotions():
        [folder] = tmp_path.glob("seq2seq-*")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for leftover in folder.iterdir():
        leftover.unlink()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(UserError, match="belongs to another user"), registry.promotions():
        raise AssertionError
