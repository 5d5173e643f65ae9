"""Waiting for a state with a deadline, instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T],
    seconds: float = 60,
    subject: str = "",
    explain: Callable[[], str] = str,
    poll: float = 0.02,
) -> T:
    """The first value of `condition` that is true; after `seconds` an AssertionError with `explain()`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, (
            f"{subject or 'the condition'} took over {seconds} s. {explain()[-8000:]}"
        )
        time.sleep(poll)
    return value


def ended(pid: int) -> bool:
    """Whether a process has ended, its parent may not have noticed yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
