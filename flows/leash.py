"""Run a Python module as a child that dies with its parent: `python -P leash.py PARENT MODULE ARGS`.

Why: a flow killed by force must leave nothing behind that still writes into the workspace. It is run
by path, so that it is the same file whatever the working directory holds.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Put the leash on, then become the module."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":  # elsewhere a child of a killed flow runs on, and holds its lock
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the leash was on
        sys.exit(f"{module}: its parent process is gone")
    # A shell's background job ignores SIGINT and hands that down; stages stop by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
