"""Local cells: `seq2seq run` with its own files, broken at a point of one stage, then run again.

Why: most of what a crash can damage is in the workspace, and there a cell takes seconds.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock

from infra.crash_matrix import checks, processes, project, records
from infra.crash_matrix.cells import DECISION, POINTS, Cell
from infra.crash_matrix.result import Result
from infra.crash_matrix.server import Client, Server, now
from seq2seq.common import sqlite

PATIENCE = 300.0  # seconds of one run
HOOK = Path(__file__).parent / "hook"
Fault = Callable[["Level", Cell, Result], None]


def undisturbed(home: Path) -> tuple[Path, str]:
    """The folder of the undisturbed run, made if it is missing, and the hash of its weights."""
    file = home / "finished.json"
    with FileLock(home / "finished.lock"):  # lanes share it
        if not file.exists() or json.loads(file.read_text())["code"] != project.code():
            server = Server(home / "prefect")
            try:
                _run_undisturbed(server.client.api, home, file)
            finally:
                server.stop()
    return home / "finished", str(json.loads(file.read_text())["weights"])


def _run_undisturbed(api: str, home: Path, file: Path) -> None:
    folder, saved = home / "work/project", home / "finished"
    for old in (folder, saved):
        shutil.rmtree(old, ignore_errors=True)
    file.unlink(missing_ok=True)
    project.create(folder)
    done = subprocess.run(
        [sys.executable, "-m", "flows", "run", "--until", "register"],
        cwd=folder,
        env=project.environment(PREFECT_API_URL=api),
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * PATIENCE,
    )
    if done.returncode:
        raise processes.StuckError(f"the undisturbed run ended with {done.returncode}: {done.stdout[-2000:]}")
    shutil.copytree(folder, saved, symlinks=True)
    sqlite.relocate(saved / "mlflow.db", str(folder), str(saved))
    facts = {"code": project.code(), "weights": project.sha256(folder / project.WEIGHTS)}
    file.write_text(json.dumps(facts))


class Level:
    """The local cells' folders and Prefect server."""

    def __init__(self, client: Client, saved: Path, weights: str, home: Path) -> None:
        self.client, self.saved, self.weights, self.home = client, saved, weights, home
        self.folder, self.pauses, self.log = home / "work/project", home / "pause", home / "run.log"
        self.reference: project.Lock = project.read_lock(saved)
        self.mark = ""

    def start(
        self,
        *arguments: str,
        own_server: bool = False,
        log: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start `seq2seq run` in the folder of the cells."""
        with (log or self.log).open("w") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "flows", "run", *arguments],
                cwd=self.folder,
                env={**self.variables(own_server), **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def variables(self, own_server: bool = False) -> dict[str, str]:
        """The environment of a run."""
        found = {processes.MARK: self.mark, "PYTHONPATH": str(HOOK)}
        found["CRASH_MATRIX_PAUSE"] = str(self.pauses / "plan.json")
        if not own_server:
            found["PREFECT_API_URL"] = self.client.api
        return project.environment(**found)

    def run(self, cell: Cell, fault: Fault) -> Result:
        """Break, check, heal, check; never raises for a cell that does not heal."""
        self.mark = f"{cell.name}-{time.time():.0f}"
        self.client.since = now()
        began = time.monotonic()
        result = Result(cell, state="", problems=[])
        try:
            self.prepare(cell)
            fault(self, cell, result)
        except (processes.StuckError, subprocess.TimeoutExpired) as error:
            result.problems.append(str(error)[:300])
        finally:
            shutil.rmtree(self.pauses, ignore_errors=True)
            result.problems += [f"left: {command}" for command in processes.end_all(self.mark)]
        result.total = round(time.monotonic() - began, 1)
        return result

    def prepare(self, cell: Cell, keep_records: bool = False) -> None:
        """The folder just before the stage, and the point where that stage pauses."""
        project.restore(self.saved, self.folder)
        sqlite.relocate(self.folder / "mlflow.db", str(self.saved), str(self.folder))
        shutil.rmtree(self.folder / ".checkpoints", ignore_errors=True)
        records.take_back(self.folder, cell.place)
        if cell.place != "promote":
            project.rewind(self.folder, cell.place, keep_records)
        shutil.rmtree(self.pauses, ignore_errors=True)
        self.pauses.mkdir(parents=True)
        point, words = POINTS[cell.place], f"-m seq2seq {cell.place}"
        if cell.place == "promote":
            words = "seq2seq.gate.evidence"
            if not cell.fault.endswith("stage"):
                point, words = DECISION, "-m flows run"
        plan = {"words": words, "event": point[0], "path": point[1], "nth": point[2]}
        (self.pauses / "plan.json").write_text(json.dumps(plan))

    def until_paused(self, run: subprocess.Popen[bytes]) -> None:
        """Wait until the stage is at its point."""
        paused = self.pauses / "paused"
        processes.wait_for(
            lambda: paused.exists() or run.poll() is not None, PATIENCE, "the point of the fault"
        )
        if not paused.exists():
            raise processes.StuckError(f"the run ended before its point: {self.log.read_text()[-500:]}")

    def release(self) -> None:
        """Let a paused process go on."""
        (self.pauses / "released").touch()

    def heal(self, cell: Cell, result: Result) -> None:
        """Run again as a person would, and check what comes out."""
        shutil.rmtree(self.pauses, ignore_errors=True)
        began = time.monotonic()
        status = self.start(*until(cell)).wait(PATIENCE)
        result.healed = round(time.monotonic() - began, 1)
        if status:
            result.problems.append(f"the next run ended with {status}: {self.last_line()}")
        self.check(cell, result)

    def finish(self, cell: Cell, result: Result, run: subprocess.Popen[bytes]) -> None:
        """Check a run that has to reach its end in spite of the fault."""
        began = time.monotonic()
        self.release()
        status = run.wait(PATIENCE)
        result.healed = round(time.monotonic() - began, 1)
        if status:
            result.problems.append(f"the run ended with {status}: {self.last_line()}")
        self.check(cell, result)

    def check(self, cell: Cell, result: Result) -> None:
        """All checks after a healing run."""
        place = cell.place
        result.problems += checks.orphans(self.mark)
        result.problems += checks.results(self.folder, self.reference, "train")
        wrong = checks.weights(self.folder, self.weights)
        result.same_weights = not wrong
        result.problems += wrong + checks.registry(self.folder, place) + checks.waiting_records(self.folder)
        found = checks.curve_of_file(self.folder)
        result.problems += checks.curve(found, checks.curve_of_file(self.saved))
        result.problems += checks.prefect(self.client.count)

    def last_line(self) -> str:
        """The error of the run's output, or else its last line."""
        lines = self.log.read_text("utf-8", "replace").strip().splitlines() or [""]
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines)[-1][:200]


def ended(status: int) -> str:
    """An exit status as words."""
    return f"run killed by signal {-status}" if status < 0 else f"run ended with {status}"


def until(cell: Cell) -> list[str]:
    """The arguments of the healing run: training is always part of it."""
    if cell.place == "promote":
        return []
    return ["--until", cell.place if cell.place in ("evaluate", "register") else "train"]
