"""A Prefect server of one run's own, for whoever has none.

Why not the one that Prefect itself would start: that one is started only after a second import of
all of Prefect's server code into the flow, talks on the terminal, gets the terminal's Ctrl-C, and
stays for ever when the flow is killed.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from flows.stages import LEASH
from seq2seq.errors import TransientError

PATIENCE = 180.0  # seconds for a start; a first one also makes the database
ATTEMPTS = 3


def is_configured() -> bool:
    """Whether the user has named a Prefect server, by variable or by a profile of Prefect's."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    return "PREFECT_HOME" in os.environ and Path(os.environ["PREFECT_HOME"], "profiles.toml").exists()


def check_answering() -> None:
    """Raise TransientError if the server that PREFECT_API_URL names does not answer."""
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return  # a profile's: Prefect itself knows it
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10):
            pass
    except urllib.error.HTTPError:
        pass  # it wants a key, which Prefect has
    except (OSError, ValueError) as error:
        raise TransientError(
            f"the Prefect server of PREFECT_API_URL={url} does not answer ({error}); "
            "start it, or unset PREFECT_API_URL to run without"
        ) from None


class PrivateServer:
    """Starts with `PrivateServer(home)`, is used after `wait()`, and ends with `stop()`.

    Between the first two, other slow things can be done: it takes about 10 seconds. Sets
    PREFECT_HOME and PREFECT_API_URL, so call it before Prefect is imported.
    """

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.log = home / "server.log"
        os.environ["PREFECT_HOME"] = str(home.resolve())
        self._attempts = 0
        self._start()

    def _start(self) -> None:
        self._attempts += 1
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        command = "uvicorn --factory prefect.server.api.server:create_app --host 127.0.0.1 --log-level error"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", LEASH, str(os.getpid()), *command.split(), "--port", str(port)],
                env={
                    **os.environ,
                    "PREFECT_UI_ENABLED": "false",
                    "PREFECT_SERVER_API_BLOCKS_REGISTER_ON_START": "false",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return once it answers; raises TransientError with the end of its log."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(os.environ["PREFECT_API_URL"] + "/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.05)
            if self._process.poll() is not None:
                if self._attempts == ATTEMPTS:  # once may be a port taken in between
                    break
                self._start()
        self.stop()
        tail = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise TransientError(f"the run's own Prefect server did not start: {tail or self.log}")

    def stop(self) -> None:
        """End it; what it has acknowledged is on disk."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
