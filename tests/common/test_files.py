"""Files are replaced as a whole."""

import json

import pytest

from seq2seq.common import files


def test_json_replaces_the_former_file_and_leaves_no_draft(tmp_path):
    path = tmp_path / "facts.json"
    path.write_text("former")
    files.write_json(path, {"Größe": 1})
    assert json.loads(path.read_text("utf-8")) == {"Größe": 1}
    assert "Größe" in path.read_text("utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_keeps_the_former_file(tmp_path):
    path = tmp_path / "facts.json"
    path.write_text("former")

    def write_half() -> None:
        with files.replacing(path) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]
