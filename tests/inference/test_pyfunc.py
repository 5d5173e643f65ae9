"""A registered model translates row by row, for all types of input that MLflow passes on."""

import logging
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from seq2seq.common.errors import UserError
from seq2seq.inference import pyfunc
from seq2seq.inference.parts import no_text


class Upper:
    """Replaces a translator: translates to capitals, refuses more than 9 letters, warns of digits."""

    def refusals(self, texts, split_sentences=None):
        reasons = {i: no_text(text) or ("too long" if len(text) > 9 else "") for i, text in enumerate(texts)}
        return {i: reason for i, reason in reasons.items() if reason}

    def translate(self, texts, beam=1, warn=True, divide=False):
        assert divide
        assert not warn
        if beam < 1:
            raise UserError("beam: 0 is not allowed")
        return [text.upper() for text in texts]

    def warning(self, texts):
        return "; ".join(f"text {i}: odd" for i, text in enumerate(texts) if any(map(str.isdigit, text)))


@pytest.fixture
def model() -> pyfunc.TranslationModel:
    made: Any = pyfunc.TranslationModel()
    made._translator = Upper()
    return made


ONE = ["ja", None]
TABLE = pd.DataFrame({"id": ["a", "b"], "text": ONE})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (["ja", None, 5, True, {"a": 1}, float("nan"), "x" * 10, ""], ["JA", *[None] * 6, ""]),
        (pd.Series(ONE), ["JA", None]),
        (pd.DataFrame({"any": ONE}), ["JA", None]),
        (pd.DataFrame({"any": ["ja", pd.NA, pd.NaT]}), ["JA", None, None]),
        (TABLE, ["JA", None]),
        (pd.DataFrame({"id": [1, 2], "de": ONE}), ["JA", None]),
        (pd.DataFrame({"source": ONE, "target": ["x", "y"]}), ["JA", None]),
        ({"text": ONE}, ["JA", None]),
        ({"id": "a", "text": "ja"}, ["JA"]),
        ([{"id": "a", "text": "ja"}], ["JA"]),
        ([["ja"], [None]], ["JA", None]),
        (np.array(ONE), ["JA", None]),
        (np.array(["ja", "5"]), ["JA", "5"]),
        (np.array(["ja", 5]), ["JA", None]),
        (np.array(["ja", 0.5, True, "nein"]), ["JA", None, None, "NEIN"]),
        (np.array([["ja"], ["nein"]]), ["JA", "NEIN"]),
        ("ja", ["JA"]),
        ([None], [None]),
        ([], []),
        (np.array([]), []),
        (pd.DataFrame({"text": []}), []),
    ],
)
def test_each_row_is_translated_or_refused_by_itself(model, data, expected):
    assert model.predict(None, data) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([5, None], "row 0: 5 is a number, not a text; row 1: null is not a text"),
        ([True], "row 0: True is a bool, not a text"),
        (np.array([1, 2]), "row 0: 1 is a number, not a text; row 1: 2 is a number, not a text"),
        (["x" * 10], "row 0: too long"),
        (
            pd.DataFrame({"de": ["ja"], "en": ["yes"]}),
            "columns de, en: which one holds the texts",
        ),
        (pd.DataFrame({"source": ["ja"], "text": ["yes"]}), "columns source, text: which one holds"),
        ([["ja", "nein"]], "columns 0, 1: which one"),
        (pd.DataFrame({"id": [1], "n": [2]}), "columns id, n: which one"),
    ],
)
def test_input_without_any_translation_is_refused_with_the_reason_first(model, data, message):
    with pytest.raises(MlflowException) as raised:
        model.predict(None, data)
    error = raised.value
    error.message = "Failed to predict data"  # as MLflow's server does
    assert error.message.startswith(message)
    assert error.get_http_status_code() == 400
    assert len(error.serialize_as_json()) < 400


def test_settings_that_are_not_allowed_are_refused(model):
    with pytest.raises(MlflowException, match="beam: 0 is not allowed"):
        model.predict(None, ["ja"], {"beam": 0})


def test_the_log_names_refused_rows_and_doubtful_texts(model, caplog):
    with caplog.at_level(logging.WARNING, logger="seq2seq"):
        model.predict(None, ["ja", None, "a1"])
    assert caplog.messages == ["row 1: null is not a text", "text 1: odd"]


def test_a_spark_query_gets_an_empty_text_for_null(model, monkeypatch):
    context = SimpleNamespace(TaskContext=SimpleNamespace(get=lambda: object()))
    monkeypatch.setitem(sys.modules, "pyspark", context)
    assert model.predict(None, pd.DataFrame({"0": ONE})) == ["JA", ""]
