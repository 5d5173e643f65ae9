"""Pause a process at an exact point: the file of the variable CRASH_MATRIX_PAUSE names process and point.

Why: a fault has to hit the middle of a stage, however fast the machine is. Python imports this module at the
start of each process whose PYTHONPATH has this folder; the project has no code for the matrix.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

PATIENCE = 240.0  # seconds of a pause at most


def _install(plan: dict[str, Any], file: Path) -> None:
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event != plan["event"]:
            return
        target = arguments[0] if event == "open" else arguments[1]
        if event == "open" and not set("wax+") & set(arguments[1] or ""):
            return
        if plan["path"] not in str(target) or not file.exists():
            return
        seen += 1
        if seen == plan["nth"]:
            file.with_name("paused").write_text(str(os.getpid()))
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline and not file.with_name("released").exists():
                time.sleep(0.02)

    sys.addaudithook(hook)


def main() -> None:
    """Install the pause if this process is the one of the plan."""
    file = Path(os.environ.get("CRASH_MATRIX_PAUSE", "/nonexistent"))
    if file.is_file():
        plan = json.loads(file.read_text())
        if plan["words"] in " ".join(sys.orig_argv):
            _install(plan, file)


main()
