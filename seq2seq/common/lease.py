"""The lease of a device: one training at a time on it, across workspaces and deployments of one host.

Why: two trainings on one GPU run out of memory or take twice as long, and neither detects the other. The
kernel frees the lease however its holder ends.

SEQ2SEQ_LEASE names a lease for CPUs and other devices, or for several hosts (flows/lease.py); `none` turns
the lease off. SEQ2SEQ_BUSY=refuse fails at once where `wait`, the default, waits.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from seq2seq.common import locks
from seq2seq.common.errors import UserError

LEASE, BUSY, NONE = "SEQ2SEQ_LEASE", "SEQ2SEQ_BUSY", "none"
DRIVER = Path("/dev/nvidiactl")  # there is one if the machine has a CUDA device
PATIENCE = 7 * 86400.0  # seconds


def waits() -> bool:
    """Whether a training waits for a lease that is held; raises UserError for an unknown SEQ2SEQ_BUSY."""
    policy = os.environ.get(BUSY) or "wait"
    if policy not in ("wait", "refuse"):
        raise UserError(f"{BUSY}={policy}: must be wait or refuse")
    return policy == "wait"


def named() -> str:
    """The name in SEQ2SEQ_LEASE; empty if there is none."""
    name = os.environ.get(LEASE, "")
    return "" if name == NONE else name


def resources() -> list[str]:
    """The resources that a training of this process holds alone, in the order in which they are taken."""
    if os.environ.get(LEASE) == NONE:
        return []
    found = [f"{LEASE}={named()}"] if named() else []
    device = os.environ.get("SEQ2SEQ_DEVICE") or ("cuda" if DRIVER.exists() else "cpu")
    if not device.startswith("cuda"):
        return found
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    index = device.partition(":")[2]
    first = int(index) if index.isdigit() else 0
    numbers = range(first, first + int(os.environ.get("SEQ2SEQ_PROCESSES") or 1))
    return found + sorted(f"cuda:{visible[n] if n < len(visible) else n}" for n in numbers)


@contextmanager
def held() -> Iterator[None]:
    """Hold the leases of this process's training; a rank of several processes has those of its launcher.

    Raises TransientError if one is held and SEQ2SEQ_BUSY is `refuse`.
    """
    patience = PATIENCE if waits() else 0.0
    with ExitStack() as stack:
        for name in resources() if "RANK" not in os.environ else ():
            file = f"lease-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
            path = locks.private_folder() / file
            stack.enter_context(locks.exclusive(path, f"the lease of {name}", patience))
        yield
