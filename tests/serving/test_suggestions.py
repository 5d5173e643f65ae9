"""Suggestions of clients are checked and stored, with the translating version and without their address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi import HTTPException

from seq2seq.corrections import store
from seq2seq.serving import service, suggestions
from seq2seq.serving.dispatcher import Version
from seq2seq.serving.process import Model
from seq2seq.serving.schemas import Suggest
from tests.support.serving import Client

PAIR = {"source": "de", "target": "en"}


def test_a_suggestion_is_stored(served: Client, corrections: Path) -> None:
    sent = {"q": "der Hund", "s": "the dog", "translation": "dog dog", "version": "m/3"}
    assert served.json("/suggest", **sent, **PAIR).content == {"success": True}
    assert served.json("/suggest", q="die Katze", s="the cat", source="auto", target="en-GB").status == 200
    *_, first, second = store.find(path=corrections)
    assert (first.source, first.suggestion, first.translation) == ("der Hund", "the dog", "dog dog")
    assert (first.source_language, first.target_language, first.version) == ("de", "en", "m/3")
    assert (second.source_language, second.target_language, second.version) == ("de", "en", "model")
    assert first.who == second.who
    assert first.who.startswith("client-")
    assert "127.0.0.1" not in str(first)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"translation": " the dog"}, "the suggestion equals the translation"),
        ({"s": "the\ndog"}, "several lines"),
        ({"s": "the \x07dog"}, "a control character"),
        ({"q": "x" * 1001}, "1,000 are allowed"),
        ({"source": "fr"}, "fr is not supported"),
        ({"s": None}, "missing s"),
    ],
)
def test_a_suggestion_that_cannot_be_stored_is_refused(
    served: Client, corrections: Path, fields: dict[str, str], message: str
) -> None:
    before = store.find(path=corrections)
    answer = served.json("/suggest", **{"q": "der Hund", "s": "the dog", **PAIR, **fields})
    assert answer.status == 400
    assert message in answer.content["error"]
    assert store.find(path=corrections) == before


def test_a_version_has_a_page_where_a_server_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    version = Version("grammar de", "3", Path("x"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:secret@mlflow.example:5000/base/")
    assert service.page_of(version) == "https://mlflow.example:5000/base/#/models/grammar%20de/versions/3"
    assert service.page_of(Version("model", "", Path("x"))) is None
    for address in ("sqlite:///mlflow.db", "", "mlruns"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert service.page_of(version) is None


def test_a_store_that_cannot_be_used_is_no_mistake_of_the_client(tmp_path: Path) -> None:
    path = tmp_path / "corrections.db"
    path.write_bytes(b"no database" * 1000)
    body = Suggest(q="der Hund", s="the dog", **PAIR)
    with pytest.raises(HTTPException) as caught:
        suggestions.add(body, Model("de", "en", False), "", "", path)
    assert (caught.value.status_code, str(tmp_path) in caught.value.detail) == (503, False)


def test_pages_of_another_origin_suggest_nothing(served: Client) -> None:
    data = json.dumps({"q": "der Hund", "s": "a dog", **PAIR}).encode()
    refused = served.send("/suggest", data, Origin="https://elsewhere.example")
    assert refused.status == 403
    assert "--origin" in refused.content["error"]
