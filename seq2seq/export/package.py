"""Writes a model as a folder that translates with onnxruntime: graphs, vocabulary, settings, code.

Why: PyTorch takes most of the disk, the memory and the start of a small translator. The folder has a copy of
the code that it needs, so that it stays as it is when this project changes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from seq2seq.common.requirements import pinned
from seq2seq.data import direction
from seq2seq.data.vocabulary import FILE, TARGET_FILE, Vocabulary
from seq2seq.export import graphs
from seq2seq.export.builder import Precision
from seq2seq.export.search import ENCODER, STEP
from seq2seq.export.translator import DECODING
from seq2seq.inference.decoding import Decoding
from seq2seq.inference.decoding import read as read_decoding
from seq2seq.nn import model_files, model_folder

PACKAGE = Path(__file__).resolve().parents[1]
PROGRAM = "translate.py"
# The code of the folder, below PACKAGE; none of it imports PyTorch.
CODE = (
    *("common/errors.py", "common/masking.py", "data/placeholders.py", "data/vocabulary.py", "data/words.py"),
    *("export/search.py", "export/translator.py"),
    *(f"inference/{name}.py" for name in ("clauses", "hypothesis", "parts", "protection", "sentences")),
)
REQUIREMENTS = ("numpy", "onnxruntime", "sentencepiece", "sentencex")
ABOUT = "export.json"
README = """# A translation model as ONNX

    pip install -r requirements.txt
    python translate.py "TEXT"
    python translate.py --beam 1 < lines.txt > translated.txt

`encoder.onnx` and `step.onnx` are the model, for onnxruntime; `vocabulary.model` is its SentencePiece model,
`decoding.json` has the settings of the search, `export.json` the origin, the sizes and, if they were
measured, quality and speed. In Python, with this folder in `sys.path`:

    from seq2seq.export.translator import OnnxTranslator
    print(OnnxTranslator("FOLDER").translate(["TEXT"]))
"""


def write(model: Path, folder: Path, precision: Precision, name: str) -> dict[str, Any]:
    """Export a model folder into a new `folder`; returns the record of export.json."""
    loaded = model_folder.load(model).eval()
    folder.mkdir(parents=True)
    about = {"precision": precision, "model": name, "model_digest": model_files.digest(model)}
    graphs.encoder(loaded, precision).write(folder / ENCODER, about)
    graphs.step(loaded, precision).write(folder / STEP, about)
    for file in (FILE, TARGET_FILE, direction.FILE):
        if (model / file).is_file():
            shutil.copyfile(model / file, folder / file)
    stored, language = read_decoding(model)
    sides = direction.read(model)
    settings = (stored or Decoding()).stored(language or sides.source.language)
    _write_json(folder / DECODING, settings)
    for path in CODE:
        _copy(PACKAGE / path, folder / PACKAGE.name / path)
        for parent in (folder / PACKAGE.name, (folder / PACKAGE.name / path).parent):
            (parent / "__init__.py").touch()
    _copy(PACKAGE / "export/program.py", folder / PROGRAM)
    if (licence := PACKAGE.parent / "LICENSE").is_file():  # of the code; an installed package has none here
        _copy(licence, folder / "LICENSE")
    required = pinned(REQUIREMENTS)
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in required), encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")
    config = loaded.config
    return {
        **about,
        "languages": str(sides),
        "attention": config.attention,
        "pieces": Vocabulary.load(folder).size,
        "requires": required,
        **_sizes(folder),
    }


def finish(folder: Path, record: dict[str, Any]) -> None:
    """Write export.json."""
    _write_json(folder / ABOUT, record)


def _sizes(folder: Path) -> dict[str, Any]:
    """The bytes of all files, and of those of the model with their sha256."""
    model = {
        path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.iterdir())
        if path.suffix in (".onnx", ".model")
    }
    every = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"bytes": every, "files": model}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
