"""A pickle in place of any file that is loaded is refused, and nothing in it is executed."""

import ast
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from seq2seq.common import paths
from seq2seq.data import direction, vocabulary
from seq2seq.data.tokens import TokenSplit
from seq2seq.inference import decoding
from seq2seq.inference.translator import Translator
from seq2seq.nn import model_folder
from seq2seq.training import checkpoints
from tests.support.projects import ROOT

SIGN = Path("executed")
# Of one process for its own workers: `seq2seq/common/shards.py`.
ALLOWED = {"seq2seq/common/shards.py"}
LOADERS = ("pickle.load", "pickle.loads", "torch.load", "joblib.load", "dill.load", "marshal.load")


class Malicious:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return SIGN.write_text, ("executed",)


def plain(path: Path) -> None:
    path.write_bytes(pickle.dumps(Malicious()))


def zipped(path: Path) -> None:
    torch.save(Malicious(), path)


def array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([Malicious()], dtype=object), allow_pickle=True)


FORMS = pytest.mark.parametrize("plant", [plain, zipped, array])


@pytest.fixture(autouse=True)
def _not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not SIGN.exists()


def test_the_malicious_object_works():
    pickle.loads(pickle.dumps(Malicious()))
    assert SIGN.exists()
    SIGN.unlink()


@FORMS
@pytest.mark.parametrize(
    "name",
    [
        *(model_folder.WEIGHTS, model_folder.CONFIG, vocabulary.FILE, vocabulary.TARGET_FILE),
        *(direction.FILE, decoding.FILE),
    ],
)
def test_a_model_folder(unregistered, name, plant):
    plant(paths.MODEL / name)
    with pytest.raises(Exception) as caught:
        Translator.from_folder(paths.MODEL)
    assert "pickle" not in type(caught.value).__module__


@FORMS
def test_a_checkpoint(plant, capsys):
    folder = Path("kept") / "f"
    folder.mkdir(parents=True)
    for name in (checkpoints.FILE, checkpoints.BEFORE):
        plant(folder / name)
    found = checkpoints.Checkpoints("f", Path("kept"))
    assert found.find() is None
    assert found.load() is None
    assert "is damaged" in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{checkpoints.BEFORE}.damaged",
        f"{checkpoints.FILE}.damaged",
    ]


@FORMS
def test_token_ids(tokens, plant):
    copy = Path("tokens")
    shutil.copytree(tokens, copy)
    for path in copy.rglob("*.npy"):
        plant(path)
    with pytest.raises((ValueError, TypeError)):
        TokenSplit(copy, "train")


@pytest.mark.slow
def test_no_module_unpickles():
    found = set()
    for path in [*(ROOT / "seq2seq").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                text = ast.unparse(node)
                if text.startswith(LOADERS) or "allow_pickle=True" in text:
                    found.add(path.relative_to(ROOT).as_posix())
    assert found == ALLOWED
