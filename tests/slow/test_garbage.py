"""`seq2seq gc` in a project that has run: the champion translates on, and its corpus comes back."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support import projects


def test_the_champion_translates_and_its_corpus_is_restored(by_hand: Path, tmp_path: Path) -> None:
    project = projects.copy(by_hand, tmp_path)
    projects.call(project, "-m", "flows", "promote")
    cache = project / ".dvc/cache/files/md5"
    orphan = cache / "00" / (30 * "0")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_text("nobody names it")
    # The folder goes on to another corpus: only the registry names the champion's.
    lock = (project / "dvc.lock").read_text()
    shutil.rmtree(project / "data")
    (project / "dvc.lock").unlink()
    before = set(cache.glob("??/*"))
    translate = ("-m", "flows", "translate", "Der Hund schläft.")
    answer = projects.call(project, *translate).stdout
    shown = projects.call(project, "-m", "flows", "gc", "--older-than", "0").stdout
    assert "stays: grammar-tiny version 1: alias challenger, champion" in shown
    assert orphan.exists()
    projects.call(project, "-m", "flows", "gc", "--older-than", "0", "--delete")
    assert not orphan.exists()
    assert projects.call(project, *translate).stdout == answer
    gone = before - set(cache.glob("??/*"))
    assert gone
    # The corpus of the champion is there still, as its dvc.lock names it.
    (project / "dvc.lock").write_text(lock)
    projects.call(project, "-m", "dvc", "checkout", "tokenize", "clean", "mix")
    assert (project / "data/corpus/train.parquet").is_file()
    assert (project / "data/tokens/train.source.ids").is_file()
