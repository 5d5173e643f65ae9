"""A real server under load: promotions, kills, stops; clients of LibreTranslate; any request."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libretranslatepy import LibreTranslateAPI

from seq2seq.serving import alerts, follower
from seq2seq.tracking import registry
from tests.support import registered, serving
from tests.support.serving import NAME, TEXTS, Client, Load
from tests.support.waiting import ended, wait_for
from tests.support.webhook import listener

URI = f"models:/{NAME}@champion"


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, which no test changes."""
    return serving.make_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def served(tiny_model: Path) -> Iterator[Client]:
    """A server of that folder."""
    with serving.serving(str(tiny_model)) as client:
        yield client


@pytest.fixture
def two_versions(tiny_model: Path, project: Path) -> Path:
    """The current folder: a registry with two versions whose translations differ; the first is champion."""
    model = project / "work/model"
    shutil.copytree(tiny_model, model)
    serving.register(model)
    decoding = json.loads((model / "decoding.json").read_text())
    (model / "decoding.json").write_text(json.dumps(decoding | {"max_length": 3}))
    serving.register(model)
    registry.set_alias(NAME, "champion", "1")
    return project


@contextmanager
def program(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """`seq2seq serve` as a process of its own, in a group of its own."""
    command = [sys.executable, "-m", "seq2seq", "serve", "--port", "0", "--threads", "1", *arguments]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready: "), line
        yield process, Client(line.split()[1], process.pid)
    finally:
        process.kill()
        process.communicate()


def _wait_for_version(client: Client, number: str) -> None:
    wait_for(lambda: client.health()["version"]["number"] == number, 120, f"version {number}")


def _wait_for_deaths(client: Client, count: int) -> None:
    wait_for(lambda: client.health()["process_deaths"] == count, 60, "the restart")


def _refuses(client: Client) -> bool:
    try:
        client.health()
    except urllib.error.URLError as error:
        return isinstance(error.reason, ConnectionRefusedError)
    except OSError:  # not yet accepted when the server stopped to listen
        return False
    return False


def test_promotions_and_rollbacks_lose_no_request(two_versions: Path):
    with serving.serving(URI, poll=0.05, processes=2) as client, Load(client) as load:
        for number in ("2", "1", "2", "1"):
            registry.set_alias(NAME, "champion", number)
            _wait_for_version(client, number)
            load.wait_for_more(20)
    assert load.errors == []
    assert load.versions() == {f"{NAME}/1", f"{NAME}/2"}
    by_version: dict[tuple[str, str], set[str]] = {}
    for answer in load.answers:
        key = (answer.headers["x-model-version"], str(len(answer.content["translatedText"])))
        if isinstance(answer.content["translatedText"], list):
            by_version.setdefault(key, set()).add(json.dumps(answer.content))
    assert all(len(found) == 1 for found in by_version.values())  # no request has texts of two versions
    assert len(by_version) == 2
    wait_for(lambda: not client.workers(), 30, "the end of all processes")


def test_a_registry_on_a_server(tiny_model: Path, project: Path, monkeypatch: pytest.MonkeyPatch):
    """Versions are downloaded; without the server the last one serves on, and an alert goes out."""
    monkeypatch.setattr(alerts, "_sent", {})
    monkeypatch.setattr(follower, "LONG", 1.0)
    with ExitStack() as stack:
        posted, url = stack.enter_context(listener())
        monkeypatch.setenv("ALERT_WEBHOOK", url)
        with registered.server(project) as address:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            model = project / "work/模型"
            shutil.copytree(tiny_model, model)
            for _ in range(2):
                serving.register(model)
            registry.set_alias(NAME, "champion", "1")
            client = stack.enter_context(serving.serving(URI, poll=0.2))
            registry.set_alias(NAME, "champion", "2")
            _wait_for_version(client, "2")
            assert client.health()["registry"]["away_since"] is None
        wait_for(lambda: client.health()["registry"]["away_since"], 120, "the registry's absence")
        assert client.translate(TEXTS).headers["x-model-version"] == f"{NAME}/2"
        [alert] = wait_for(lambda: posted, 120, "the alert")
        assert alert["class"] == "transient"
        assert "serves on" in alert["text"]


def test_a_file_is_translated_by_one_version(two_versions: Path):
    lines = [TEXTS[number % len(TEXTS)] for number in range(1500)]
    with serving.serving(URI, poll=0.05) as client:
        expected = client.translate(TEXTS).content["translatedText"]
        answers: list[Any] = []
        content = "".join(f"{line}\n" for line in lines).encode()
        thread = threading.Thread(target=lambda: answers.append(client.upload("x.txt", content)))
        thread.start()
        wait_for(lambda: client.health()["translating"], 30, "the file", poll=0.001)
        [process] = client.workers()
        process.send_signal(signal.SIGSTOP)  # the file is not finished before the promotion
        registry.set_alias(NAME, "champion", "2")
        _wait_for_version(client, "2")
        was_running = thread.is_alive()
        process.send_signal(signal.SIGCONT)
        thread.join(120)
        path = answers[0].content["translatedFileUrl"].removeprefix(client.address)
        found = client.send(path).content.decode().split("\n")
    assert was_running, "the file was finished before the process was stopped: make it longer"
    assert found[:-1] == [expected[number % len(TEXTS)].replace("\n", "") for number in range(1500)]


def test_kills_under_load_lose_no_request(tiny_model: Path):
    with serving.serving(str(tiny_model)) as client, Load(client) as load:
        for count in range(1, 4):
            load.wait_for_more(20)
            [process] = wait_for(client.workers, 60, "the process")
            process.kill()
            _wait_for_deaths(client, count)
    assert load.errors == []


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_has_begun(tiny_model: Path, stop: signal.Signals):
    """The signal goes to the whole group, as from a terminal or a service manager."""
    with program(tiny_model.parent, "--model", "model") as (process, client):
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(client.translate(TEXTS * 100)))
        thread.start()
        wait_for(lambda: client.health()["translating"], 30, "the request", poll=0.001)
        os.killpg(process.pid, stop)
        wait_for(lambda: _refuses(client), 30, "the end of new requests")
        thread.join(60)
        assert [answer.status for answer in answers] == [200]
        assert process.wait(60) == 0


