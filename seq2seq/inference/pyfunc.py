"""The translator as an MLflow model: texts in, texts out, for `mlflow models serve` and others.

Why: a registered model must run anywhere with its own code, requirements and decoding settings, without
this project. MLflow executes this file to load a model ("models from code"), hence the call in the last
line.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import mlflow
import mlflow.exceptions
import numpy
import pandas
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # MLflow warns of type hints of its own
    import mlflow.pyfunc

from seq2seq.common.errors import UserError
from seq2seq.inference.doubts import summary
from seq2seq.inference.translator import Translator

COLUMNS = ("source", "text", "inputs")  # names of the column of texts among several
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?|nan|-?inf")
LOG = logging.getLogger("seq2seq")


class TranslationModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model folder behind MLflow's interface."""

    def load_context(self, context: Any) -> None:
        """Read the model folder among the version's files."""
        self._translator = Translator.from_folder(context.artifacts["model"])

    # From a type hint on lists MLflow would infer a signature; with a DataFrame it keeps the given one.
    def predict(
        self, context: Any, model_input: pandas.DataFrame, params: dict[str, Any] | None = None
    ) -> list[str | None]:
        """The translation of each text of a list, an array, a Series, or a table with one column of texts.

        Of several columns the one named `source`, `text` or `inputs` is used. `params` may hold beam,
        length_penalty, max_length, precision, split_sentences. A sentence whose translation does not end is
        translated in parts, as by the command line. A row that is null, not a text or too long gives None
        (see `missing`) and a line in the log with the reason. Raises Refusal for settings that are not
        allowed, for a table without such a column, and if all rows other than null are refused.
        """
        values = rows(model_input)
        try:
            settings = params or {}
            refused = self._translator.refusals(values, settings.get("split_sentences"))
            texts = [value for row, value in enumerate(values) if row not in refused]
            found = iter(self._translator.translate(texts, **settings, warn=False, divide=True))
        except UserError as error:
            raise Refusal(str(error)) from None
        if refused:
            reason = summary((f"row {row}", [reason]) for row, reason in refused.items())
            if not texts and any(value is not None for value in values):
                raise Refusal(reason)
            LOG.warning("%s", reason)
        if doubts := self._translator.warning(texts):
            LOG.warning("%s", doubts)
        return [missing() if row in refused else next(found) for row in range(len(values))]


class Refusal(mlflow.exceptions.MlflowException):  # type: ignore[misc]
    """Input that cannot be translated: status 400, and a message that begins with the reason."""

    def __init__(self, message: str) -> None:
        super().__init__(message, INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """The reason alone."""
        return str(self.args[0])

    @message.setter
    def message(self, value: str) -> None:
        """Ignored: MLflow's server would prepend the whole input."""


def missing() -> str | None:
    """The result of a refused row: None; in Spark an empty text, as MLflow would write None as "nan"."""
    spark = sys.modules.get("pyspark")
    return "" if spark is not None and spark.TaskContext.get() is not None else None


def rows(data: Any) -> list[Any]:
    """The values to translate, missing ones as None; raises Refusal if the column of texts is ambiguous."""
    if isinstance(data, Mapping):
        listed = any(isinstance(column, list | tuple | numpy.ndarray) for column in data.values())
        data = pandas.DataFrame(data if listed else [data], dtype=object)
    elif isinstance(data, list) and data and all(isinstance(row, Mapping | list) for row in data):
        data = pandas.DataFrame(data, dtype=object)
    elif isinstance(data, numpy.ndarray) and data.ndim == 2:
        data = pandas.DataFrame(_as_sent(data), dtype=object)
    if isinstance(data, pandas.DataFrame):
        data = data[_column(data)] if data.shape[1] != 1 else data.iloc[:, 0]
    elif isinstance(data, numpy.ndarray):
        data = _as_sent(data.reshape(-1))
    elif not isinstance(data, pandas.Series | list | tuple):
        data = [data]
    return [None if pandas.api.types.is_scalar(value) and pandas.isna(value) else value for value in data]


def _column(table: pandas.DataFrame) -> Any:
    """Of several columns the one of texts: by its name, or as the only one that contains texts."""
    names = list(table.columns)
    named = [name for name in names if name in COLUMNS]
    texts = [name for name in names if any(isinstance(value, str) for value in table[name])]
    for found in (named, texts):
        if len(found) == 1:
            return found[0]
    raise Refusal(
        f"columns {', '.join(map(str, names)) or 'none'}: which one holds the texts is not clear; "
        f"send that one alone, or name it {' or '.join(COLUMNS)}"
    )


def _as_sent(values: numpy.ndarray[Any, Any]) -> list[Any]:
    """An array's values; numbers that NumPy converted to texts, as they were among texts, as numbers again.

    MLflow's server converts a JSON list to an array, which NumPy makes wide enough for any number: an array
    wider than its longest text contained numbers. Among longer texts they cannot be distinguished.
    """
    found: list[Any] = values.tolist()
    flat = values.reshape(-1).tolist()
    if values.dtype.kind != "U" or values.dtype.itemsize // 4 <= max(map(len, flat), default=0):
        return found

    def original(value: Any) -> Any:
        if isinstance(value, list):
            return [original(one) for one in value]
        if value in ("True", "False"):
            return value == "True"
        try:
            return float(value) if NUMBER.fullmatch(value) else value
        except ValueError:
            return value

    return [original(value) for value in found]


mlflow.models.set_model(TranslationModel())
