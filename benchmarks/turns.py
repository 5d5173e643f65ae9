"""A contestant's end of the pipe: it waits to be asked, works, and answers how long that took.

Why: contestants are processes of their own that take turns, so that a slow minute is slow for all of
them. Nothing but the standard library is imported here: other systems' interpreters run it too.
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


class Watch:
    """Measures from its making: wall-clock seconds, and how much of the processors others took."""

    def __init__(self) -> None:
        self._busy, self._own = busy_seconds(), own_seconds()
        self._began = time.perf_counter()

    def read(self) -> tuple[float, float | None]:
        """Seconds, and the share of all processors that others used in them (None: not known here)."""
        seconds = time.perf_counter() - self._began
        own, busy = own_seconds() - self._own, busy_seconds()
        if busy is None or self._busy is None:
            return seconds, None
        return seconds, foreign_share(busy - self._busy, own, seconds, os.cpu_count() or 1)


def foreign_share(busy: float, own: float, seconds: float, processors: int) -> float:
    """The share of the processors' time that was not idle and not one's own (all in seconds)."""
    return max(busy - own, 0.0) / (seconds * processors)


def busy_seconds() -> float | None:
    """Time in which the processors of this machine worked for anybody; None on other systems than Linux."""
    if not STAT.is_file():
        return None
    ticks = STAT.read_text().split("\n", 1)[0].split()[1:]
    return sum(int(ticks[field]) for field in BUSY) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Processor time of this process and of the children that it has waited for."""
    return sum(os.times()[:4])


def peak_memory() -> int:
    """Most bytes that this process has held in memory at once."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Turns:
    """Answers to whoever started this process; use `ready` once, then `wait` and `answer` in turn."""

    def __init__(self) -> None:
        # Whatever libraries print goes to stderr: stdout belongs to the answers.
        self._answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._watch = Watch()

    def ready(self, parameters: int) -> None:
        """Say that steps can begin, and how many parameters the model has."""
        self._say({"parameters": parameters})

    def wait(self) -> str | None:
        """Block until asked for a step, whose kind is returned, and start the clock; None: the end."""
        asked = sys.stdin.readline().strip()
        self._watch = Watch()
        return asked or None

    def answer(self, units: int, each: Sequence[float] = ()) -> None:
        """Stop the clock: so many tokens or sentences are done; `each`: seconds of the step's parts."""
        seconds, foreign = self._watch.read()
        self._say(
            {
                "units": units,
                "seconds": seconds,
                "foreign": foreign,
                "each": list(each),
                "memory": peak_memory(),
            }
        )

    def _say(self, what: dict[str, Any]) -> None:
        self._answers.write(json.dumps(what) + "\n")
        self._answers.flush()
