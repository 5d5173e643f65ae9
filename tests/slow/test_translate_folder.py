"""Documents of a folder or store are translated one time, by one version; a broken one stops no other."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from flows import translate_folder
from flows.stage_errors import StageError
from flows.translate_folder import Options
from seq2seq.common.errors import TransientError, UserError
from seq2seq.tracking import registry
from tests.support import serving
from tests.support.serving import NAME, TEXTS

MODEL = f"models:/{NAME}@champion"


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serving.make_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def here(tiny_model: Path, project: Path) -> Path:
    """The current folder: two versions, of which the first is champion, and a folder of documents."""
    model = project / "work/model"
    shutil.copytree(tiny_model, model)
    serving.register(model, model_digest="a" * 64)
    decoding = json.loads((model / "decoding.json").read_text())
    (model / "decoding.json").write_text(json.dumps(decoding | {"max_length": 3}))
    serving.register(model, model_digest="a" * 64)
    registry.set_alias(NAME, "champion", "1")
    documents = project / "in/sub"
    documents.mkdir(parents=True)
    (project / "in/a.txt").write_text("\n".join(TEXTS) + "\n")
    (project / "in/picture.png").write_bytes(b"\x89PNG")
    (project / "in/.hidden.txt").write_text("der Hund\n")
    (documents / "a.md").write_text(f"# {TEXTS[2]}\n\n- {TEXTS[0]}\n")
    return project


def translate(source: str, target: str, **options: object) -> dict[str, str]:
    return translate_folder.translate(source, target, MODEL, print, Options(**options))  # type: ignore[arg-type]


def test_new_and_changed_documents_are_translated_one_time(here: Path) -> None:
    first = {"a.txt": "translated", "picture.png": "no document", "sub/a.md": "translated"}
    assert translate("in", "out") == first
    out = here / "out"
    lines = (out / "a.txt").read_text().splitlines()
    assert len(lines) == len(TEXTS)
    assert all(lines)
    assert (out / "sub/a.md").read_text().startswith("# ")
    assert {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()} == {
        "a.txt",
        "sub/a.md",
        translate_folder.STATE,
    }

    (here / "in/sub/a.md").write_text(f"# {TEXTS[1]}\n")
    (here / "in/broken.po").write_bytes(b'msgid "der Hund\nmsgstr\n')
    registry.set_alias(NAME, "champion", "2")
    (out / "a.txt").unlink()  # by its user, who has taken it
    second = translate("in", "out")
    assert second == {
        "a.txt": "unchanged",
        "broken.po": "failed",
        "picture.png": "no document",
        "sub/a.md": "translated",
    }
    with pytest.raises(UserError, match=r"1 of 2 files are not wholly translated, see the log: broken\.po"):
        translate_folder.raise_for_failed(second)
    state = json.loads((out / translate_folder.STATE).read_text())
    assert {name: entry["version"] for name, entry in state.items()} == {
        "a.txt": f"{NAME}/1",
        "sub/a.md": f"{NAME}/2",
    }

    (here / "in/broken.po").unlink()
    os.utime(here / "in/a.txt", (1, 1))
    assert translate("in", "out")["a.txt"] == "unchanged"  # by its bytes
    third = translate("in", "out", again=True)
    assert {name for name, outcome in third.items() if outcome == "translated"} == {"a.txt"}
    shorter = (out / "a.txt").read_text().splitlines()
    assert len(shorter) == len(TEXTS)
    assert shorter != lines


def test_a_store_is_read_and_written(here: Path) -> None:
    store = MemoryFileSystem()
    store.store.clear()
    store.pipe_file("/in/a.txt", (here / "in/a.txt").read_bytes())
    assert translate("memory://in", "memory://out/today") == {"a.txt": "translated"}
    assert translate("in", "out")["a.txt"] == "translated"
    assert store.cat_file("/out/today/a.txt") == (here / "out/a.txt").read_bytes()
    assert translate("memory://in", "memory://out/today") == {"a.txt": "unchanged"}


def test_a_process_that_fails_as_a_whole_is_no_fault_of_the_documents(here: Path) -> None:
    files = registry.place(NAME, "1")
    assert files is not None
    for weights in files.rglob("weights.safetensors"):
        weights.write_bytes(b"")
    with pytest.raises(StageError, match=r"translate \(user\)"):
        translate("in", "out")
    assert not (here / "out").exists()


def test_files_that_cannot_be_read_are_named_and_records_left_out_too(here: Path) -> None:
    (here / "in/gone.txt").symlink_to("nowhere.txt")
    (here / "in/latin.txt").write_bytes(b"der Hund\nf\xfcr\n")
    outcomes = translate("in", "out")
    assert outcomes == {
        "a.txt": "translated",
        "latin.txt": "translated, some records left out",
        "picture.png": "no document",
        "sub/a.md": "translated",
    }
    with pytest.raises(UserError, match=r"1 of 3 files are not wholly translated, see the log: latin\.txt"):
        translate_folder.raise_for_failed(outcomes)


def test_wrong_folders_are_named(here: Path) -> None:
    with pytest.raises(UserError, match="nowhere is no folder"):
        translate("nowhere", "out")
    with pytest.raises(UserError, match="neither may be in the other"):
        translate("in", "in/out")
    with pytest.raises(UserError, match="neither may be in the other"):
        translate("in/sub", "in")
    with pytest.raises(UserError, match="nosuch://x: "):
        translate("nosuch://x", "out")
    with pytest.raises(UserError, match=r"model: models:/other@champion does not exist"):
        translate_folder.translate("in", "out", "models:/other@champion", print)
    (here / "out").mkdir()
    (here / "out" / translate_folder.STATE).write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        translate("in", "out")


def test_a_store_that_does_not_answer_may_pass(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*arguments: object, **options: object) -> None:
        raise ConnectionError("connection refused")

    monkeypatch.setattr(MemoryFileSystem, "find", away)
    with pytest.raises(TransientError, match="memory://in: connection refused"):
        translate("memory://in", "out")
