"""The processes of a cell: found by a variable that all of them inherit, waited for with a deadline.

Why: an orphan has no parent that could name it, but it keeps its environment.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psutil

T = TypeVar("T")
MARK = "CRASH_MATRIX_CELL"


class StuckError(Exception):
    """Something did not happen in time."""


def wait_for(condition: Callable[[], T], seconds: float, subject: str, poll: float = 0.05) -> T:
    """The first true value of `condition`; raises StuckError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise StuckError(f"{subject}: not within {seconds:.0f} s")
        time.sleep(poll)
    return value


def of_cell(mark: str) -> list[psutil.Process]:
    """All living processes whose environment has the mark."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            alive = process.status() != psutil.STATUS_ZOMBIE
            if process.pid != os.getpid() and alive and process.environ().get(MARK) == mark:
                found.append(process)
    return found


def of_role(mark: str, role: str, place: str) -> list[psutil.Process]:
    """The processes of a cell with one role: stage, dvc, flow, prefect, or all."""
    found = []
    for process in of_cell(mark):
        with suppress(psutil.Error):
            if role == "all" or role == role_of(" ".join(process.cmdline()), place):
                found.append(process)
    return found


def role_of(command: str, place: str) -> str:
    """The role of a process in a run, by its command line."""
    if "seq2seq.gate." in command or f"-m seq2seq {place}" in command:
        return "stage"
    if "uvicorn" in command and "prefect.server" in command:
        return "prefect"
    if "processes.py" in command and " dvc " in command:
        return "dvc"
    if "-m flows run" in command or "prefect.engine" in command:
        return "flow"
    return "other"


def send(processes: list[psutil.Process], name: str) -> int:
    """Send a signal to each; returns the number that got it."""
    count = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.Signals[name])
            count += 1
    return count


def end_all(mark: str) -> list[str]:
    """Kill what is left of a cell, so that the next one begins clean; returns the command lines."""
    left = []
    for process in of_cell(mark):
        with suppress(psutil.Error):
            left.append(" ".join(process.cmdline())[:120])
            process.kill()
    return left
