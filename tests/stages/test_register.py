"""Registration: identity of models, their tags, and versions that work in another process."""

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR

from seq2seq import register
from seq2seq.common import paths
from seq2seq.common.errors import TransientError, UserError
from seq2seq.gate import isolated
from seq2seq.inference import decoding, packaging
from tests.support.untrained import CHECKED, METRICS, SENTENCES, write


def test_tags_are_those_of_the_frozen_set():
    assert register.score_tags(METRICS) == {
        "bleu": "12.5",
        "chrf": "30.0",
        "ter": "52.0",
        "bleu_signature": "tok:13a",
        "chrf_signature": "nc:6",
        "ter_signature": "tok:tercom",
        "frozen_set": "news",
        "frozen_digest": "ab" * 32,
        "contaminated": "0",
    }


def test_scores_of_another_model_are_refused(unregistered):
    write(paths.METRICS, METRICS | {"model_digest": "0"})
    with pytest.raises(UserError, match=r"metrics\.json scores another model than model"):
        register.register(CHECKED)


def test_a_model_that_translates_differently_is_refused(unregistered, monkeypatch):
    monkeypatch.setattr(isolated, "query", lambda *_: ["something else"] * len(SENTENCES))
    with pytest.raises(RuntimeError, match=r"translates 'der Hund .*' as 'something else'"):
        register.check("models:/m-1", SENTENCES, decoding.Decoding(2, 1.0, 20))


@pytest.mark.slow
def test_a_server_that_fails_during_the_upload_is_a_transient_error(unregistered, monkeypatch):
    def log_model(*_):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
        raise MlflowException("gone", error_code=INTERNAL_ERROR)

    monkeypatch.setattr(packaging, "log_model", log_model)
    with pytest.raises(TransientError, match="does not answer: gone"):
        register.register(CHECKED)


def test_a_missing_file_is_named(unregistered):
    paths.SAMPLES.unlink()
    with pytest.raises(UserError, match=r"reports/samples\.json is missing"):
        register.register(CHECKED)
