"""Damaged outputs are removed, edited ones are not."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from seq2seq.common import integrity
from seq2seq.common.integrity import DamagedError
from tests.support.toy import cached, flip, overwrite, truncate
from tests.support.two_stages import dvc


def listing() -> Path:
    """The object that lists the files of `out`."""
    (md5,) = [out.md5 for out in integrity.recorded() if out.path == "out"]
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


def test_sound_outputs_stay(first_ran: Path) -> None:
    integrity.check_inputs("second")
    assert integrity.check_outputs("first") == []
    assert integrity.remove_bad_lists("first") == []


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("name", ["out/a.txt", "out/b.txt", "one.txt"])
def test_a_damaged_object_restored_by_dvc_is_found(first_ran: Path, name: str, damage) -> None:
    bad = cached(first_ran / name)
    damage(bad)
    out = name.split("/")[0]
    subprocess.run(["rm", "-r", out], check=True)
    dvc("checkout", out)
    with pytest.raises(
        DamagedError, match=rf"{out} is damaged.*{bad}.*stage first will recreate it"
    ) as caught:
        integrity.check_inputs("second")
    assert caught.value.stages == ["first"]
    assert not bad.exists()
    assert not (first_ran / out).exists()
    dvc("repro")
    assert (first_ran / "two.txt").read_text() == "input" * 100 + "one\n"


def test_a_damaged_copy_of_a_sound_object_is_restored(first_ran: Path) -> None:
    dvc("status")  # writes the files of this copy into DVC's record of sound ones
    before = (first_ran / "one.txt").stat()
    with (first_ran / "one.txt").open("r+b") as file:
        file.write(b"One")
    os.utime(first_ran / "one.txt", ns=(before.st_atime_ns, before.st_mtime_ns))  # like a failing disk
    with pytest.raises(DamagedError, match=r"one\.txt is damaged"):
        integrity.check_inputs("second")
    dvc("repro")
    assert (first_ran / "two.txt").read_text() == "input" * 100 + "one\n"


def test_an_edited_output_is_not_damaged(first_ran: Path) -> None:
    (first_ran / "out/a.txt").write_text("mine")
    (first_ran / "one.txt").write_text("mine")
    integrity.check_inputs("second")
    assert (first_ran / "out/a.txt").read_text() == "mine"


def test_a_damaged_list_of_files_is_removed_and_written_again(first_ran: Path) -> None:
    flip(listing())
    assert integrity.remove_bad_lists("first") == [listing()]
    subprocess.run(["rm", "-r", "out"], check=True)
    dvc("repro", "-s", "first")
    assert hashlib.md5(listing().read_bytes()).hexdigest() == listing().parent.name + listing().stem


def test_a_list_that_names_another_file_is_found(first_ran: Path) -> None:
    entries = json.loads(listing().read_text())
    entries[0]["relpath"] = "other.txt"
    overwrite(listing(), json.dumps(entries).encode())
    subprocess.run(["rm", "-r", "out"], check=True)
    dvc("checkout", "out")
    assert (first_ran / "out/other.txt").exists()
    with pytest.raises(DamagedError, match="out is damaged"):
        integrity.check_inputs("second")
    dvc("repro")
    assert (first_ran / "two.txt").read_text() == "input" * 100 + "one\n"


def test_outputs_of_dvc_2_stay(first_ran: Path) -> None:
    lock = first_ran / "dvc.lock"
    lock.write_text(lock.read_text().replace("      hash: md5\n", ""))
    assert integrity.recorded() == []
    (first_ran / "one.txt").write_text("mine")
    integrity.check_inputs("second")
    assert integrity.check_outputs("first") == []
    assert (first_ran / "one.txt").read_text() == "mine"
