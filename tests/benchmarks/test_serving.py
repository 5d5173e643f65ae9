"""The benchmark of servers counts correctly, and reports its goals; no time is asserted."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import serving
from benchmarks.http_load import Load, Order
from benchmarks.serving import MLFLOW, OURS, Server, middle, percentile, report
from seq2seq.common.errors import UserError


@contextmanager
def server(status: int = 200) -> Iterator[tuple[int, list[bytes]]]:
    """A server that keeps connections open, and the bodies that it received."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running.server_port, received
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


@pytest.mark.parametrize("load", [{"clients": 3}, {"rate": 100.0}])
def test_every_request_is_counted(load: dict[str, Any]):
    with server() as (port, received):
        sent = Load(Order("127.0.0.1", port, "/x", ["ä", "bb"], seconds=0.2, **load))
        seconds = asyncio.run(sent.run())
    assert len(received) == len(sent.times) >= 3
    assert {body.decode() for body in received} == {"ä", "bb"}
    assert sent.failed == 0
    assert all(0 < time <= seconds for time in sent.times)


def test_requests_without_an_answer_are_no_answers():
    with server(status=503) as (port, received):
        sent = Load(Order("127.0.0.1", port, "/x", ["a"], seconds=0.1, clients=1))
        asyncio.run(sent.run())
    assert (len(sent.times), sent.failed) == (0, len(received))
    refused = Load(Order("127.0.0.1", port, "/x", ["a"], seconds=0.05, clients=1))
    asyncio.run(refused.run())
    assert refused.times == []
    assert refused.failed > 0


def step(rate: float, p99: float = 0.1, foreign: float = 0.0, failed: int = 0) -> dict[str, Any]:
    figures = {"rate": rate, "p50": 0.05, "p99": p99, "cpu": 0.01, "memory": 2**20}
    return figures | {"foreign": foreign, "failed": failed}


def test_medians_are_of_quiet_steps():
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2
    assert percentile([1.0, 2.0, 3.0], 0.99) == 3
    assert percentile([], 0.5) is None
    steps = [step(1), step(3), step(100, foreign=0.5)]
    assert middle(steps, "rate", 0.12) == 2
    assert middle(steps[2:], "rate", 0.12) is None


@pytest.mark.parametrize(("rate", "p99", "verdict"), [(36, 0.29, "reached"), (34, 0.31, "missed")])
def test_goals(rate: float, p99: float, verdict: str):
    process = subprocess.Popen(["true"])
    process.wait()
    steps = ({"16": [step(rate)], "half": [step(9, p99)]}, {"16": [step(10, failed=2)], "half": [step(5)]})
    servers = [
        Server(name, 1, "/", [], process, own) for name, own in zip((OURS, MLFLOW), steps, strict=True)
    ]
    lines = report(servers, [16], 0.12)
    assert [line.rpartition(" ")[2] for line in lines if line.startswith("goal")] == [verdict] * 2
    assert f"{MLFLOW}: 2 requests failed" in lines
    assert next(line for line in lines if line.startswith(OURS)).split()[4] == f"{rate / 10:.2f}x"


def test_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="--sentences"):
        serving.sentences(None)
    file = tmp_path / "x.txt"
    file.write_text("ein Satz\n\nnoch einer\n")
    assert serving.sentences(file) == ["ein Satz", "noch einer"]
