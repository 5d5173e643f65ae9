"""`seq2seq run --dry` with every recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.__main__ import main
from seq2seq.common import params
from tests.support import projects


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This project's tree without anything that ran, the current folder."""
    folder = projects.make(tmp_path)
    monkeypatch.chdir(folder)
    return folder


def test_from_one_recipe_to_any_other(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("local", "tatoeba-ru-en"):  # what the user brings
        [source] = params.load(project / f"recipes/{name}.yaml").ingest.sources.values()
        Path(source.path).write_text("a\tb\n")
    for recipe in sorted((project / "recipes").glob("*.yaml")):
        assert main(["run", "--dry", "--recipe", recipe.stem]) == 0
        first = capsys.readouterr().out.splitlines()[0]
        assert first.startswith(f"{recipe.stem}: ")
