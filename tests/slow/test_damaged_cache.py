"""Damaged objects of DVC's cache: made again, or fetched, or kept as the last copy."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from flows import dvc_runner
from flows.stage_errors import StageError
from tests.support.toy import cached, dvc, flip, run_stage, truncate


@pytest.mark.parametrize("damage", [flip, truncate])
def test_a_damaged_object_of_the_cache_is_removed_and_made_again(toy: Path, damage: Any) -> None:
    run_stage("first")
    bad = cached(toy / "one.txt")
    damage(bad)
    (toy / "one.txt").unlink()
    outcome, printed = run_stage("first")
    assert outcome == "ran"
    assert (
        f"first: one.txt is damaged: its hash differs from dvc.lock; removed it and the "
        f"damaged {bad} in DVC's cache, stage first will recreate it" in printed
    )
    assert (toy / "one.txt").read_text() == "input first"
    assert cached(toy / "one.txt").read_bytes() == (toy / "one.txt").read_bytes()


def test_a_damaged_input_is_made_again_before_its_stage(toy: Path) -> None:
    run_stage("first")
    (toy / "second.do").write_text("damaged first")
    outcome, printed = run_stage("second")
    assert outcome == "ran"
    assert "second: one.txt is damaged" in printed
    assert "first: works" in printed[1:]  # it was missing in the cache too


@pytest.mark.parametrize("mode", [0o444, 0o644])  # DVC itself removes a damaged object that can be written
def test_data_under_dvc_add_with_a_damaged_object_comes_from_the_remote(toy: Path, mode: int) -> None:
    dvc("add", "input.txt")
    dvc("remote", "add", "-d", "far", str(toy / "far"))
    dvc("push")
    bad = cached(toy / "input.txt")
    flip(bad)
    bad.chmod(mode)
    (toy / "input.txt").unlink()
    printed: list[str] = []
    dvc_runner.fetch("input.txt.dvc", printed.append)
    renamed = f"renamed to {bad}.damaged"
    assert printed[0] == f"input.txt is damaged in DVC's cache: {renamed}, looking in the DVC remote"
    assert (toy / "input.txt").read_text() == "input "
    assert [path.name for path in bad.parent.iterdir()] == [bad.name]


def test_a_folder_under_dvc_add_whose_list_is_damaged_too_comes_from_the_remote(toy: Path) -> None:
    bad = a_folder_under_dvc_add()
    dvc("remote", "add", "-d", "far", str(toy / "far"))
    dvc("push")
    (listing,) = Path(".dvc/cache/files/md5").glob("*/*.dir")
    flip(bad)
    flip(listing)
    shutil.rmtree("corpus")
    printed: list[str] = []
    dvc_runner.fetch("corpus.dvc", printed.append)
    assert (toy / "corpus/a.txt").read_text() == "a file"
    named = [line.split(" is damaged")[0] for line in printed if "damaged" in line]
    assert named == ["corpus", "corpus/a.txt"]


def a_folder_under_dvc_add() -> Path:
    """Makes `corpus`; the object of one of its files."""
    Path("corpus").mkdir()
    for name in ("a", "b"):
        Path("corpus", f"{name}.txt").write_text(f"{name} file")
    dvc("add", "corpus")
    return cached(Path("corpus/a.txt"))


@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_the_last_copy_of_data_under_dvc_add_is_never_removed(toy: Path, mode: int) -> None:
    dvc("add", "input.txt")
    bad = cached(toy / "input.txt")
    flip(bad)
    bad.chmod(mode)
    damaged = bad.read_bytes()
    (toy / "input.txt").unlink()
    for _ in range(2):  # the second run names it as well
        with pytest.raises(StageError, match=r"input\.txt is damaged") as caught:
            dvc_runner.fetch("input.txt.dvc", print)
        assert caught.value.kind == "user"
        assert caught.value.message == (
            "input.txt is damaged in DVC's cache and cannot be fetched: no DVC remote has it; put a copy of "
            f"your own at input.txt; the damaged bytes are kept in {bad}.damaged"
        )
        assert Path(f"{bad}.damaged").read_bytes() == damaged
        assert not (toy / "input.txt").exists()
    (toy / "input.txt").write_text("input ")
    run_stage("input.txt.dvc")
    (toy / "input.txt").unlink()
    dvc_runner.fetch("input.txt.dvc", print)
    assert (toy / "input.txt").read_text() == "input "


def test_a_damaged_file_of_a_folder_under_dvc_add_is_kept_and_the_others_too(toy: Path) -> None:
    bad = a_folder_under_dvc_add()
    flip(bad)
    shutil.rmtree("corpus")
    with pytest.raises(StageError, match=rf"corpus/a\.txt is damaged.*{bad}\.damaged"):
        dvc_runner.fetch("corpus.dvc", print)
    assert Path(f"{bad}.damaged").is_file()
    assert Path(".dvc/cache/files/md5").joinpath(*split(b"b file")).read_text() == "b file"


def split(content: bytes) -> tuple[str, str]:
    md5 = hashlib.md5(content).hexdigest()
    return md5[:2], md5[2:]


def test_a_remote_that_is_damaged_as_well_gives_nothing_back(toy: Path) -> None:
    dvc("add", "input.txt")
    dvc("remote", "add", "-d", "far", str(toy / "far"))
    dvc("push")
    flip(cached(toy / "input.txt"))
    flip(toy / "far/files/md5" / "/".join(split(b"input ")))
    (toy / "input.txt").unlink()
    with pytest.raises(StageError, match=r"input\.txt is damaged"):
        dvc_runner.fetch("input.txt.dvc", print)
    assert not (toy / "input.txt").exists()


def test_data_that_dvc_2_has_added_is_not_taken_for_damaged(toy: Path) -> None:
    content = b"line\r\n"
    folder, name = split(b"line\n")  # DVC 2 took the hash of text with the line ends of Unix
    legacy = toy / ".dvc/cache" / folder / name
    legacy.parent.mkdir(parents=True)
    legacy.write_bytes(content)
    (toy / "old.txt.dvc").write_text(f"outs:\n- md5: {folder}{name}\n  size: 6\n  path: old.txt\n")
    assert dvc_runner.fetch("old.txt.dvc", print).outcome == "restored"
    assert (toy / "old.txt").read_bytes() == content
    assert legacy.read_bytes() == content
