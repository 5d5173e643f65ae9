"""Waiting for a state with a deadline, instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T], seconds: float = 60, subject: str = "", explain: Callable[[], str] = str
) -> T:
    """The first value of `condition` that is true; after `seconds` an AssertionError with `explain()`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{subject or 'the condition'} took over {seconds} s. {explain()}"
        time.sleep(0.02)
    return value
