"""`make worker`: run what the Prefect server of PREFECT_API_URL schedules, until Ctrl-C.

Why: a run has the environment of its worker, so that this process sets what every entry of the project sets
before Prefect's worker takes its place.
"""

from __future__ import annotations

import os
import sys

from flows.deploy import POOL
from seq2seq.common import environment

HEARTBEAT = "30"  # seconds; by it the server sees that a run's machine died


def main() -> int:
    """Become the worker; returns the exit status if it cannot."""
    environment.configure_process()
    if not os.environ.get("PREFECT_API_URL"):
        print(
            "error: PREFECT_API_URL is not set: name your Prefect server, as for make deploy", file=sys.stderr
        )
        return 2
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", HEARTBEAT)
    arguments = ["worker", "start", "--pool", POOL, "--type", "process", "--install-policy", "never"]
    os.execv(sys.executable, [sys.executable, "-m", "prefect", *arguments])


if __name__ == "__main__":
    sys.exit(main())
