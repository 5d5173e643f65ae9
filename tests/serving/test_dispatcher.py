"""A model's process that is stopped, killed or slow; clients that leave; a queue that is full."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from seq2seq.common.errors import UserError
from seq2seq.serving import app, service
from seq2seq.serving.dispatcher import Version
from tests.support import serving
from tests.support.serving import TEXTS, Answer, Client
from tests.support.waiting import wait_for


@contextmanager
def stopped(client: Client, *requests: list[str]) -> Iterator[list[Answer]]:
    """The model's process does not work in this block, before which requests are sent, one after another.

    They have their answers after it.
    """
    process = client.workers()[-1]
    process.send_signal(signal.SIGSTOP)
    answers: list[Answer] = []
    threads = []
    begun = client.health()["waiting"]
    try:
        for number, texts in enumerate(requests):
            thread = threading.Thread(target=lambda texts=texts: answers.append(client.translate(texts)))
            threads.append(thread)
            thread.start()
            if number == 0:
                wait_for(lambda: client.health()["translating"] == len(requests[0]), 10, "the batch")
            else:
                _wait_for_queue(client, begun + sum(map(len, requests[1 : number + 1])))
        yield answers
    finally:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)
        for thread in threads:
            thread.join(60)


def _wait_for_queue(client: Client, texts: int) -> None:
    wait_for(lambda: client.health()["waiting"] == texts, 10, "the queue")


def test_requests_are_translated_together(served: Client):
    with stopped(served, ["der Hund"], TEXTS, TEXTS[:2]) as answers:
        pass
    assert [answer.status for answer in answers] == [200] * 3
    figures = served.send("/metrics").content.decode()
    sizes = [line for line in figures.splitlines() if line.startswith("seq2seq_batch_segments_bucket")]
    assert sizes
    small, large = (next(line for line in sizes if f'le="{size}.0"' in line) for size in (4, 8))
    assert float(small.split()[-1]) < float(large.split()[-1])  # a batch of 6


def test_a_full_queue_and_a_client_that_leaves(served: Client):
    with stopped(served, ["der Hund"]):
        connection = http.client.HTTPConnection(served.address.removeprefix("http://"), timeout=30)
        body = json.dumps({"q": TEXTS * 5, "source": "de", "target": "en"})
        connection.request("POST", "/translate", body, {"Content-Type": "application/json"})
        wait_for(lambda: served.health()["waiting"] == 20, 10, "the queue")
        refused = served.translate("der Hund")
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert "20 texts are waiting" in refused.content["error"]
        connection.close()
        wait_for(lambda: served.health()["waiting"] == 0, 10, "the queue without that client")
    assert served.translate("der Hund").status == 200


@pytest.mark.slow
def test_a_process_that_dies_is_replaced_and_its_request_answered(served: Client):
    expected, deaths = served.translate(TEXTS).content, served.health()["process_deaths"]
    [before] = served.workers()
    with stopped(served, TEXTS) as answers:
        os.kill(before.pid, signal.SIGKILL)
    assert [(answer.status, answer.content) for answer in answers] == [(200, expected)]
    assert served.health()["process_deaths"] == deaths + 1
    assert [process.pid for process in served.workers()] != [before.pid]


def test_models_that_do_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for model, message in (("models:/x", "write models:/NAME@ALIAS"), ("nothing", "is not a model folder")):
        with pytest.raises(UserError, match=message), serving.serving(model):
            pass
    with pytest.raises(UserError, match="no model is registered yet"), serving.serving("models:/x@champion"):
        pass


def test_a_name_in_any_script_fits_into_a_header():
    version = Version("模型", "3", Path("model"))
    assert app._answered(service.Answer({}, version)).headers["x-model-version"] == "%E6%A8%A1%E5%9E%8B/3"
    assert "x-model-version" not in app._answered(service.Answer({}, None)).headers
