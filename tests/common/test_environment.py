"""Settings of every entry: no proxy for servers of this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from flows import prefect_server
from seq2seq.common import environment, webhook
from seq2seq.common.errors import TransientError

DEAD = "http://127.0.0.1:9"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@contextmanager
def a_server(address: str = "127.0.0.1", bodies: list[bytes] | None = None) -> Iterator[str]:
    """A server that answers every request with an empty JSON object; its host and port.

    The bodies of requests are appended to `bodies`.
    """
    received = [] if bodies is None else bodies

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(HTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    with Server((address, 0), Handler) as running:
        thread = Thread(target=running.serve_forever, args=[0.01], daemon=True)
        thread.start()
        yield f"[{address}]:{running.server_port}" if ":" in address else f"{address}:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(params=PROXIES)
def proxied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that does not answer."""
    for name in (*PROXIES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(request.param, DEAD)
    monkeypatch.setenv("NO_PROXY", "")  # so that both are restored
    monkeypatch.setenv("no_proxy", "")


# The same request by each client, in a process of its own, because clients cache the environment.
CLIENTS = {
    "urllib": "import urllib.request as r; r.urlopen(url + '/health', timeout=20)",
    "requests": "import requests; requests.get(url, timeout=20).raise_for_status()",
    "httpx": "import httpx; httpx.get(url, timeout=20).raise_for_status()",
    "prefect": "import asyncio, prefect\nasync def ask():\n async with prefect.get_client() as client:\n"
    "  assert await client.api_healthcheck() is None\nasyncio.run(ask())",
    "mlflow": "from seq2seq.tracking import client; client.connect()",
}


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3"])
def test_every_client_reaches_a_server_of_this_machine(client: str, host: str, tmp_path: Path) -> None:
    code = "import os, sys; from seq2seq.common import environment\nenvironment.configure_process()\n"
    code += "url = sys.argv[1]\n"
    with a_server(host) as place:
        named = {"MLFLOW_TRACKING_URI": f"http://{place}", "PREFECT_API_URL": f"http://{place}/api"}
        proxies = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "PREFECT_HOME": str(tmp_path)}
        proxies |= dict.fromkeys(PROXIES, DEAD)
        kept = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"}
        done = subprocess.run(
            [sys.executable, "-c", code + CLIENTS[client], f"http://{place}"],
            env={**kept, **proxies, **named},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "0.0.0.0"])
def test_a_prefect_server_of_this_machine_is_reached_directly(
    proxied: None, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        with a_server(host) as place:
            monkeypatch.setenv("PREFECT_API_URL", f"http://{place}/api")
            prefect_server.check_answering()
    except OSError as error:
        if isinstance(error, TransientError):
            raise
        pytest.skip(f"this machine has no {host}: {error}")


def test_another_server_is_reached_through_the_proxy(proxied: None, monkeypatch: pytest.MonkeyPatch) -> None:
    environment.configure_process()

    def through_the_proxy(url: str, **options: Any) -> Any:
        raise OSError(f"{url} reached as configured")

    monkeypatch.setattr(urllib.request, "urlopen", through_the_proxy)
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    with pytest.raises(TransientError, match="reached as configured"):
        prefect_server.check_answering()


def test_a_notice_to_this_machine_goes_directly(proxied: None, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[bytes] = []
    with a_server(bodies=bodies) as place:
        environment.configure_process()
        webhook.post(f"http://{place}/", {"text": "x"})
    assert [json.loads(body) for body in bodies] == [{"text": "x"}]


@pytest.mark.parametrize(
    ("lower", "upper", "kept"),
    [
        ("", "", ([], [])),
        ("corp.example, 10.0.0.1", "", (["corp.example", "10.0.0.1"],) * 2),
        ("", "corp.example", (["corp.example"],) * 2),
        ("a.example", "b.example,", (["a.example"], ["b.example"])),
    ],
)
def test_the_users_entries_stay(
    proxied: None, lower: str, upper: str, kept: tuple[list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", lower)
    monkeypatch.setenv("NO_PROXY", upper)
    environment.configure_process()
    environment.configure_process()  # as in each child process
    for name, users in zip(("no_proxy", "NO_PROXY"), kept, strict=True):
        entries = os.environ[name].split(",")
        assert entries[: len(users)] == users
        assert {*environment.LOCAL, socket.gethostname()} <= {*entries}
        assert len(entries) == len({*entries})


def test_a_star_stays_alone(proxied: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    environment.configure_process()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "*"
    assert urllib.request.proxy_bypass("anything.example")


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((host, True) for host in ("localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1", "[::1]")),
        *((host, True) for host in ("::ffff:127.0.0.1", "0.0.0.0", "mlflow.localhost", socket.gethostname())),
        *(
            (host, False)
            for host in ("example.org", "128.0.0.1", "localhost.example", "", "192.0.2.1", "::2")
        ),
    ],
)
def test_addresses_of_this_machine(host: str, local: bool) -> None:
    assert environment.is_local(host) is local
