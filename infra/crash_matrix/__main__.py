"""`python -m infra.crash_matrix`: run the cells that have not healed with this code, then write the table.

Why: `make crash-matrix` can be stopped and called again; it goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from infra.crash_matrix import cells, faults, hosted, local, project, result
from infra.crash_matrix.server import Server
from seq2seq.common.exits import Exit

RESULTS = project.ROOT / "docs/crash-matrix.jsonl"
PAGE = project.ROOT / "docs/crash-matrix.md"


def main(arguments: list[str] | None = None) -> int:
    """Run cells; the exit status is 0 if all of them heal."""
    parser = argparse.ArgumentParser(prog="python -m infra.crash_matrix", description=__doc__)
    parser.add_argument("cells", nargs="?", default="all", help="all, local, hosted, ci, or a part of names")
    parser.add_argument("--again", action="store_true", help="also cells that have healed with this code")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--lane", default="1", help="a name: cells of two lanes can run side by side")
    parser.add_argument("--results", type=Path, help="of JSON lines; default: the file beside the table")
    options = parser.parse_args(arguments)
    if options.results is None:  # a check of a commit does not change what the commit has
        options.results = project.HOME / "ci.jsonl" if options.cells == "ci" else RESULTS
    wanted = cells.select(options.cells)
    if not wanted:
        print(f"error: no cell has {options.cells!r} in its name", file=sys.stderr)
        return Exit.MISTAKE
    if options.list:
        print("\n".join(cell.name for cell in wanted))
        return Exit.DONE
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(Exit.INTERRUPTED))  # servers are stopped
    if not options.table:
        project.HOME.mkdir(parents=True, exist_ok=True)
        try:
            levels = "-".join(sorted({cell.level for cell in wanted}))
            with FileLock(project.HOME / f"{levels}-{options.lane}.lock", timeout=0):
                failed = _run(wanted, options.results, options.again, options.lane)
        except Timeout:
            print("error: another crash matrix runs in this folder", file=sys.stderr)
            return Exit.MISTAKE
    else:
        failed = 0
    if options.results == RESULTS:
        known = result.load(RESULTS)
        order = [cell.name for cell in cells.select("all")]
        result.write(
            PAGE, result.table([known[name] for name in order if name in known], project.code(), len(order))
        )
    return Exit.FAILED if failed else Exit.DONE


def _run(wanted: list[cells.Cell], file: Path, again: bool, lane: str) -> int:
    """Run what has not healed with this code; returns the number of cells that do not heal."""
    code, commit, known = project.code(), project.commit(), result.load(file)
    healed = {name for name, record in known.items() if record["outcome"] == "healed"}
    fresh = {name for name in healed if known[name]["code"] == code and not again}
    missing = [cell for cell in wanted if cell.name not in fresh]
    print(
        f"{len(wanted)} cells, {len(wanted) - len(missing)} of them healed with this code already", flush=True
    )
    failed = 0
    os.nice(max(0, 10 - os.nice(0)))
    here = [cell for cell in missing if cell.level == "local"]
    if here:
        saved, weights = local.undisturbed(project.HOME)
        home = project.HOME / f"lane-{lane}"
        server = Server(home / "prefect")
        try:
            level = local.Level(server.client, saved, weights, home)
            failed += sum(
                _one(lambda cell: level.run(cell, faults.of(cell)), cell, file, commit, code) for cell in here
            )
        finally:
            server.stop()
    there = [cell for cell in missing if cell.level == "hosted"]
    if there:
        saved, weights = local.undisturbed(project.HOME)
        with hosted.level(saved, weights) as servers:
            failed += sum(_one(servers.run, cell, file, commit, code) for cell in there)
    return failed


def _one(
    run: Callable[[cells.Cell], result.Result], cell: cells.Cell, file: Path, commit: str, code: str
) -> bool:
    """Run a cell, keep and print its result; returns whether it failed."""
    record = run(cell).record(commit, code)
    result.append(file, record)
    took = f"{record['seconds']:.0f} s"
    print(f"{record['outcome']:8} {cell.name:45} {took:>6}  {'; '.join(record['problems'])}", flush=True)
    return bool(record["outcome"] == "failed")


if __name__ == "__main__":
    sys.exit(main())
