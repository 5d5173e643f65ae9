"""A real server of a tiny model on loopback, its registry, and a load of requests."""

from __future__ import annotations

import json
import os
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch

from seq2seq.data.vocabulary import EOS
from seq2seq.nn import model_folder
from seq2seq.serving import server
from seq2seq.serving.settings import Settings
from seq2seq.serving.versions import Source
from seq2seq.tracking import client, registry, runs, version_files
from tests.support import untrained
from tests.support.waiting import wait_for

NAME = "tiny"
TEXTS = [
    "der Hund schläft im Haus",
    "die Katze läuft nicht",
    "der Hund",
    "die Katze schläft und der Hund läuft",
]


@dataclass
class Answer:
    """An answer of the server."""

    status: int
    content: Any
    headers: dict[str, str]


@dataclass
class Client:
    """Sends requests to a server, and lists the processes of its models."""

    address: str
    parent: int | None = None  # the server's process; None: this one
    others: frozenset[psutil.Process] = frozenset()  # the models' processes of other servers in it

    def workers(self) -> list[psutil.Process]:
        """The processes of models: the one started last comes last."""
        return [process for process in workers(self.parent) if process not in self.others]

    def send(
        self, path: str, data: bytes | None = None, kind: str = "application/json", **headers: str
    ) -> Answer:
        """GET, or POST with data."""
        request = urllib.request.Request(
            self.address + path,
            data,
            headers={"Content-Type": kind, **headers} if data is not None else headers,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return _answer(response.status, response)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error)

    def json(self, path: str, **fields: Any) -> Answer:
        """POST of JSON."""
        return self.send(path, json.dumps(fields).encode())

    def translate(self, q: str | list[str], **fields: Any) -> Answer:
        """A translation from German to English."""
        return self.json("/translate", **{"q": q, "source": "de", "target": "en", **fields})

    def upload(self, name: str, content: bytes, **fields: str) -> Answer:
        """A file to translate from German to English."""
        border = "limit"
        sent = {"source": "de", "target": "en", **fields}
        parts = [
            f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}' for key, value in sent.items()
        ]
        parts = [f"--{border}\r\n{part}\r\n" for part in parts]
        head = f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        data = "".join([*parts, head]).encode() + content + f"\r\n--{border}--\r\n".encode()
        return self.send("/translate_file", data, f"multipart/form-data; boundary={border}")

    def health(self) -> Any:
        """The content of /health."""
        return self.send("/health").content


def _answer(status: int, response: Any) -> Answer:
    data = response.read()
    content: Any = data
    if response.headers.get("Content-Type") == "application/json":
        content = json.loads(data)
    return Answer(status, content, {name.lower(): value for name, value in response.headers.items()})


def make_model(folder: Path, max_length: int = 12) -> Path:
    """A folder `model` with an untrained model whose translations end after some pieces."""
    folder.mkdir(parents=True, exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        untrained.make()
    finally:
        os.chdir(before)
    model = model_folder.load(folder / "model")
    with torch.no_grad():
        model.decoder.vocabulary.bias[EOS] += 3  # else no translation ends
    model_folder.save(model, folder / "model")
    decoding = {"beam": 3, "max_length": max_length, "split_sentences": True, "source_language": "de"}
    (folder / "model/decoding.json").write_text(json.dumps(decoding))
    return folder / "model"


def register(model: Path, **tags: str) -> registry.Version:
    """The model folder as a new version of NAME in the registry of the current folder."""
    files = model.parent / f"files-{len(list(model.parent.iterdir()))}"
    shutil.copytree(model, files / registry.FOLDER)
    mlflow_client = client.connect()
    experiment = runs.experiment(NAME)
    run_id = mlflow_client.create_run(experiment).info.run_id
    logged = mlflow_client.create_logged_model(experiment, source_run_id=run_id)
    mlflow_client.log_model_artifacts(logged.model_id, str(files))
    mlflow_client.finalize_logged_model(logged.model_id, "READY")
    tags = {version_files.MODEL: version_files.digest(files / registry.FOLDER), **tags}
    return registry.register_version(NAME, f"models:/{logged.model_id}", run_id, tags)


@contextmanager
def serving(model: str, **settings: Any) -> Iterator[Client]:
    """A server in a thread; its requests are finished at the end."""
    others = frozenset(workers())
    ready = threading.Event()
    found: list[Any] = []
    errors: list[BaseException] = []

    def started(running: Any, address: str) -> None:
        found.extend([running, address])
        ready.set()

    def run() -> None:
        try:
            server.run(Settings(port=0, threads=1, **settings), Source(model), started)
        except BaseException as error:
            errors.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(120)
        if errors:
            raise errors[0]
        wait_for(lambda: found[0].started, 30, "the server")
        yield Client(found[1], others=others)
    finally:
        if found:
            found[0].should_exit = True
        thread.join(60)
        assert not thread.is_alive()
    assert not errors, errors


def workers(parent: int | None = None) -> list[psutil.Process]:
    """The processes of models below this process, or another: the one started last comes last."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        with suppress(psutil.Error):
            if "seq2seq.serving.worker" in process.cmdline():
                found.append((process.create_time(), process))  # identifiers start again at their limit
    return [process for _, process in sorted(found, key=lambda one: one[0])]


@dataclass
class Load:
    """Clients that send requests all the time, until the end of the block."""

    client: Client
    clients: int = 4
    answers: list[Answer] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __enter__(self) -> Load:
        """Begin."""
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let the last requests end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def wait_for_more(self, count: int) -> None:
        """Wait for some more answers."""
        wanted = len(self.answers) + count
        wait_for(lambda: len(self.answers) >= wanted, 120, "answers", lambda: str(self.errors[:3]))

    def _run(self, number: int) -> None:
        count = 0
        while not self._stop.is_set():
            count += 1
            q: str | list[str] = TEXTS if count % 3 == 0 else TEXTS[(number + count) % len(TEXTS)]
            try:
                answer = self.client.translate(q)
            except OSError as error:
                self.errors.append(repr(error))
                continue
            self.answers.append(answer)
            if answer.status != 200:
                self.errors.append(f"{answer.status}: {answer.content}")

    def versions(self) -> set[str]:
        """The versions that answered."""
        return {answer.headers.get("x-model-version", "") for answer in self.answers}
