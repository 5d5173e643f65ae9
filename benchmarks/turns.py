"""A contestant's side of the pipe: wait for a request, work, and report the time.

Why: contestants are processes that alternate, so that a slow minute slows all of them equally. Only the
standard library is imported, since other systems' interpreters run this module too.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STAT = Path("/proc/stat")
BUSY = (0, 1, 2, 5, 6, 7)  # of its first line: user, nice, system, irq, softirq, steal


class Stopwatch:
    """Measures wall-clock seconds, and the use of the processors by other processes, since its creation."""

    def __init__(self) -> None:
        self._busy, self._own = busy_seconds(), own_seconds()
        self._began = time.perf_counter()

    def read(self) -> tuple[float, float | None]:
        """Seconds, and the share of all processors used by other processes (None: unknown)."""
        seconds = time.perf_counter() - self._began
        own, busy = own_seconds() - self._own, busy_seconds()
        if busy is None or self._busy is None:
            return seconds, None
        return seconds, foreign_share(busy - self._busy, own, seconds, os.cpu_count() or 1)


def foreign_share(busy: float, own: float, seconds: float, processors: int) -> float:
    """The share of the processors' time used by other processes (all in seconds)."""
    return max(busy - own, 0.0) / (seconds * processors)


def busy_seconds() -> float | None:
    """Busy time of all processors of this machine; None on other systems than Linux."""
    if not STAT.is_file():
        return None
    ticks = STAT.read_text().split("\n", 1)[0].split()[1:]
    return sum(int(ticks[field]) for field in BUSY) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Processor time of this process and of the children that it has waited for."""
    return sum(os.times()[:4])


def peak_memory() -> int:
    """Peak memory of this process in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Turns:
    """Requests and answers of the benchmark; call `ready` once, then `wait` and `answer` alternately."""

    def __init__(self) -> None:
        # Output of libraries goes to stderr: stdout is for the answers.
        self._answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._stopwatch = Stopwatch()

    def ready(self, parameters: int) -> None:
        """Report that steps can begin, and the number of the model's parameters."""
        self._write({"parameters": parameters})

    def wait(self) -> str | None:
        """Wait for a request and start the clock; returns the kind of step, None at the end."""
        kind = sys.stdin.readline().strip()
        self._stopwatch = Stopwatch()
        return kind or None

    def answer(self, units: int, each: Sequence[float] = ()) -> None:
        """Stop the clock and report the tokens or sentences done; `each`: seconds of the step's parts."""
        seconds, foreign = self._stopwatch.read()
        self._write(
            {
                "units": units,
                "seconds": seconds,
                "foreign": foreign,
                "each": list(each),
                "memory": peak_memory(),
            }
        )

    def _write(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()
