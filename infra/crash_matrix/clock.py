"""The clock of a run jumps by a day: a small C library changes the time of day that its processes read.

Why: a machine whose clock is corrected must lose no checkpoint, no lock and no record. As in a real jump, the
clock that only counts seconds (CLOCK_MONOTONIC) goes on; the times of files stay true.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from infra.crash_matrix.cells import JUMPS, Cell
from infra.crash_matrix.local import Level, ended, until
from infra.crash_matrix.result import Result

SOURCE = Path(__file__).with_name("clock.c")
VARIABLE = "CRASH_MATRIX_CLOCK"


def jump(level: Level, cell: Cell, result: Result) -> None:
    """The run itself has to reach its end, with a Prefect server of its own, whose clock jumps too."""
    variables = prepare(level.home)
    if not variables:
        result.skipped = "no C compiler here"
        return
    run = level.start(*until(cell), own_server=True, variables=variables)
    level.until_paused(run)
    shift(level.home, JUMPS[cell.fault])
    level.finish(cell, result, run)
    result.state = f"{ended(run.returncode)}: the same run goes on"


def prepare(folder: Path) -> dict[str, str]:
    """Variables of processes whose clock `shift` changes, at first by nothing; empty without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return {}
    made = folder / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(SOURCE), "-ldl"], check=True)
    (folder / "clock").write_bytes(bytes(8))
    return {"LD_PRELOAD": str(made), VARIABLE: str(folder / "clock")}


def shift(folder: Path, seconds: int) -> None:
    """Change the clock of the processes at once."""
    with (folder / "clock").open("r+b") as file:  # in place: they have it in their memory
        file.write(struct.pack("=q", seconds))
