"""Alerts and the text of verdicts."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from flows import alerts
from flows.stage_errors import REMEDIES, QualityStageError, StageError
from flows.verdict import Verdict, markdown, notice
from seq2seq.common import params, paths, webhook
from seq2seq.common.errors import Figure, QualityError, TransientError, UserError
from seq2seq.gate.policy import Criterion
from tests.support.webhook import listener


def a_run(failure: BaseException | None) -> tuple[Any, Any, Any]:
    state = SimpleNamespace(
        name="Failed",
        message="it says why",
        is_failed=lambda: failure is not None,
        result=lambda raise_on_failure: failure,
    )
    return SimpleNamespace(name="retrain"), SimpleNamespace(name="grey-owl", id="42"), state


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of sent alerts is in the current folder."""
    monkeypatch.chdir(tmp_path)


def test_an_alert_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as (posted, url):
        monkeypatch.setenv(alerts.URL, url)
        alerts.notify_failure(*a_run(StageError("train", "system", "No space left on device: model")))
        alerts.notify_failure(*a_run(TransientError("no answer")))
        alerts.notify_failure(*a_run(None))
        alerts.notify_failure(*a_run(params.ParamsError("params.yaml cannot be used")))
    line = "retrain failed: stage train (system) No space left on device: model"
    assert posted[0]["text"] == f"{line}; {REMEDIES['system']}"
    assert posted[0]["remedy"].startswith("see to the disk")
    assert (posted[0]["flow_run_id"], posted[0]["stage"], posted[0]["class"]) == ("42", "train", "system")
    assert posted[1]["text"] == f"retrain failed: (transient) no answer; {REMEDIES['transient']}"
    assert posted[2]["text"] == "retrain failed: (crash) it says why"
    assert posted[3]["text"] == f"retrain failed: (user) params.yaml cannot be used; {REMEDIES['user']}"


def test_an_alert_about_quality_has_figure_limit_and_remedy() -> None:
    figure = Figure("share of train kept", "31%", "50%", "clean.min_kept", "lower clean.min_kept")
    whole = ("share of train kept", "31%", "50%", "clean.min_kept")
    for failure in (QualityStageError("clean", str(figure), figure), QualityError(figure)):
        body = alerts.notice(*a_run(failure))
        assert body["class"] == "quality"
        assert "share of train kept is 31%, clean.min_kept allows 50%" in body["text"]
        assert "the champion stays" in body["text"]
        assert "seq2seq run --accept REASON" in body["remedy"]
        assert tuple(body[key] for key in ("figure", "value", "limit", "key")) == whole
    final = QualityStageError("clean", str(figure), figure._replace(acceptable=False))
    assert "--accept" not in alerts.notice(*a_run(final))["text"]
    again = pickle.loads(pickle.dumps(QualityStageError("clean", "m", figure)))
    assert (again.stage, again.message, again.figure) == ("clean", "m", figure)
    assert pickle.loads(pickle.dumps(QualityError(figure, "text"))).figure == figure


def test_a_rejection_is_sent_with_the_sentences_that_got_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths.REPORTS.mkdir()
    lost = {
        "source": "Drei | Hunde",
        "reference": "Three dogs",
        "champion": "Three dogs",
        "challenger": "A dog",
    }
    paths.EVIDENCE.write_text(json.dumps({"regressions": [lost] * 10}))
    criteria = (Criterion("gain", False, "-1.00 BLEU", "more"), Criterion("slice x", None, "30 | 1", "none"))
    verdict = Verdict("rejected", "it lost", "m", "3", "2", "now", "me@here", "42", criteria, 1.5, {})
    body = notice("retrain", SimpleNamespace(name="otter", id="42"), verdict)
    assert body["text"].startswith(
        "retrain: m is rejected, version 2 stays: it lost\n\nsource: Drei | Hunde\n"
    )
    assert body["text"].count("challenger: A dog") == 3
    assert (body["class"], body["flow_run_id"], body["message"]) == ("rejected", "42", "it lost")
    assert body["remedy"].startswith(f"{tmp_path}/reports/report.html has the details; ")
    assert body.keys() == alerts.notice(*a_run(UserError("x"))).keys()

    page = markdown(verdict).splitlines()
    assert page[0] == "**rejected**: it lost"
    assert "| gain | **not met** | -1.00 BLEU | more |" in page
    assert "| slice x |  | 30 \\| 1 | none |" in page
    assert page.count("- source: Drei \\| Hunde") == 3
    with listener() as (posted, url):
        monkeypatch.setenv(alerts.URL, url)
        assert alerts.send_alert(lambda: body)
    assert posted == [body]


def test_a_verdicts_page_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths.REPORTS.mkdir()
    secret = "hunter2secret"
    text = f"see https://me:{secret}@tracker.example/x"
    keys = ("source", "reference", "champion", "challenger")
    paths.EVIDENCE.write_text(json.dumps({"regressions": [dict.fromkeys(keys, text)]}))
    criteria = (Criterion(text, False, text, text),)
    page = markdown(Verdict("rejected", text, "m", "3", "2", "now", "me@here", "42", criteria, 1.5, {}))
    assert secret not in page
    assert page.count("tracker") == 1 + 3 + 4


def test_an_alert_that_cannot_be_sent_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(alerts.URL, "http://127.0.0.1:1/")
    with caplog.at_level("ERROR", "prefect.flow_runs"):
        logging.getLogger("prefect.flow_runs").addHandler(caplog.handler)  # Prefect's do not propagate
        assert not alerts.send_alert(lambda: alerts.notice(*a_run(UserError("x"))))
        assert "the notice could not be sent" in caplog.text
        with listener(302) as (_, url):  # a login page accepts no alert
            monkeypatch.setenv(alerts.URL, url)
            assert not alerts.send_alert(lambda: {"text": "x"})
    assert "answers with status 302" in caplog.text
    monkeypatch.delenv(alerts.URL)
    monkeypatch.setattr("prefect.variables.Variable.get", lambda *_, **__: None)
    assert not alerts.send_alert(lambda: {"text": "x"})


def test_an_answer_that_trickles_in_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    class Response(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            read.append("a byte")
            yield b"."

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Response())

    client = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(httpx, "stream", client.stream)
    monkeypatch.setattr(httpx, "post", client.post)
    webhook.post("http://somewhere/", {"text": "x"})
    assert not read
