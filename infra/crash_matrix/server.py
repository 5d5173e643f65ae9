"""A Prefect server for all local cells, and the requests of the checks to one.

Why: its own server costs each run some seconds; cells about that server let the run start it.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.crash_matrix.processes import wait_for
from infra.crash_matrix.project import environment

OPEN = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}


def now() -> str:
    """The time, as Prefect's API takes it."""
    return datetime.now(UTC).isoformat()


class Client:
    """Calls of one Prefect server's API."""

    def __init__(self, api: str, login: str = "") -> None:
        self.api, self.login = api, login
        self.since = now()

    def request(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """The answer to one call; raises OSError."""
        headers = {"Content-Type": "application/json"}
        if self.login:
            headers["Authorization"] = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        data = None if method in ("GET", "DELETE") else json.dumps(body if body is not None else {}).encode()
        request = urllib.request.Request(f"{self.api}/{path}", data, headers, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as reply:
            text = reply.read()
        return json.loads(text) if text else None

    def count(self, kind: str) -> int:
        """Flow runs or task runs since `since` that have not ended, or concurrency slots that are taken."""
        if kind == "slots":
            limits = self.request("v2/concurrency_limits/filter")
            return int(sum(limit["active_slots"] for limit in limits))
        name = kind.replace(" ", "_")
        wanted = {"state": OPEN, "expected_start_time": {"after_": self.since}}
        return int(self.request(f"{name}/count", {name: wanted}))

    def healthy(self) -> bool:
        """Whether it answers."""
        try:
            return self.request("health", method="GET") is True
        except OSError:
            return False


class Server:
    """A Prefect server on a free port of the loopback, for this process's time."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        api = f"http://127.0.0.1:{port}/api"
        command = "uvicorn --factory prefect.server.api.server:create_app --host 127.0.0.1 --log-level error"
        variables = {"PREFECT_HOME": str(home), "PREFECT_UI_ENABLED": "false", "DO_NOT_TRACK": "true"}
        variables |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        variables |= {"PREFECT_SERVER_API_BLOCKS_REGISTER_ON_START": "false"}
        program = Path(__file__).parents[2] / "seq2seq/common/processes.py"
        with (home / "server.log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", program, str(os.getpid()), *command.split(), "--port", str(port)],
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.client = Client(api)
        wait_for(self.client.healthy, 180, "the Prefect server", 0.2)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
