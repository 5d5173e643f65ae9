"""A web server on loopback with files, which can break connections off, fail, or ignore ranges."""

import hashlib
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web:
    """Serves `files` by path; `broken` answers end early, `failing` ones are 503, `asked` lists them."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.broken = self.failing = 0
        self.has_ranges = True
        self.asked: list[tuple[str, str]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range", "")
                web.asked.append((self.path, wanted))
                data = web.files.get(self.path)
                if web.failing or data is None:
                    web.failing -= bool(web.failing)
                    self.send_error(503 if data is not None else 404)
                    return
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and web.has_ranges else 0
                if start >= len(data) > 0:
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                rest = data[start:]
                if web.broken:
                    web.broken -= 1
                    rest = rest[: len(rest) // 2]
                self.wfile.write(rest)
                self.close_connection = True

            def do_HEAD(self) -> None:
                data = web.files.get(self.path)
                self.send_response(200 if data is not None and not web.failing else 503)
                self.send_header("ETag", hashlib.sha256(data or b"").hexdigest())
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
