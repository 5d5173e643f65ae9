"""The faults of local cells: each breaks a run, and lets it or the next one heal.

Why: an operator meets kills, full disks, second runs and removed folders. A new fault is one function here
and a line in cells.py.
"""

from __future__ import annotations

import shutil

from infra.crash_matrix import checks, clock, disks, processes
from infra.crash_matrix.cells import FULL_PREFECT, JUMPS, Cell
from infra.crash_matrix.local import PATIENCE, Fault, Level, ended, until
from infra.crash_matrix.result import Result
from seq2seq.common.exits import Exit


def _signal(level: Level, cell: Cell, result: Result) -> None:
    name, role = cell.fault.split()
    run = level.start(*until(cell))
    level.until_paused(run)
    hit = processes.of_role(level.mark, role, cell.place)
    if not processes.send(hit, name):
        result.problems.append(f"there was no process with the role {role}")
    level.release()
    status = run.wait(PATIENCE)
    found = checks.orphans(level.mark)
    if cell.place != "promote":
        found += checks.unfinished_results(level.folder, cell.place)
    result.problems += found
    reason = level.last_line() if status > 0 else "no message"
    result.state = f"{ended(status)}; {reason}" if status > 0 else ended(status)
    level.heal(cell, result)


def _two(level: Level, cell: Cell, result: Result) -> None:
    run = level.start(*until(cell))
    level.until_paused(run)
    other = level.home / "second.log"
    second = level.start(*until(cell), log=other).wait(PATIENCE)
    if second != Exit.MISTAKE or "another run holds" not in other.read_text():
        result.problems.append(f"the second run ended with {second}: {other.read_text()[-200:]}")
    result.state = f"second run refused with {second}; the first one goes on"
    level.finish(cell, result, run)


def _server(level: Level, cell: Cell, result: Result) -> None:
    run = level.start(*until(cell), own_server=True)
    level.until_paused(run)
    if not processes.send(processes.of_role(level.mark, "prefect", cell.place), "SIGKILL"):
        result.problems.append("the run had no server of its own")
    result.state = "the run starts its server again and goes on"
    level.finish(cell, result, run)


def _removed(level: Level, cell: Cell, result: Result) -> None:
    run = level.start(*until(cell))
    level.until_paused(run)
    aside = level.home / "removed"
    level.folder.rename(aside)  # a folder that is being written to cannot be removed in one step
    shutil.rmtree(aside)
    level.release()
    status = run.wait(PATIENCE)
    result.problems += checks.orphans(level.mark)
    if not status:
        result.problems.append("the run without a folder ended with 0")
    result.state = f"{ended(status)}; nothing of the folder left"
    level.prepare(cell)
    level.heal(cell, result)


def _record(level: Level, cell: Cell, result: Result) -> None:
    """A kill of DVC between making the folder of its record of a run and writing the record."""
    level.prepare(cell, keep_records=True)
    emptied = 0
    for record in (level.folder / ".dvc/cache/runs").glob("*/*/*"):
        if f"-m seq2seq {cell.place}" in record.read_text("utf-8"):
            record.unlink()
            emptied += 1
    if not emptied:
        result.problems.append("DVC has no record of the stage")
    result.state = "an empty folder in .dvc/cache/runs"
    level.heal(cell, result)


FAULTS: dict[str, Fault] = {
    "signal": _signal,
    "two runs at once": _two,
    "SIGKILL prefect": _server,
    "folder removed": _removed,
    "disk full": disks.fill,
    "empty record of DVC": _record,
    FULL_PREFECT: disks.fill,
    **dict.fromkeys(JUMPS, clock.jump),
}


def of(cell: Cell) -> Fault:
    """The function of a cell's fault."""
    is_signal = cell.fault.startswith("SIG") and not cell.fault.endswith("prefect")
    return FAULTS["signal" if is_signal else cell.fault]
