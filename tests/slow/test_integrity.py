"""Damaged outputs are removed, edited ones are not."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.common import integrity
from seq2seq.common.integrity import DamagedError
from tests.flows.test_flows import cached, flip, overwrite, truncate

# A library of DVC's own warns of itself.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")]

DAG = """
stages:
  first:
    cmd: >-
      mkdir -p out/deep && cp input.txt out/a.txt && cp input.txt out/deep/é.txt && echo b > out/b.txt
      && echo one > one.txt
    deps: [input.txt]
    outs: [out, one.txt]
  second: {cmd: cat out/a.txt one.txt > two.txt, deps: [out, one.txt], outs: [two.txt]}
"""


def dvc(*arguments: str) -> None:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-m", "dvc", "-q", *arguments], check=True, env=env)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project whose first stage has run, without git, the current folder."""
    for name, text in {
        ".dvc/config": "[core]\n    no_scm = true\n    analytics = false\n",
        "dvc.yaml": DAG,
        "input.txt": "input" * 100,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    dvc("repro", "-s", "first")
    return tmp_path


def listing() -> Path:
    """The object that lists the files of `out`."""
    (md5,) = [out.md5 for out in integrity.recorded() if out.path == "out"]
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


def test_sound_outputs_stay(project: Path) -> None:
    integrity.check_inputs("second")
    assert integrity.check_outputs("first") == []
    assert integrity.remove_bad_lists("first") == []


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("name", ["out/a.txt", "out/b.txt", "one.txt"])
def test_a_damaged_object_restored_by_dvc_is_found(project: Path, name: str, damage) -> None:
    bad = cached(project / name)
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
    assert not (project / out).exists()
    dvc("repro")
    assert (project / "two.txt").read_text() == "input" * 100 + "one\n"


def test_a_damaged_copy_of_a_sound_object_is_restored(project: Path) -> None:
    before = (project / "one.txt").stat()
    with (project / "one.txt").open("r+b") as file:
        file.write(b"One")
    os.utime(project / "one.txt", ns=(before.st_atime_ns, before.st_mtime_ns))  # like a failing disk
    with pytest.raises(DamagedError, match=r"one\.txt is damaged"):
        integrity.check_inputs("second")
    dvc("repro")
    assert (project / "two.txt").read_text() == "input" * 100 + "one\n"


def test_an_edited_output_is_not_damaged(project: Path) -> None:
    (project / "out/a.txt").write_text("mine")
    (project / "one.txt").write_text("mine")
    integrity.check_inputs("second")
    assert (project / "out/a.txt").read_text() == "mine"


def test_a_damaged_list_of_files_is_removed_and_written_again(project: Path) -> None:
    flip(listing())
    assert integrity.remove_bad_lists("first") == [listing()]
    subprocess.run(["rm", "-r", "out"], check=True)
    dvc("repro", "-s", "first")
    assert hashlib.md5(listing().read_bytes()).hexdigest() == listing().parent.name + listing().stem


def test_a_list_that_names_another_file_is_found(project: Path) -> None:
    entries = json.loads(listing().read_text())
    entries[0]["relpath"] = "other.txt"
    overwrite(listing(), json.dumps(entries).encode())
    subprocess.run(["rm", "-r", "out"], check=True)
    dvc("checkout", "out")
    assert (project / "out/other.txt").exists()
    with pytest.raises(DamagedError, match="out is damaged"):
        integrity.check_inputs("second")
    dvc("repro")
    assert (project / "two.txt").read_text() == "input" * 100 + "one\n"


def test_outputs_of_dvc_2_stay(project: Path) -> None:
    lock = project / "dvc.lock"
    lock.write_text(lock.read_text().replace("      hash: md5\n", ""))
    assert integrity.recorded() == []
    (project / "one.txt").write_text("mine")
    integrity.check_inputs("second")
    assert integrity.check_outputs("first") == []
    assert (project / "one.txt").read_text() == "mine"
