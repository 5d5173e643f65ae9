"""The store keeps what is sent, once, from several processes, and each review."""

from __future__ import annotations

import multiprocessing
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from seq2seq.common import corrections_arguments as arguments
from seq2seq.common import paths
from seq2seq.common.errors import TransientError, UserError
from seq2seq.corrections import store
from seq2seq.corrections.store import Range

EACH = 15


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def send(source: str, suggestion: str = "The dog sleeps.", who: str = "Ada", translation: str = "") -> int:
    return store.add(source, suggestion, "de", "en", "grammar-de-en/3", who, translation)


def test_a_correction_is_kept_with_its_time_and_version() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    number = send(" Der Hund schläft. ", translation="The dog is sleep.\n")
    [kept] = store.find()
    assert kept._replace(received="") == store.Correction(
        id=number,
        source="Der Hund schläft.",
        suggestion="The dog sleeps.",
        translation="The dog is sleep.",
        source_language="de",
        target_language="en",
        version="grammar-de-en/3",
        who="Ada",
        received="",
        state="new",
        reviewer="",
        reviewed="",
        decision=0,
    )
    assert before <= datetime.fromisoformat(kept.received) <= datetime.now(UTC)
    assert kept.received.endswith("+00:00")


def test_a_correction_that_waits_is_stored_once_and_a_reviewed_one_again() -> None:
    first = send("a", "b")
    assert send("a", "b ", who="Eve") == first
    assert send("a", "c") != first
    store.review([first], store.REJECTED, "")
    assert send("a", "b") > first
    assert len(store.find()) == 3


def test_what_is_refused_leaves_no_row() -> None:
    for values, message in (
        (("", "b", "de", "en", "v", ""), "the source is empty"),
        (("a", "b\0", "de", "en", "v", ""), "the suggestion has a control character"),
        (("a", "b", "de", "en", "v" * 201, ""), "the version has 201"),
        (("a", "b", "de", "en", "v", "Eve\x1b"), "the sender has a control character"),
        (("a", "b", "de", "en", "v", "", "b"), "equals the translation"),
        (("a", "b", "de", "en", "v", "", "b\nc"), "the translation has several lines"),
    ):
        with pytest.raises(UserError, match=message):
            store.add(*values)
    with pytest.raises(UserError, match="source is fr"):
        store.add("a", "b", "fr", "en", "v", "", languages=("de", "en"))
    assert store.find() == []
    assert not paths.CORRECTIONS.exists()


def test_more_than_the_limit_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_NEW", 2)
    first = send("a")
    send("b")
    with pytest.raises(UserError, match="2 corrections wait for a review"):
        send("c")
    assert send("a") == first
    store.review([first], store.ACCEPTED, "")
    send("c")


def test_a_review_is_of_all_or_none_and_counted() -> None:
    numbers = [send(text) for text in "abc"]
    assert store.review(numbers[:2], store.ACCEPTED, "Eve") == numbers[:2]
    assert store.review(numbers, store.ACCEPTED, "Ann") == numbers[2:]
    assert store.review([numbers[0]], store.REJECTED, "Ann") == numbers[:1]
    found = store.find()
    assert [one.state for one in found] == ["rejected", "accepted", "accepted"]
    assert [one.reviewer for one in found] == ["Ann", "Eve", "Ann"]
    assert [one.decision for one in found] == [4, 2, 3]
    with pytest.raises(UserError, match="control character"):
        store.review(numbers, store.ACCEPTED, "\0")
    assert store.find() == found


def test_corrections_are_chosen_by_number_state_and_sender() -> None:
    for number, who in enumerate(("Ada", "Eve", "Ada", "Eve"), 1):
        assert send(f"text {number}", who=who) == number
    store.review([1], store.REJECTED, "")
    of = lambda *chosen, **more: [one.id for one in store.find(chosen, **more)]  # noqa: E731
    assert of() == [1, 2, 3, 4]
    assert of(Range(4, 4), Range(1, 2)) == [1, 2, 4]
    assert of(Range(3, None)) == [3, 4]
    assert of(state=store.NEW, sender="Ada") == [3]
    with pytest.raises(UserError, match="has no correction 7: the last number is 4"):
        of(Range(1, 1), Range(7, 7))
    with pytest.raises(UserError, match="has no correction 5-: "):
        of(Range(5, None))
    with pytest.raises(UserError, match="has no correction 1: it has none"):
        store.find([Range(1, 1)], path=Path("none.db"))
    assert store.find(path=Path("none.db")) == []
    assert not Path("none.db").exists()


def write(name: str, path: str, started: Any) -> None:
    started.wait()
    for number in range(EACH):
        store.add(f"{name} {number}", "x", "de", "en", "v", name, path=Path(path))


def test_several_processes_write_a_new_file_and_nothing_is_lost(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    path = tmp_path / "shared.db"
    running = [context.Process(target=write, args=(name, str(path), barrier)) for name in "abcd"]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * 4
    found = store.find(path=path)
    assert sorted(one.source for one in found) == sorted(f"{n} {i}" for n in "abcd" for i in range(EACH))
    assert [one.id for one in found] == list(range(1, 4 * EACH + 1))
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_readers_do_not_wait_for_a_writer_and_a_second_writer_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send("a")
    monkeypatch.setattr(store, "PATIENCE", 0.1)
    other = sqlite3.connect(paths.CORRECTIONS, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert len(store.find()) == 1
    with pytest.raises(TransientError, match=r"corrections\.db is written by other processes"):
        send("b")
    other.execute("ROLLBACK")
    other.close()
    send("b")


def test_a_file_that_is_none_or_of_a_later_release_is_named() -> None:
    paths.CORRECTIONS.write_bytes(b"no database, but a text that is long enough to be read as one" * 20)
    with pytest.raises(UserError, match=r"corrections\.db is damaged: .*restore it from a backup"):
        send("a")
    paths.CORRECTIONS.unlink()
    send("a")
    with sqlite3.connect(paths.CORRECTIONS) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(UserError, match="has format 2, this release reads 1"):
        store.find()
    with pytest.raises(UserError, match="cannot be used: unable to open database file"):
        store.add("a", "b", "de", "en", "v", "", path=Path("missing/corrections.db"))


def test_the_command_line_knows_the_states() -> None:
    assert arguments.STATES == store.STATES
