"""A server with the answers that the page of the translator reads: fixed ones, slow ones, errors."""

from __future__ import annotations

import json
import mimetypes
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from tests.support.projects import ROOT

PAGE = ROOT / "seq2seq/serving/page"
Answer = dict[str, Any]


class PageStub:
    """Serves the page on the loopback; `answers`, `delays` and `problem` may be changed at any time."""

    def __init__(self) -> None:
        self.languages = [
            {"code": "de", "name": "German", "targets": ["en"]},
            {"code": "en", "name": "English", "targets": []},
        ]
        self.settings: Answer = {"charLimit": 200, "suggestions": True, "keyRequired": False}
        self.answers: dict[str, Answer] = {}
        self.delays: dict[str, float] = {}
        self.problem: tuple[int, Any] | None = None  # status and content of every POST
        self.bodies: list[tuple[str, Answer]] = []  # of every POST
        self.origins: set[str] = set()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answers = {"/languages": stub.languages, "/frontend/settings": stub.settings}
                if self.path in answers:
                    self._send(200, answers[self.path])
                    return
                file = PAGE / (self.path.strip("/") or "index.html")
                if not file.is_file():
                    self._send(404, {"error": "no such file"})
                    return
                kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
                self._send(200, file.read_bytes(), kind)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.bodies.append((self.path, body))
                if stub.problem:
                    self._send(*stub.problem)
                elif self.path == "/suggest":
                    self._send(200, {"success": True})
                else:
                    time.sleep(stub.delays.get(body["q"], 0))
                    self._send(200, stub.answers.get(body["q"]) or answer(body["q"], body["q"].upper()))

            def _send(self, status: int, content: Any, kind: str = "application/json") -> None:
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the page has dropped this question

            def log_message(self, *arguments: Any) -> None:
                pass

        self._handler = Handler
        self._start(0)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def _start(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler)
        self._thread = Thread(target=self._server.serve_forever, args=[0.01], daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def start_again(self) -> None:
        """Answer at the same address."""
        self._start(int(self.url.split(":")[2].strip("/")))

    def questions(self, path: str = "/inspect") -> list[Any]:
        """The texts that were sent."""
        return [body["q"] for called, body in self.bodies if called == path]


def answer(
    source: str,
    translation: str,
    links: Sequence[tuple[int, int, float]] = (),
    alternatives: Sequence[tuple[str, float | None]] = (),
    **more: Any,
) -> Answer:
    """An answer of `inspect`, a piece for each word; `links` are target word, source word and weight."""
    columns, rows = ([f"\u2581{word}" for word in text.split()] for text in (source, translation))
    attention = [[0.0] * len(columns) + [1.0] for _ in (*rows, "</s>")]
    for row, column, weight in links:
        attention[row][column] = weight
        attention[row][-1] -= weight
    return {
        "translation": translation,
        "score": -0.5,
        "confidence": 0.93,
        "mean_log_probability": -0.2,
        "splits": 0,
        "alternatives": [{"text": t, "score": -1.0, "confidence": c} for t, c in alternatives],
        "source_pieces": [*columns, "</s>"],
        "target_pieces": [*rows, "</s>"],
        "attention": attention,
        "doubts": [],
        "unknown_words": [],
        "version": {"name": "grammar-de-en", "number": "3"},
        **more,
    }
