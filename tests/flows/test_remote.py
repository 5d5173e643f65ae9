"""The DVC remote of a scheduled run: errors name it and the remedy, an unchanged lock is pushed once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from flows import remote
from flows.remote import Remote
from seq2seq.common.errors import TransientError, UserError

STORE = Remote("store", "s3://bucket/project")


def child(status: int = 0, error: str = "", timed_out: bool = False):
    return lambda *_: SimpleNamespace(status=status, error=error, timed_out=timed_out)


# Messages of DVC with an S3 store.
@pytest.mark.parametrize(
    ("error", "kind", "remedy"),
    [
        (
            'Could not connect to the endpoint URL: "http://127.0.0.1:1/dvc/runs"',
            TransientError,
            "endpointurl",
        ),
        ("unexpected error - Please reduce your request rate. (SlowDown)", TransientError, "endpointurl"),
        (
            "An error occurred (403) when calling the HeadObject operation: Forbidden",
            UserError,
            "AWS_ACCESS_KEY_ID",
        ),
        ("The request signature we calculated does not match (SignatureDoesNotMatch)", UserError, "its keys"),
        ("Unable to locate credentials", UserError, "remote modify --local store"),
        ("s3 is supported, but requires 'dvc-s3' to be installed", UserError, "seq2seq[services]"),
    ],
)
def test_an_error_names_remote_and_remedy(monkeypatch, error, kind, remedy):
    monkeypatch.setattr(remote, "Child", child(255, error))
    with pytest.raises(kind) as raised:
        remote.fetch(STORE, print)
    assert str(raised.value).startswith("the DVC remote store (s3://bucket/project) cannot be read: ")
    assert error in str(raised.value)
    assert remedy in str(raised.value)


def test_a_timeout_may_pass(monkeypatch):
    monkeypatch.setattr(remote, "Child", child(timed_out=True))
    with pytest.raises(TransientError, match="timed out"):
        remote.fetch(STORE, print)


def test_a_lock_is_pushed_once_to_each_remote(monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text("1")
    calls: list[str] = []

    def push(module, arguments, *_):
        calls.append(arguments[1])
        return SimpleNamespace(status=0, error="", timed_out=False)

    monkeypatch.setattr(remote, "Child", push)
    for _ in range(2):
        remote.push(STORE, print)
    assert calls == ["push"]
    (tmp_path / "dvc.lock").write_text("2")
    remote.push(STORE, print)
    remote.push(Remote("other", "s3://elsewhere"), print)
    assert calls == ["push"] * 3


def test_a_failed_push_is_tried_again(monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    monkeypatch.setattr(remote, "Child", child(255, "Could not connect to the endpoint URL"))
    with pytest.raises(TransientError, match="cannot be written"):
        remote.push(STORE, print)
    assert not remote.PUSHED.exists()


def test_outputs_that_cannot_be_restored_are_no_error(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(remote, "Child", child(1, "Could not connect"))
    remote.restore("train", lines.append)
    assert lines == [
        "train: outputs of an earlier run cannot be fetched from the DVC remote: Could not connect"
    ]


def test_the_remote_is_the_configured_default(first_ran):
    config = first_ran / ".dvc/config"
    before = config.read_text()
    assert remote.configured() is None
    named = before.replace("[core]", "[core]\n    remote = store")
    config.write_text(named)
    with pytest.raises(UserError, match="store has no url"):
        remote.configured()
    config.write_text(f"{named}\n['remote \"store\"']\n    url = s3://bucket/project\n")
    assert remote.configured() == STORE