def test_a_stop_while_a_version_loads(two_versions: Path, caplog: pytest.LogCaptureFixture):
    for begun in (1, 2):  # before the process exists, and while it loads
        registry.set_alias(NAME, "champion", "1")
        with serving.serving(URI, poll=0.01) as client:
            assert client.translate("der Hund").status == 200
            registry.set_alias(NAME, "champion", "2")
            wait_for(lambda n=begun: len(client.workers()) >= n, 60, "the new process")  # type: ignore[misc]
        wait_for(lambda: not client.workers(), 30, "the end of all processes")
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_killed_server_leaves_no_process(tiny_model: Path):
    with program(tiny_model.parent, "--model", "model") as (process, client):
        assert client.translate("der Hund").status == 200
        models = client.workers()
        assert models
        process.kill()
        wait_for(lambda: all(ended(model.pid) for model in models), 30, "the end of the models' processes")


def test_libretranslatepy(served: Client):
    library = LibreTranslateAPI(served.address)
    assert library.translate(TEXTS[0], "de", "en") == served.translate(TEXTS[0]).content["translatedText"]
    assert [language["code"] for language in library.languages()] == ["de", "en"]
    assert library.detect("The dog sleeps in the house")[0]["language"] == "en"
    with pytest.raises(urllib.error.HTTPError, match="400"):
        library.translate(TEXTS[0], "fr", "en")


def test_any_request_that_the_description_allows_or_not(served: Client, tmp_path: Path):
    """The languages of valid requests are invented, hence refused: that check is left out."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.address}/openapi.json"]
    command += ["--max-examples", "20", "--exclude-checks", "positive_data_acceptance", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert served.translate(TEXTS[0]).status == 200


def test_any_text(served: Client):
    texts = st.one_of(st.text(max_size=80), st.lists(st.text(max_size=30), max_size=4))

    @given(texts, st.sampled_from(["text", "html"]), st.integers(0, 3))
    def translates(q: str | list[str], format: str, alternatives: int) -> None:
        answer = served.translate(q, format=format, alternatives=alternatives)
        if not q:
            assert answer.status == 400
        else:
            assert answer.status == 200, answer.content
            assert isinstance(answer.content["translatedText"], type(q))

    translates()


def test_a_promotion_a_bad_version_and_a_registry_that_is_away(
    tiny_model: Path, project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(alerts, "_sent", {})
    model = project / "work/model"
    shutil.copytree(tiny_model, model)
    for change in (None, {"max_length": 3}):
        if change:
            decoding = json.loads((model / "decoding.json").read_text())
            (model / "decoding.json").write_text(json.dumps(decoding | change))
        serving.register(model)
    (model / "config.json").write_text("{")
    serving.register(model)
    registry.set_alias(NAME, "champion", "1")
    uri = f"models:/{NAME}@champion"
    with listener() as (posted, url), serving.serving(uri, poll=0.1) as client:
        monkeypatch.setenv("ALERT_WEBHOOK", url)
        first = client.translate(TEXTS)
        [process] = client.workers()
        assert first.headers["x-model-version"] == f"{NAME}/1"

        registry.set_alias(NAME, "champion", "2")
        _wait_for_version(client, "2")
        second = client.translate(TEXTS)
        assert second.headers["x-model-version"] == f"{NAME}/2"
        assert second.content != first.content
        wait_for(lambda: not process.is_running(), 30, "the end of the old process")

        registry.set_alias(NAME, "champion", "3")
        wait_for(lambda: client.health()["refused_version"], 60, "the refusal")
        assert client.health()["refused_version"]["number"] == "3"
        assert client.translate(TEXTS).content == second.content
        [alert] = wait_for(lambda: posted, 10, "the alert")
        assert alert["class"] == "refused"
        assert "version 3 now, which is not taken" in alert["text"]

        registry.set_alias(NAME, "champion", "2")
        wait_for(lambda: client.health()["refused_version"] is None, 10, "the way back")
        database = project / "mlflow.db"
        database.rename(project / "away.db")
        wait_for(lambda: client.health()["registry"]["away_since"], 10, "the registry's absence")
        assert client.translate(TEXTS).content == second.content
        (project / "away.db").rename(database)
        wait_for(lambda: client.health()["registry"]["away_since"] is None, 10, "the registry")


def test_a_process_that_does_not_answer(tiny_model: Path):
    with serving.serving(str(tiny_model), timeout=1, per_client=3, api_keys=frozenset({"secret"})) as client:
        assert client.translate("der Hund").status == 403
        assert client.translate("der Hund", api_key="other").content == {"error": "Invalid API key"}
        assert client.translate("der Hund", api_key="secret").status == 200
        client.workers()[-1].send_signal(signal.SIGSTOP)
        assert client.translate("der Hund", api_key="secret").status == 504
        wait_for(lambda: client.health()["process_deaths"] == 1, 30, "the end of the process")
        assert wait_for(lambda: client.translate("der Hund", api_key="secret").status == 200, 30)
