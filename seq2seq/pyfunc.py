"""The translator as MLflow's registry loads it: text in, text out, for `mlflow models serve` and others.

Why: a registered model must run anywhere with its own code, requirements and decoding settings, without
this project. MLflow executes this file when it loads a model ("models from code"), which is why the
last line does something on import.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # MLflow warns of type hints of its own
    import mlflow.pyfunc

from seq2seq.errors import UserError
from seq2seq.translator import DECODING, Translator

# What `seq2seq.translator` imports; the versions are those that the scores were made with.
REQUIREMENTS = ("torch", "sentencepiece", "safetensors", "numpy")


class TranslationModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model folder behind MLflow's interface."""

    def load_context(self, context: Any) -> None:
        """Read the model folder among the version's files."""
        self._translator = Translator.from_folder(context.artifacts["model"])

    # MLflow infers a signature from hints on lists; on a DataFrame it leaves the given one alone.
    def predict(
        self, context: Any, model_input: pandas.DataFrame, params: dict[str, Any] | None = None
    ) -> list[str]:
        """The translation of each text: of a list, a Series, or a DataFrame's first column.

        `params` may hold beam, length_penalty, max_length and precision. Raises UserError for what is
        no text.
        """
        frame = pandas.DataFrame(model_input)
        texts = frame.iloc[:, 0].tolist() if len(frame.columns) else []
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise UserError(f"row {row}: {text!r} is not a text")
        return self._translator.translate(texts, **(params or {}))


def log_model(
    folder: Path, run_id: str, tracking_uri: str, decoding: Mapping[str, Any], example: Sequence[str]
) -> str:
    """Log a model folder with its code to a run; returns the URI it can be loaded by.

    `decoding` (as `translator.Decoding`) goes with it and can be overridden at each request.
    """
    package = Path(__file__).resolve().parent
    mlflow.set_tracking_uri(tracking_uri)
    signature = mlflow.models.infer_signature(list(example), list(example), params=dict(decoding))
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "model"
        shutil.copytree(folder, copy)
        (copy / DECODING).write_text(json.dumps(decoding), encoding="utf-8")
        code = shutil.copytree(package, Path(scratch) / package.name, ignore=_no_code)
        with mlflow.start_run(run_id=run_id):
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(package / "pyfunc.py"),
                artifacts={"model": str(copy)},
                code_paths=[str(code)],
                pip_requirements=requirements(),
                signature=signature,
                input_example=list(example),
            )
    return str(logged.model_uri)


def _no_code(folder: str, names: list[str]) -> list[str]:
    """What of the package's folder is not the package, e.g. an `.env` or notes: it is not registered."""
    from seq2seq.workspace import SECRETS  # not where a model is served

    suffixes = (".py", ".yaml", ".j2", ".css")
    kept = (name for name in names if Path(folder, name).is_dir() or name.endswith(suffixes))
    ours = {name for name in kept if name != "__pycache__" and not SECRETS.search(name)}
    return [name for name in names if name not in ours]


def requirements() -> list[str]:
    """Pinned requirements as a registry knows them: `2.13.0`, also where `2.13.0+cpu` is installed."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS]


mlflow.models.set_model(TranslationModel())
