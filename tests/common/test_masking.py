"""Masking of secrets in texts, errors and notices."""

from __future__ import annotations

import logging
import pickle

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flows import alerts
from flows.stage_errors import StageError
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.masking import mask

SECRET = "hunter2secret"


@pytest.mark.parametrize(
    "text",
    [
        f"https://me:{SECRET}@git.example/x.git",
        f"https://{SECRET}@git.example/x.git",
        f"fatal: unable to access 'https://x-access-token:{SECRET}@git.example/': 403",
        f"postgresql+asyncpg://u:{SECRET}@db/prefect",
        f"http://me:{SECRET}/with@slash@tracker:5000/api",
        f"http://a:{SECRET}@b,http://c:{SECRET}@d",
        f"s3://key:{SECRET}@bucket/x",
        f"//me:{SECRET}@host/share",
        f"https://blob.example/x?sv=1&sig={SECRET}&se=2",
        f"https://s3.example/x?X-Amz-Signature={SECRET}",
        f"https://api.example/?access_token={SECRET}#x",
        *(f"https://x.example/?{name}={SECRET}" for name in ("apiKey", "AWSAccessKeyId", "client.secret")),
        f"Endpoint=sb://x;SharedAccessKey={SECRET}",
        f"x=//me:{SECRET}@host/share",
        f"Authorization: Bearer {SECRET}",
        f"Authorization = {SECRET}-and-more-of-it at 12:00",
        f"{{'authorization': 'Basic {SECRET}'}}",
        f"[(b'Authorization', b'Bearer {SECRET}')]",
        f"https://hooks.slack.com/services/T0/B0/{SECRET}",
        f"https://discord.com/api/webhooks/1/{SECRET}",
        f"https://acme.webhook.office.com/webhookb2/{SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_secrets_are_masked(text: str) -> None:
    assert SECRET not in mask(text)
    assert "***" in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        *("http://127.0.0.1:5000/api/2.0/mlflow?x=1", "http://host:80/a@b", "git@github.com:me/x.git"),
        *("me@example.org", "models:/m@champion: no such model", "sqlite:////home/me@work/mlflow.db"),
        *("Authorization required for this page", "authorization failed", "the 'authorization' header"),
        *("x;max_tokens=77", "/?tokenizer=13a&author=me", "/?sort_keys=1;monkey=2", "/?token_count=3"),
        *("corpora//a@b.tsv", "/home/me//a@b.tsv", "corpora (old)//a@b.tsv", "é//a@b.tsv"),
        *("a // b @ c", "train.batch_tokens=4096", "https://h/x#sha256=0123", "pip install https://h/x@v1"),
    ],
)
def test_other_text_stays(text: str) -> None:
    assert mask(text) == text


@given(st.text() | st.text("authorizon:=&?;keytoken/@'b*, x1"))
@example("authorization: x")
def test_masking_is_idempotent(text: str) -> None:
    assert mask(mask(text)) == mask(text)


def test_the_values_of_secret_variables_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "MLFLOW_TRACKING_PASSWORD",
        "PREFECT_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "HF_TOKEN",
        "ALERT_WEBHOOK",
    ):
        monkeypatch.setenv(name, SECRET)
        assert mask(f"it was {SECRET}.") == "it was ***."
        monkeypatch.delenv(name)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "disabled")
    monkeypatch.setenv("TOKENISER", "sentencepiece")
    assert mask("disabled: sentencepiece") == "disabled: sentencepiece"
    monkeypatch.setenv("HF_TOKEN_PATH", "/home/me/token")
    assert mask("/home/me/token is missing") == "/home/me/token is missing"


def test_errors_contain_no_secret() -> None:
    text = f"http://me:{SECRET}@tracker does not answer"
    for error in (UserError(text), TransientError(text), StageError("train", "user", text)):
        assert SECRET not in f"{error} {error!r} {error.args}"
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("url", "failure"),
    [
        (f"https://chat.example/services/{SECRET}", httpx.ConnectError("refused")),
        (f"https://chat.example/{SECRET}/ä", None),
        (f"https://me:{SECRET}@chat.example/x", None),
        (f"{SECRET}/no-scheme", None),
        (f"https://chat.example:{SECRET}/", None),
        (f"https://[{SECRET}/", None),
    ],
)
def test_an_alert_never_shows_its_address(
    url: str, failure: Exception | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if failure:
            raise failure
        return httpx.Response(404)

    monkeypatch.setattr(httpx, "stream", httpx.Client(transport=httpx.MockTransport(answer)).stream)
    monkeypatch.setattr("prefect.variables.Variable.get", lambda *_, **__: url)
    monkeypatch.delenv(alerts.URL, raising=False)
    with caplog.at_level("ERROR", "prefect.flow_runs"):
        logging.getLogger("prefect.flow_runs").addHandler(caplog.handler)
        assert not alerts.send_alert(lambda: {"text": "x"})
    assert "the notice could not be sent" in caplog.text
    assert SECRET not in caplog.text


def test_a_notice_contains_no_secret_and_no_mention() -> None:
    text = f"<!channel> @everyone [x](http://evil.example) http://me:{SECRET}@tracker"
    body = alerts.body(
        text, "retrain", type("Run", (), {"name": "x", "id": 1}), "Failed", "train", "user", text, text
    )
    assert SECRET not in str(body)
    assert not any(sign in body["text"] for sign in ("<!", "@everyone", "](", "http:"))
