"""How many threads torch computes with, by what other processes leave free; a warning if that changes.

Why: OpenMP's threads wait for each other at the end of every product. Where another process has the
processor of one of them, all wait: two threads then train at a tenth to a third of the speed of one. The
number of threads changes a result by rounding at most, so that it is no parameter; a checkpoint keeps it.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import torch

STAT = Path("/proc/stat")
BUSY = (0, 1, 2, 5, 6, 7)  # of its first line: user, nice, system, irq, softirq, steal
GROUP, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
VARIABLE = "OMP_NUM_THREADS"
# Seconds, and how many times at most: what ends within a moment, e.g. the start of a program, is no reason.
WINDOW, WINDOWS = 0.2, 5
QUIET = 0.3  # processors in use by others that nobody notices
INTERVAL = 30.0  # seconds between looks at what others use
SPARE = 0.4  # processors that threads and others may ask for beyond those there are


class Usage:
    """What other processes use of the processors, from its making or its last reading on."""

    def __init__(self) -> None:
        self._before = _seconds()

    def read(self) -> float:
        """Processors in use by others, on average; 0 where the system does not count."""
        (began, busy_before, own_before), now = self._before, _seconds()
        self._before = now
        others = (now[1] - busy_before) - (now[2] - own_before)
        return max(others, 0.0) / max(now[0] - began, 1e-9)


def _seconds() -> tuple[float, float, float]:
    """A clock, and processor time of everybody and of this process."""
    busy = 0.0
    if STAT.is_file():
        ticks = STAT.read_text().split("\n", 1)[0].split()[1:]
        busy = sum(int(ticks[field]) for field in BUSY) / os.sysconf("SC_CLK_TCK")
    return time.monotonic(), busy, time.process_time()


class Neighbours:
    """Looks now and then, while work goes on, at whether other processes have taken its processors."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._usage, self._due = Usage(), time.monotonic() + interval
        self._warned = False

    def warning(self) -> str | None:
        """One line with the remedy, the first time that threads wait for each other; else None."""
        if self._warned or time.monotonic() < self._due:
            return None
        self._due = time.monotonic() + self._interval
        others, threads, processors = self._usage.read(), torch.get_num_threads(), os.cpu_count() or 1
        if threads == 1 or threads + others <= processors + SPARE:
            return None
        self._warned = True
        fewer = max(1, round(processors - others))
        return (
            f"warning: other processes use {others:.1f} of {processors} processors, for which {threads} "
            f"threads wait: this is slow. Stop with Ctrl-C and go on with {VARIABLE}={fewer}"
        )


def choose_threads(who: str) -> None:
    """Have torch use fewer threads than it would, where processors are taken or rationed; prints why.

    Waits for 0.2 seconds, or up to a second where others are at work. OMP_NUM_THREADS, if set, decides.
    """
    if os.environ.get(VARIABLE):
        return
    most = torch.get_num_threads()
    allowed = int(min(most, max(1.0, quota())))
    reason = "this is what the control group may use"
    count = os.cpu_count() or 1
    if allowed > 1:
        others = least_usage()
        if others > QUIET and (free := max(1, round(count - others))) < allowed:
            allowed, reason = free, f"other processes use {others:.1f} of {count} processors"
    if allowed < most:
        torch.set_num_threads(allowed)
        print(f"{who}: threads: {allowed}, not {most}: {reason} ({VARIABLE} decides otherwise)", flush=True)


def keep_threads(who: str, kept: int | None) -> None:
    """Go on with the number of threads that a checkpoint has, if there are as many processors; prints it."""
    now = torch.get_num_threads()
    if kept is None or kept == now or os.environ.get(VARIABLE) or kept > (os.cpu_count() or 1):
        return
    torch.set_num_threads(kept)
    print(
        f"{who}: threads: {kept}, not {now}: as the checkpoint has it ({VARIABLE} decides otherwise)",
        flush=True,
    )


def least_usage() -> float:
    """Processors that others use all the time: the least of a few windows, of which a quiet one ends it."""
    least = math.inf
    usage = Usage()
    for _ in range(WINDOWS):
        time.sleep(WINDOW)
        least = min(least, usage.read())
        if least <= QUIET:
            break
    return least


def quota() -> float:
    """Processors' worth of time that the control group of this process may use; infinite without a limit."""
    if not GROUP.is_file():
        return math.inf
    limits = [math.inf]
    for line in GROUP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        version2 = not controllers
        if not version2 and "cpu" not in controllers.split(","):
            continue
        root = GROUPS if version2 else GROUPS / "cpu"
        folder = root / path.lstrip("/")
        # Within a container the path may be the host's, and the group itself lies at the root.
        for place in (folder, *folder.parents):
            if not place.is_relative_to(root):
                break
            limits.append(_limit(place, version2))
    return min(limits)


def _limit(folder: Path, version2: bool) -> float:
    try:
        if version2:
            time_, period = (folder / "cpu.max").read_text().split()
        else:
            time_, period = ((folder / f"cpu.cfs_{what}_us").read_text() for what in ("quota", "period"))
        return math.inf if time_.strip() in ("max", "-1") else int(time_) / int(period)
    except (OSError, ValueError):
        return math.inf
