"""An exported version by its own program: without PyTorch, without this checkout, measured as exported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

from seq2seq.common import paths
from seq2seq.data.corpus import read_split
from tests.support import projects

GRAPHS = ("encoder.onnx", "step.onnx")
# Stops a program that imports one of these, or a module of this project from elsewhere than its own folder.
WITHOUT = """
import runpy, sys
for name in ("torch", "mlflow", "onnx", "safetensors"):
    sys.modules[name] = None
folder, *arguments = sys.argv[1:]
sys.argv = [folder + "/translate.py", *arguments]
sys.path[0] = folder
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    found = [m.__file__ for n, m in sys.modules.items() if n.partition(".")[0] == "seq2seq" and m.__file__]
    assert found and all(path.startswith(folder) for path in found), found
"""


def export(project: Path, precision: str) -> dict:
    pairs = project / "pairs.tsv"
    rows = (f"{pair.source}\t{pair.target}\n" for pair in read_split(project / paths.CORPUS, "test"))
    pairs.write_text("".join(rows), encoding="utf-8")
    model = "models:/grammar-tiny@challenger"
    options = ["--output", precision, "--precision", precision, "--score", "pairs.tsv", "--json"]
    done = projects.call(project, "-m", "seq2seq", "export", model, *options)
    record = json.loads(done.stdout)
    assert json.loads((project / precision / "export.json").read_text()) == record
    return record


def test_a_version_translates_by_its_own_program(by_hand: Path, tmp_path: Path) -> None:
    project = projects.copy(by_hand, tmp_path)
    single, whole = export(project, "fp32"), export(project, "int8")
    found = single["evaluation"]
    assert found["same_translations"] >= 0.999 * found["sentences"], found["differing"]
    assert found["difference"] == 0
    sizes = [sum(one["files"][name]["bytes"] for name in GRAPHS) for one in (single, whole)]
    assert sizes[1] < sizes[0] / 2
    assert whole["evaluation"]["speed"].keys() == {"1", "2"}
    assert abs(whole["evaluation"]["difference"]) < 5  # of a model that hardly learnt

    texts = "Der Hund schläft.\nDie Katze schläft. Der Hund läuft.\n\n"
    program = [sys.executable, "-c", WITHOUT, str((project / "fp32").resolve())]
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        program, input=texts, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=True
    )
    translated = projects.call(
        project,
        "-m",
        "seq2seq",
        "translate",
        "--model",
        "models:/grammar-tiny@challenger",
        *texts.split("\n")[:2],
    )
    assert done.stdout == translated.stdout + "\n"
    wrong = subprocess.run(
        [*program, "--beam", "0", "x"], env=environment, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "error: beam: 0 is not allowed" in wrong.stderr
