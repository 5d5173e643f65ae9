"""Log a model to MLflow with the code that serves it, and nothing else of this project.

Why: a registered version runs for years beside later code. It carries only the code to load a model, split
texts and translate.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import mlflow

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # MLflow warns of type hints of its own
    import mlflow.pyfunc

from seq2seq.common.requirements import pinned
from seq2seq.data import direction
from seq2seq.inference import confidence
from seq2seq.inference.decoding import FILE, Decoding

PACKAGE = Path(__file__).resolve().parents[1]
# The serving code, below PACKAGE; a test loads a version without the rest of this project.
SERVING = (
    *("__init__.py", "inference/*.py", "nn/*.py"),
    *("common/__init__.py", "common/errors.py", "common/masking.py"),
    *(
        f"data/{name}.py"
        for name in ("__init__", "direction", "placeholders", "tokens", "vocabulary", "words")
    ),
)
# Imports of that code; pinned to the installed versions, with which the scores were computed.
REQUIREMENTS = ("torch", "sentencepiece", "sentencex", "safetensors", "numpy")


def log_model(
    folder: Path,
    run_id: str,
    tracking_uri: str,
    decoding: Decoding,
    example: Sequence[str],
    calibration: Path | None = None,
) -> str:
    """Log a model folder with its code to a run; returns its URI.

    `decoding` is stored with it, as defaults of requests, and the file with the calibration of its scores.
    """
    mlflow.set_tracking_uri(tracking_uri)
    signature = mlflow.models.infer_signature(None, list(example), params=decoding._asdict())
    # Without an input schema, by which MLflow would turn null and numbers into texts, and drop columns.
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "model"
        shutil.copytree(folder, copy)
        stored = decoding.stored(direction.read(folder).source.language)
        (copy / FILE).write_text(json.dumps(stored), encoding="utf-8")
        if calibration is not None:
            shutil.copyfile(calibration, copy / confidence.FILE)
        code = copy_serving_code(Path(scratch) / PACKAGE.name)
        with mlflow.start_run(run_id=run_id):
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(PACKAGE / "inference/pyfunc.py"),
                artifacts={"model": str(copy)},
                code_paths=[str(code)],
                pip_requirements=requirements(),
                signature=signature,
                input_example=list(example),
            )
    return str(logged.model_uri)


def copy_serving_code(folder: Path) -> Path:
    """Write the files of SERVING into `folder`, which it returns."""
    for path in serving_files():
        target = folder / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return folder


def serving_files() -> list[Path]:
    """The files that SERVING names, in order, without this one: it makes versions, and serves none."""
    found = {path for pattern in SERVING for path in PACKAGE.glob(pattern)}
    return sorted(found - {Path(__file__).resolve()})


def requirements() -> list[str]:
    """The requirements of a version: MLflow adds itself."""
    return pinned(REQUIREMENTS)
