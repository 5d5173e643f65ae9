"""`seq2seq worker` = `make worker`: run what the Prefect server of PREFECT_API_URL schedules, until Ctrl-C.

Why: a run has the environment of its worker, so that this process sets what every entry of the project sets
before Prefect's worker takes its place.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from flows.deploy import POOL
from flows.prefect_server import check_login
from seq2seq.common.errors import UserError

HEARTBEAT = "30"  # seconds; a run without them is marked as crashed (flows/deploy.py)


def command(options: argparse.Namespace) -> NoReturn:
    """`seq2seq worker`: become the worker."""
    if not os.environ.get("PREFECT_API_URL"):
        raise UserError("PREFECT_API_URL is not set: name your Prefect server, as for `seq2seq deploy`")
    check_login(os.environ["PREFECT_API_URL"])
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", HEARTBEAT)
    arguments = ["worker", "start", "--pool", POOL, "--type", "process", "--install-policy", "never"]
    arguments += ["--name", options.name] if options.name else []
    arguments += ["--with-healthcheck"] if options.with_healthcheck else []
    os.execv(sys.executable, [sys.executable, "-m", "prefect", *arguments])
