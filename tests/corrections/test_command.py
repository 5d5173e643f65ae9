"""`seq2seq corrections`: reviews without questions, for people and scripts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from seq2seq.__main__ import main
from seq2seq.common.exits import Exit
from seq2seq.corrections import data_files, store

FILES = ("corpora/corrections.jsonl", "corpora/corrections-held-out.jsonl")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, who in enumerate(("Ada", "Eve", "Ada", ""), 1):
        store.add(f"Satz {number}", f"sentence {number}", "de", "en", "m/3", who, f"sentance {number}")


def call(capsys: pytest.CaptureFixture[str], *words: str, status: int = Exit.DONE) -> str:
    assert main(["corrections", *words]) == status
    printed = capsys.readouterr()
    return printed.err if status else printed.out


def states() -> list[str]:
    return [one.state for one in store.find()]


def test_the_table_shows_those_that_wait(capsys: pytest.CaptureFixture[str]) -> None:
    store.add("\u202eböse" + "x" * 90, "b", "de", "en", "m/3", "")
    store.review([1], store.ACCEPTED, "Ann")
    header, *rows = call(capsys, "list").splitlines()
    assert header.split() == ["number", "state", "received", "who", "version", "source", "suggestion"]
    assert [row.split()[0] for row in rows] == ["2", "3", "4", "5"]
    assert "\u202e" not in rows[-1]
    assert "…" in rows[-1]
    assert max(map(len, rows)) <= 140
    assert len(call(capsys, "list", "--all").splitlines()) == 6
    assert [row.split()[0] for row in call(capsys, "list", "--all", "--who", "Ada").splitlines()[1:]] == [
        "1",
        "3",
    ]
    assert json.loads(call(capsys, "list", "--state", "accepted", "--json"))[0]["source"] == "Satz 1"
    assert "no such correction" in call(capsys, "list", "--state", "rejected")


def test_all_fields_of_some_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown = call(capsys, "show", "2-3")
    assert "translation      sentance 2" in shown
    assert "Satz 3" in shown
    assert [one["id"] for one in json.loads(call(capsys, "show", "4", "1", "--json"))] == [1, 4]
    assert "no correction 9: the last number is 4" in call(capsys, "show", "9", status=Exit.MISTAKE)


def test_corrections_are_accepted_and_rejected_by_number_range_sender_or_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(capsys, "accept", "1-2", "4", "--by", "Ann") == "accepted: 3 (1-2, 4)\n"
    assert call(capsys, "accept", "4", "3") == "accepted: 1 (3)\nalready accepted: 1\n"
    assert [one.reviewer for one in store.find()][:2] == ["Ann", "Ann"]
    assert store.find()[2].reviewer  # of git, or the login
    assert call(capsys, "reject", "1-", "--who", "Ada") == "rejected: 2 (1, 3)\n"
    assert states() == ["rejected", "accepted", "rejected", "accepted"]
    assert call(capsys, "accept", "--all") == "accepted: 0\n"  # a rejected one stays so
    store.add("neu", "new", "de", "en", "m/3", "")
    assert call(capsys, "reject", "--all") == "rejected: 1 (5)\n"


def test_a_wrong_number_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no correction 7" in call(capsys, "accept", "1", "7", status=Exit.MISTAKE)
    assert "name numbers (3 5-9), or give --all" in call(capsys, "accept", status=Exit.MISTAKE)
    assert "or give --all" in call(capsys, "accept", "1", "--all", status=Exit.MISTAKE)
    assert states() == ["new"] * 4
    for wrong in ("x", "0", "5-3", "-3", "1,2"):
        with pytest.raises(SystemExit):
            main(["corrections", "accept", wrong])
    assert "argument NUMBER" in capsys.readouterr().err


def test_an_export_prints_its_counts_and_the_next_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no accepted correction" in call(capsys, "export", status=Exit.MISTAKE)
    call(capsys, "accept", "--all")
    printed = call(capsys, "export", "--share", "0")
    assert f"{FILES[0]}: 4 pairs de → en\n{FILES[1]}: 0 pairs held out" in printed
    assert f"note: {FILES[1]} is empty" in printed
    assert "seq2seq corrections export --track" in printed
    assert "; unchanged" in call(capsys, "export", "--share", "0")
    mine = Path("other/mine.jsonl")
    assert "other/mine-held-out.jsonl: " in call(capsys, "export", str(mine))
    assert mine.exists()
    for words, message in (
        (["x.tsv"], "have to end with .jsonl"),
        (["x.jsonl", "--held-out", "./x.jsonl"], "cannot be both files"),
        (["--from", "de"], "give both --from and --to"),
    ):
        assert message in call(capsys, "export", *words, status=Exit.MISTAKE)


def test_files_that_are_tracked_stay_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked: list[list[str]] = []
    monkeypatch.setattr(data_files, "track", lambda files: tracked.append([str(file) for file in files]))
    call(capsys, "accept", "--all")
    call(capsys, "export")
    assert tracked == []
    assert f"git add {FILES[0]}.dvc {FILES[1]}.dvc" in call(capsys, "export", "--track")
    Path(f"{FILES[0]}.dvc").touch()
    call(capsys, "export")
    assert tracked == [[*FILES], [*FILES]]


def test_the_reason_of_dvc_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "ERROR: you are not inside of a DVC repository\n")

    monkeypatch.setattr("seq2seq.corrections.data_files.subprocess.run", fail)
    with pytest.raises(ValueError, match=r"dvc add x\.jsonl: you are not inside of a DVC repository"):
        data_files.track([Path("x.jsonl")])
