"""Processes that end with their parent: `python -P processes.py PARENT MODULE ARGS` runs a module as one.

Why: who is killed by force must leave nothing behind that still writes into the workspace or holds memory.
It is run by path, so that it is the same file whatever the working directory holds, and imports the
standard library alone.
"""

import ctypes
import json
import os
import runpy
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
INTERRUPTED = 130  # exit status
RUNNER = "SEQ2SEQ_RUNNER"  # the process that a stage must not outlive, by its number: DVC's
RWLOCK = Path(".dvc/tmp/rwlock")  # DVC's own record of which of its processes reads and writes what


def die_with(parent: int | None = None) -> None:
    """Get SIGTERM when the parent dies; exit at once if `parent` is named and is the parent no more.

    On Linux. Elsewhere a child of a killed process runs on, and holds its lock.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent is not None and os.getppid() != parent:  # it died before the signal was asked for
        sys.exit("its parent process is gone")


def die_with_dvc() -> None:
    """For a stage: as `die_with`, where DVC does not pass its number on.

    It stands in the environment if a flow runs DVC; else DVC's record of its locks has it.
    """
    die_with()
    if sys.platform != "linux":
        return
    runners = {int(os.environ[RUNNER])} if os.environ.get(RUNNER, "").isdecimal() else set()
    if not runners and "DVC_STAGE" in os.environ:
        runners = _writers()
    if runners and not runners & set(_ancestors()):
        sys.exit("the DVC that ran this stage is gone: it does nothing")


def _writers() -> set[int]:
    """The processes that write outputs by DVC's record; empty if there is none."""
    try:
        return {int(info["pid"]) for info in json.loads(RWLOCK.read_text("utf-8"))["write"].values()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return set()


def _ancestors() -> list[int]:
    """The parent of this process, its parent, and so on."""
    found, pid = [], os.getppid()
    while pid > 0:
        found.append(pid)
        try:
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2]
            pid = int(fields.split()[1])
        except (OSError, ValueError, IndexError):
            break
    return found


def main() -> None:
    """Tie this process to its parent, then become the module."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    die_with(parent)
    os.environ[RUNNER] = str(os.getpid())
    # A shell's background job ignores SIGINT and hands that down; stages stop by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = sys.argv[2:]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:  # while it imports, say; asked for, and so no traceback
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
