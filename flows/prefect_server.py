"""A Prefect server of one run's own, for users without one.

Why not the one that Prefect itself would start: that one is started only after a second import of
all of Prefect's server code into the flow, prints on the terminal, gets the terminal's Ctrl-C, and
stays for ever when the flow is killed.
"""

from __future__ import annotations

import base64
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flows.child import PROCESSES
from seq2seq.common import environment, masking
from seq2seq.common.errors import TransientError, UserError

PATIENCE = 180.0  # seconds for a start; a first one also makes the database
SILENCE = 5.0  # seconds of waiting before a line names the reason
ATTEMPTS = 3


def is_configured() -> bool:
    """Whether the user has named a Prefect server, by variable or by a profile of Prefect's."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    return "PREFECT_HOME" in os.environ and Path(os.environ["PREFECT_HOME"], "profiles.toml").exists()


def check_answering() -> None:
    """Raise TransientError if the server of PREFECT_API_URL does not answer, UserError for a wrong login."""
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return  # a profile's: Prefect itself reads it
    try:
        with _get(f"{url}/health", timeout=10):
            pass
    except urllib.error.HTTPError:
        pass  # it requires a key, which Prefect has
    except (OSError, ValueError) as error:
        raise TransientError(
            f"the Prefect server of PREFECT_API_URL={masking.mask(url)} does not answer ({error}); "
            "start it, or unset PREFECT_API_URL to run without"
        ) from None
    check_login(url)


def check_login(url: str) -> None:
    """Raise UserError if the server refuses PREFECT_API_AUTH_STRING; other logins are left to Prefect."""
    login = os.environ.get("PREFECT_API_AUTH_STRING", "")
    if os.environ.get("PREFECT_API_KEY") or (not login and "PREFECT_HOME" in os.environ):
        return  # of Prefect Cloud, or of a profile
    request = urllib.request.Request(f"{url}/admin/version")
    if login:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    try:
        with _get(request, timeout=10):
            pass
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.UNAUTHORIZED:
            raise UserError(
                f"the Prefect server of PREFECT_API_URL={masking.mask(url)} refuses the login: set "
                "PREFECT_API_AUTH_STRING to the server's USER:PASSWORD"
            ) from None
    except (OSError, ValueError):
        pass  # Prefect reports it


def _get(url: str | urllib.request.Request, timeout: float) -> Any:
    """GET; without a proxy if the server is this machine's, whatever the environment names."""
    if environment.local_server(url if isinstance(url, str) else url.full_url):
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return direct.open(url, timeout=timeout)
    return urllib.request.urlopen(url, timeout=timeout)


class PrivateServer:
    """Starts with `PrivateServer(home)`, is used after `wait()`, and ends with `stop()`.

    Between the first two, other slow things can be done: it takes about 10 seconds. Only this process and
    its children can use it: it listens on the loopback and requires a password that is made for this run.
    One that is killed is started again, at the same address and with the same database; `lost` is the
    reason why none is any more. Sets PREFECT_HOME, PREFECT_API_URL and PREFECT_API_AUTH_STRING, so call
    it before Prefect is imported.
    """

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.log = home / "server.log"
        self.lost = ""
        os.environ["PREFECT_HOME"] = str(home.resolve())
        os.environ["PREFECT_API_AUTH_STRING"] = f"run:{secrets.token_urlsafe(24)}"
        self._attempts = 0
        self._stopping, self._turn = threading.Event(), threading.Lock()
        self._watcher: threading.Thread | None = None
        self._choose_port()
        self._start()

    def _choose_port(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        os.environ["PREFECT_API_URL"] = f"{self.address}/api"

    def _start(self) -> None:
        self._attempts += 1
        command = "uvicorn --factory prefect.server.api.server:create_app --host 127.0.0.1 --log-level error"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    PROCESSES,
                    str(os.getpid()),
                    *command.split(),
                    "--port",
                    str(self._port),
                ],
                env={
                    **os.environ,
                    "PREFECT_UI_ENABLED": "false",
                    "PREFECT_SERVER_API_BLOCKS_REGISTER_ON_START": "false",
                    "PREFECT_SERVER_API_AUTH_STRING": os.environ["PREFECT_API_AUTH_STRING"],
                    "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": self.address,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return once it answers; raises TransientError with the end of its log."""
        began, silent = time.monotonic(), True
        while (waited := time.monotonic() - began) < PATIENCE:
            if self._answers():
                self._attempts = 1
                self._watcher = threading.Thread(target=self._watch, daemon=True)
                self._watcher.start()
                return
            if self._process.poll() is not None:
                if self._attempts == ATTEMPTS:  # once may be a port taken in between
                    break
                self._choose_port()
                self._start()
            if silent and waited > SILENCE:
                silent = False
                _line(f"waiting for the run's own Prefect server to start, at most {PATIENCE:.0f} s")
            time.sleep(0.05)
        self.stop()
        tail = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise TransientError(f"the run's own Prefect server did not start: {tail or self.log}")

    def _answers(self) -> bool:
        try:
            with _get(f"{self.address}/api/health", timeout=5):
                return True
        except OSError:
            return False

    def _watch(self) -> None:
        """Restart it when it ends unexpectedly: else Prefect's client retries a dead server for minutes.

        The thread lives until `stop`: by common/processes.py a child ends with the thread that started it.
        """
        while True:
            status = self._process.wait()
            if self._stopping.is_set():
                return
            how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
            if self._attempts == ATTEMPTS:
                self.lost = (
                    f"the run's own Prefect server {how}, the last of {ATTEMPTS} times (see {self.log})"
                )
                _line(f"warning: {self.lost}; this run cannot end well")
                self._stopping.wait()
                return
            _line(f"warning: the run's own Prefect server {how} (too little memory?); it is started again")
            with self._turn:
                if self._stopping.is_set():
                    return
                self._start()
            began = time.monotonic()
            while self._process.poll() is None and not self._stopping.is_set():
                if self._answers():
                    _line(
                        f"the run's own Prefect server answers again, after {time.monotonic() - began:.0f} s"
                    )
                    break
                time.sleep(0.2)

    def stop(self) -> None:
        """End it; all that it has acknowledged is on disk."""
        with self._turn:
            self._stopping.set()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._watcher is not None:
            self._watcher.join(5)


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
