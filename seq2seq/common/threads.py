"""The number of threads of torch, by the processors that other processes leave free; a warning on changes.

Why: OpenMP's threads wait for each other at the end of every product. If another process uses the processor
of one of them, all wait: two threads then train at a tenth to a third of the speed of one. The number of
threads changes results only by rounding, so it is not a parameter; a checkpoint stores it.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import torch

from seq2seq.common.processors import quota

STAT = Path("/proc/stat")
BUSY = (0, 1, 2, 5, 6, 7)  # of its first line: user, nice, system, irq, softirq, steal
VARIABLE = "OMP_NUM_THREADS"
# Seconds, and the maximal number: short load, e.g. the start of a program, is ignored.
WINDOW, WINDOWS = 0.2, 5
QUIET = 0.3  # processors in use by others that make no difference
INTERVAL = 30.0  # seconds between measurements of the usage by others
SPARE = 0.4  # processors by which threads and others may exceed the number available


class Usage:
    """Processor usage of other processes since creation or the last reading."""

    def __init__(self) -> None:
        self._before = _seconds()

    def read(self) -> float:
        """Average number of processors in use by others; 0 on systems without the counters."""
        (began, busy_before, own_before), now = self._before, _seconds()
        self._before = now
        others = (now[1] - busy_before) - (now[2] - own_before)
        return max(others, 0.0) / max(now[0] - began, 1e-9)


def _seconds() -> tuple[float, float, float]:
    """A clock, and the processor time of all processes and of this one."""
    busy = 0.0
    if STAT.is_file():
        ticks = STAT.read_text().split("\n", 1)[0].split()[1:]
        busy = sum(int(ticks[field]) for field in BUSY) / os.sysconf("SC_CLK_TCK")
    return time.monotonic(), busy, time.process_time()


class Neighbours:
    """Checks at intervals, during work, whether other processes use its processors."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._usage, self._due = Usage(), time.monotonic() + interval
        self._warned = False

    def warning(self) -> str | None:
        """One line with the remedy, the first time that threads have to wait; else None."""
        if self._warned or time.monotonic() < self._due:
            return None
        self._due = time.monotonic() + self._interval
        others, threads, processors = self._usage.read(), torch.get_num_threads(), os.cpu_count() or 1
        if threads == 1 or threads + others <= processors + SPARE:
            return None
        self._warned = True
        fewer = max(1, round(processors - others))
        return (
            f"warning: other processes use {others:.1f} of {processors} processors, so {threads} threads "
            f"wait for each other: this is slow. Stop with Ctrl-C and continue with {VARIABLE}={fewer}"
        )


def choose_threads(stage: str) -> None:
    """Reduce torch's threads if processors are in use or limited by a quota; prints the reason.

    Takes 0.2 seconds, or up to a second if others are busy. OMP_NUM_THREADS, if set, overrides this.
    """
    if os.environ.get(VARIABLE):
        return
    most = torch.get_num_threads()
    allowed = int(min(most, max(1.0, quota())))
    reason = "this is the quota of the control group"
    count = os.cpu_count() or 1
    if allowed > 1:
        others = least_usage()
        if others > QUIET and (free := max(1, round(count - others))) < allowed:
            allowed, reason = free, f"other processes use {others:.1f} of {count} processors"
    if allowed < most:
        torch.set_num_threads(allowed)
        print(f"{stage}: threads: {allowed}, not {most}: {reason} ({VARIABLE} overrides this)", flush=True)


def keep_threads(stage: str, kept: int | None) -> None:
    """Set the number of threads of a checkpoint, if there are enough processors; prints it."""
    now = torch.get_num_threads()
    if kept is None or kept == now or os.environ.get(VARIABLE) or kept > (os.cpu_count() or 1):
        return
    torch.set_num_threads(kept)
    print(
        f"{stage}: threads: {kept}, not {now}: as in the checkpoint ({VARIABLE} overrides this)",
        flush=True,
    )


def least_usage() -> float:
    """The smallest usage by others in a few time windows; stops at a quiet one."""
    least = math.inf
    usage = Usage()
    for _ in range(WINDOWS):
        time.sleep(WINDOW)
        least = min(least, usage.read())
        if least <= QUIET:
            break
    return least
