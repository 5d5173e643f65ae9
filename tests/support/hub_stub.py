"""A hub on loopback: the routes a download uses, for one dataset, with faults on request."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = hashlib.sha1(b"a commit").hexdigest()


class Hub:
    """Serves `files` as the dataset `owner/name` at COMMIT, which `main` also is.

    stall: how many of the next requests get no answer while the server lives; truncate: names of
    files that end half-way; mangle: names of files with one byte changed. `requests` are kept.
    """

    def __init__(self, files: dict[str, bytes], dataset: str = "owner/name") -> None:
        self.files, self.dataset = files, dataset
        self.stall = 0
        self.stall_files = False
        self.truncate: set[str] = set()
        self.mangle: set[str] = set()
        self.requests: list[str] = []
        self._closing = threading.Event()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.requests.append(f"{self.command} {self.path}")
                path = unquote(urlsplit(self.path).path)
                if hub.stall > 0 or (hub.stall_files and self.command == "GET" and "/resolve/" in path):
                    hub.stall -= 1
                    hub._closing.wait()
                    self.close_connection = True
                    return
                self._answer(*hub.answer(path))

            do_HEAD = do_GET

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    cut = any(self.path.endswith(f"/{name}") for name in hub.truncate)
                    self.wfile.write(body[: len(body) // 2] if cut else body)
                    self.close_connection = cut

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for one path."""
        data = f"/datasets/{self.dataset}/resolve/"
        api = f"/api/datasets/{self.dataset}/"
        if path.startswith(data):
            revision, _, name = path.removeprefix(data).partition("/")
            if revision not in ("main", COMMIT):
                return self._missing("RevisionNotFound")
            if name not in self.files:
                return self._missing("EntryNotFound")
            body = self.files[name]
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(body).hexdigest()}"'}
            if name in self.mangle:
                body = body.replace(b"a", b"b", 1)
            return 200, headers, body
        if path.startswith(api):
            what, _, rest = path.removeprefix(api).partition("/")
            if rest.split("/")[0] not in ("main", COMMIT):
                return self._missing("RevisionNotFound")
            if what == "revision":
                names = [{"rfilename": name} for name in self.files]
                card = {"license": "cc0-1.0"}
                return self._json({"id": self.dataset, "sha": COMMIT, "siblings": names, "cardData": card})
            if what == "tree":
                return self._json(
                    [
                        {
                            "type": "file",
                            "path": name,
                            "size": len(body),
                            "oid": hashlib.sha1(body).hexdigest(),
                        }
                        for name, body in self.files.items()
                    ]
                )
        return self._missing("RepoNotFound")

    def close(self) -> None:
        """Stop; open requests get no answer."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def _json(value: Any) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()

    @staticmethod
    def _missing(code: str) -> tuple[int, dict[str, str], bytes]:
        return 404, {"X-Error-Code": code}, b""
