"""The number of processors that this process may use: by its affinity and the quota of its control group.

Why: in a container the machine has more processors than its processes get.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

GROUP, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def available() -> int:
    """The number of processors, at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(min(count, max(1.0, quota())))


def quota() -> float:
    """The quota of this process's control group, in processors; infinite without a limit."""
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
        # In a container the path may be the host's, and the group itself is at the root.
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
            time_, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return math.inf if time_.strip() in ("max", "-1") else int(time_) / int(period)
    except (OSError, ValueError):
        return math.inf
