"""Which Prefect server a flow uses."""

from __future__ import annotations

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows import prefect_server
from seq2seq.common.errors import TransientError, UserError


def test_a_server_is_configured_by_variable_or_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    assert not prefect_server.is_configured()
    (tmp_path / "profiles.toml").touch()
    assert prefect_server.is_configured()
    monkeypatch.delenv("PREFECT_HOME")
    assert not prefect_server.is_configured()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert prefect_server.is_configured()
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1/api does not answer .*unset PREFECT_API_URL"):
        prefect_server.check_answering()


class Guarded(BaseHTTPRequestHandler):
    """A server that asks for a login, except for its health."""

    def do_GET(self) -> None:
        login = base64.b64encode(b"team:right").decode()
        free = self.path.endswith("/health") or self.headers["Authorization"] == f"Basic {login}"
        self.send_response(200 if free else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("given", ["", "team:wrong-password", "team:right"])
def test_a_refused_login_names_the_variable_and_not_its_value(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}/api")
        monkeypatch.delenv("PREFECT_HOME", raising=False)
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", given)
        if given == "team:right":
            prefect_server.check_answering()
        else:
            with pytest.raises(UserError, match="refuses the login: set PREFECT_API_AUTH_STRING") as raised:
                prefect_server.check_answering()
            assert "wrong-password" not in str(raised.value)
        server.shutdown()
