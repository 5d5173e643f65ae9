"""Processes that end with their parent: `python -P processes.py PARENT MODULE ARGS` runs a module as one.

Why: after a SIGKILL no child process may go on writing into the workspace or holding memory. The file is run
by its path, independent of the working directory, and imports the standard library only.
"""

import ctypes
import json
import os
import runpy
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PR_SET_PDEATHSIG = 1
INTERRUPTED = 130  # exit status
RUNNER = "SEQ2SEQ_RUNNER"  # the pid of DVC, which a stage must not outlive
RWLOCK = Path(".dvc/tmp/rwlock")  # DVC's record of the processes that read and write each path


def die_with(parent: int | None = None) -> None:
    """Request SIGTERM at the parent's death; exit if `parent` is given and is no longer the parent.

    Linux only. On other systems the child of a killed process keeps running, with its lock.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent is not None and os.getppid() != parent:  # it died before the request
        sys.exit("the parent process has ended")


@contextmanager
def stop_requested() -> Iterator[threading.Event]:
    """An event set by Ctrl-C and SIGTERM, so that the current update is completed first."""
    stop = threading.Event()

    def request(signum: int, frame: object) -> None:
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {name: signal.signal(name, request) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def die_with_dvc() -> None:
    """For a stage: like `die_with`, for DVC, which does not pass its pid on.

    If a flow runs DVC, the environment has the pid; otherwise DVC's record of its locks.
    """
    die_with()
    if sys.platform != "linux":
        return
    runners = {int(os.environ[RUNNER])} if os.environ.get(RUNNER, "").isdecimal() else set()
    if not runners and "DVC_STAGE" in os.environ:
        runners = _writers()
    if runners and not runners & set(_ancestors()):
        sys.exit("the DVC process that ran this stage has ended: the stage stops")


def _writers() -> set[int]:
    """The pids that write outputs, from DVC's record; empty if there is none."""
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
    """Bind this process to its parent, then run the module."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    die_with(parent)
    os.environ[RUNNER] = str(os.getpid())
    # Background jobs of a shell inherit an ignored SIGINT, but stages need it to stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = sys.argv[2:]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:  # e.g. during imports; no traceback
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
