"""An exported folder in this process: the texts of the translator, the refusals, the files."""

import json
from typing import Any

import pytest

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

import torch

from seq2seq.__main__ import main
from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.data.placeholders import SYMBOLS
from seq2seq.data.vocabulary import FILE, learn
from seq2seq.export.package import CODE, PACKAGE
from seq2seq.export.translator import OnnxTranslator
from seq2seq.inference.translator import Translator
from seq2seq.nn import model_folder
from seq2seq.nn.model import Config, Seq2Seq
from tests.support import untrained

TEXTS = [*untrained.SENTENCES, "", "Der Hund schläft. Die Katze läuft nicht!\n Wo ist der Hund?"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The export of an untrained model, which is in the folder `model` beside it."""
    place = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        untrained.make()
        assert main(["export", str(paths.MODEL), "--output", "exported"]) == 0
    return place / "exported"


def test_texts_are_translated_as_by_the_model(folder):
    ours, theirs = OnnxTranslator(folder, threads=1), Translator.from_folder(folder.parent / paths.MODEL)
    for beam in (1, 3):
        wanted = theirs.translate(TEXTS, beam, max_length=9, warn=False)
        assert ours.translate(TEXTS, beam, max_length=9) == wanted
    long = ["der Hund schläft im Haus, die Katze läuft nicht und " * 40]
    wanted = theirs.translate(long, 1, max_length=7, warn=False, divide=True)
    assert ours.translate(long, 1, max_length=7, divide=True) == wanted


def test_protected_spans_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    untrained.make()
    pieces, size = learn(
        untrained.SENTENCES * 20,
        algorithm="unigram",
        size=320,
        character_coverage=1.0,
        normalization="nmt_nfkc",
        symbols=SYMBOLS,
    )
    (paths.MODEL / FILE).write_bytes(pieces)
    sizes: Any = {"embedding_size": 8, "hidden_size": 8, "attention_size": 8, "layers": 1}
    torch.manual_seed(1)
    model = Seq2Seq(Config(vocabulary_size=size, attention="none", dropout=0.0, tie_embeddings=True, **sizes))
    model_folder.save(model, paths.MODEL)
    assert main(["export", str(paths.MODEL), "--output", "exported"]) == 0
    texts = ["der Hund {name} läuft auf https://example.org/a?b=1 im Haus", "die Katze. 5 km bis {x}!"]
    found = OnnxTranslator("exported", threads=1).translate(texts, 3, max_length=12)
    assert found == Translator.from_folder(paths.MODEL).translate(texts, 3, max_length=12, warn=False)
    assert "{name}" in found[0]
    assert "https://example.org/a?b=1" in found[0]


def test_mistakes_are_named(folder, tmp_path):
    ours = OnnxTranslator(folder, threads=1)
    with pytest.raises(UserError, match="beam: 0 is not allowed, it should be from 1 to 100"):
        ours.translate(["Hund"], 0)
    with pytest.raises(UserError, match="text 1: null is not a text"):
        ours.translate(["Hund", None])
    with pytest.raises(UserError, match=r"text 0: a sentence of [\d,]+ tokens is too long"):
        ours.translate(["Hund " * 900])
    with pytest.raises(UserError, match="is no folder of `seq2seq export`"):
        OnnxTranslator(tmp_path)


def test_the_folder_has_its_record_and_no_code_that_imports_pytorch(folder):
    record = json.loads((folder / "export.json").read_text())
    assert (record["precision"], record["languages"]) == ("fp32", "de → en")
    assert {"encoder.onnx", "step.onnx", "vocabulary.model"} == record["files"].keys()
    assert "evaluation" not in record
    required = (folder / "requirements.txt").read_text().split()
    assert record["requires"] == required
    assert all(line.count("==") == 1 and "+" not in line for line in required)
    copied = {path.relative_to(folder / PACKAGE.name).as_posix() for path in folder.rglob("*/*.py")}
    assert copied - {f"{name}__init__.py" for name in ("", "common/", "data/", "export/", "inference/")} == {
        *CODE
    }
    for path in folder.rglob("*.py"):
        assert "import torch" not in path.read_text("utf-8")


def test_what_stands_in_the_way_is_named(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert main(["export", "model", "--output", "exported"]) == 2
    assert "--output: exported exists: name a new folder" in capsys.readouterr().err
    assert main(["export", "nowhere", "--output", "new"]) == 2
    assert "nowhere is not a model folder" in capsys.readouterr().err
    assert main(["export", "model", "--output", "new", "--score", "no.tsv"]) == 2
    assert "--score: no.tsv is no file" in capsys.readouterr().err
    monkeypatch.setattr("seq2seq.commands.export.find_spec", lambda name: None)
    assert main(["export", "model", "--output", "new"]) == 2
    assert "onnx and onnxruntime missing: install the extra" in capsys.readouterr().err
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith("new")] == []
