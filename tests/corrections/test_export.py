"""An export is a function of the reviews: same bytes, a fixed share, of each source the last accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seq2seq.common.errors import UserError
from seq2seq.corrections import export, store
from seq2seq.data import held_out
from seq2seq.data.corpus import digest

FILE, HELD_OUT = Path("corpora/corrections.jsonl"), Path("corpora/corrections-held-out.jsonl")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def send(source: str, suggestion: str, languages: tuple[str, str] = ("de", "en")) -> int:
    return store.add(source, suggestion, *languages, "m/1", "")


def accept(*pairs: tuple[str, str]) -> list[int]:
    return store.review([send(*pair) for pair in pairs], store.ACCEPTED, "")


def write(**options: Any) -> export.Export:
    return export.export(FILE, HELD_OUT, **options)


def read(path: Path) -> list[tuple[str, str]]:
    return [tuple(json.loads(line).values()) for line in path.read_text("utf-8").splitlines()]


def test_the_files_have_the_accepted_pairs_in_the_order_of_their_numbers() -> None:
    numbers = [send(f"Satz {n}", f"sentence {n}") for n in range(50)]
    store.review(numbers[::-1], store.ACCEPTED, "")
    store.review(numbers[:1], store.REJECTED, "")
    send("wartet", "waits")
    found = write()
    train, held = read(FILE), read(HELD_OUT)
    assert (found.train, found.held_out) == (len(train), len(held))
    rows = [(f"Satz {n}", f"sentence {n}") for n in range(1, 50)]
    assert train == [row for row in rows if row not in held]
    assert held == [row for row in rows if export.is_held_out(row[0], 0.2)]
    assert 4 <= len(held) <= 16
    assert FILE.read_text("utf-8").startswith('{"de": "Satz ')
    assert found.changed


def test_an_export_without_a_new_review_touches_no_file() -> None:
    accept(("Grüße", "greetings"), ("b", "c"))
    write()
    before = [(path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in (FILE, HELD_OUT)]
    send("neu", "new")
    assert not write().changed
    assert before == [(p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_ino) for p in (FILE, HELD_OUT)]
    accept(("d", "e"))
    assert write().changed
    assert [path.name for path in FILE.parent.iterdir() if path.suffix != ".jsonl"] == []


def test_of_one_source_the_correction_that_was_accepted_last_is_exported() -> None:
    first, second = (send("Hund", text) for text in ("dog", "hound"))
    store.review([second], store.ACCEPTED, "")
    store.review([first], store.ACCEPTED, "")
    found = write(share=0.0)
    assert (read(FILE), found.superseded) == ([("Hund", "dog")], 1)
    store.review([first], store.REJECTED, "")
    assert (write(share=0.0).superseded, read(FILE)) == (0, [("Hund", "hound")])


def test_a_source_never_moves_between_the_files() -> None:
    texts = [f"Der Hund {n}" for n in range(2000)]
    held = {text for text in texts if export.is_held_out(text, 0.2)}
    assert 320 < len(held) < 480
    assert held == {text for text in texts if export.is_held_out(f" {text.upper()}  ", 0.2)}
    assert held < {text for text in texts if export.is_held_out(text, 0.3)}
    assert not any(export.is_held_out(text, 0.0) for text in texts)
    taken = {text for text in texts if any(digest(text) in of for of in held_out.BUCKETS.values())}
    assert taken
    assert not taken & held


def test_columns_are_the_languages_and_a_direction_has_to_be_chosen() -> None:
    with pytest.raises(UserError, match="no accepted correction: `seq2seq corrections accept NUMBER`"):
        write()
    accept(("a", "b"))
    store.review([send("c", "d", ("en", "de"))], store.ACCEPTED, "")
    with pytest.raises(UserError, match=r"several directions \(de-en, en-de\): choose one with --from"):
        write()
    assert not FILE.exists()
    assert write(share=0.0, languages=("en", "de")).columns == ("en", "de")
    assert FILE.read_text() == '{"en": "c", "de": "d"}\n'
    with pytest.raises(UserError, match="no accepted correction from fr to en"):
        write(languages=("fr", "en"))
    [one] = store.find([store.Range(1, 1)])
    assert export.columns_of(one._replace(target_language="")) == ("source", "target")
    assert export.columns_of(one._replace(target_language="de")) == ("source", "target")


def test_a_kill_before_the_end_leaves_the_former_file(monkeypatch: pytest.MonkeyPatch) -> None:
    accept(("a", "b"))
    write(share=0.0)
    before = FILE.read_bytes()
    accept(("c", "d"))

    def fail(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("seq2seq.common.files.os.fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        write(share=0.0)
    assert FILE.read_bytes() == before
    assert sorted(FILE.parent.iterdir()) == sorted([FILE, HELD_OUT])
