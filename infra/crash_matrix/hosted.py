"""Hosted cells: a run of the deployment `retrain` by a worker, with the team's servers.

Why: only servers and workers can lose a run that looks alive, a slot, or a registry in another process.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from infra.crash_matrix import checks, disks, processes, project, records
from infra.crash_matrix.cells import AWAY, FULL_DATABASE, POINTS, Cell
from infra.crash_matrix.local import HOOK
from infra.crash_matrix.registry import Registry
from infra.crash_matrix.result import Result
from infra.crash_matrix.server import OPEN, Client, now
from infra.services.topology import PORTS

OFFSET = int(os.environ.get("SERVICES_PORT_OFFSET", "1300"))  # beside a set that a person has started
PATIENCE = 420.0  # seconds of one run
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
SERVERS = ("prefect", "mlflow", "database", "store")


@contextmanager
def level(saved: Path, weights: str) -> Iterator[Level]:
    """The servers and one worker, started for the hosted cells and removed after them."""
    # Not below the home folder of a user, which the user of PostgreSQL cannot enter.
    home = Path(tempfile.mkdtemp(prefix="seq2seq-crash-matrix-"))
    home.chmod(0o711)
    found = Level(home, saved, weights)
    found.shared = disks.separate()  # before the servers start, which inherit the mounts
    try:
        found.services("start", "--workers", "1")
        found.connect()
        yield found
    finally:
        with suppress(subprocess.CalledProcessError):
            found.services("stop", "--delete-data")
        shutil.rmtree(home, ignore_errors=True)


class Level:
    """A host folder with its servers, and the clone in which the worker runs."""

    def __init__(self, home: Path, saved: Path, weights: str) -> None:
        self.home, self.weights = home, weights
        self.host, self.pauses = home / "host", home / "pause"
        self.clone, self.saved_clone = self.host / ".cache/retrain/retrain", home / "clone"
        self.shared = "the mounts are those of the machine"  # why no server can have a small disk
        self.mark = f"hosted-{os.getpid()}-{time.time():.0f}"
        self.pauses.mkdir()
        shutil.copytree(saved, self.saved_clone, symlinks=True)
        shutil.copytree(
            saved, self.host, symlinks=True, ignore=shutil.ignore_patterns("mlflow.db*", "mlruns")
        )
        for name in ("mlflow.db", "mlruns", ".cache", ".dvc/cache", ".prefect"):
            target = self.saved_clone / name
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        self.reference, self.curve = project.read_lock(saved), checks.curve_of_file(saved)

    def services(self, *arguments: str) -> None:
        """`make services` in the host's folder; the worker and its runs have the mark and the hook."""
        more = {processes.MARK: self.mark, "PYTHONPATH": str(HOOK), "PREFECT_WORKER_QUERY_SECONDS": "2"}
        more |= {"CRASH_MATRIX_PAUSE": str(self.pauses / "plan.json"), "SERVICES_PORT_OFFSET": str(OFFSET)}
        more |= {"SEQ2SEQ_REPOSITORY": str(self.saved_clone)}
        with (self.home / "services.log").open("a") as log:
            subprocess.run(
                [sys.executable, "-m", "infra.services", *arguments],
                cwd=self.host,
                env=project.environment(**more),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=True,
            )

    def connect(self) -> None:
        """The client of the servers, and the deployment."""
        text = (self.host / ".services/env").read_text()
        variables = dict(re.findall(r"^export (\w+)='(.*)'$", text, re.MULTILINE))
        self.client = Client(variables["PREFECT_API_URL"], variables["PREFECT_API_AUTH_STRING"])
        login = f"{variables['MLFLOW_TRACKING_USERNAME']}:{variables['MLFLOW_TRACKING_PASSWORD']}"
        self.registry = Registry(variables["MLFLOW_TRACKING_URI"], login)
        body = {"deployments": {"name": {"any_": ["retrain"]}}}
        self.deployment = self.client.request("deployments/filter", body)[0]["id"]

    def run(self, cell: Cell) -> Result:
        """Break, check, heal, check; never raises for a cell that does not heal."""
        began, result = time.monotonic(), Result(cell)
        if cell.fault == FULL_DATABASE and self.shared:
            result.skipped = self.shared
            return result
        try:
            self.services("start")
            with self._disk(cell) as disk:
                self._prepare(cell)
                self.client.since = now()
                self._break(cell, result, disk)
                self.heal(result)
        except (processes.StuckError, subprocess.SubprocessError, OSError, psutil.Error) as error:
            result.problems.append(str(error)[:300])
        finally:
            (self.pauses / "released").touch()
            (self.pauses / "plan.json").unlink(missing_ok=True)
            for process in self.working():
                with suppress(psutil.Error):
                    process.kill()
        result.total = round(time.monotonic() - began, 1)
        return result

    @contextmanager
    def _disk(self, cell: Cell) -> Iterator[disks.Small | None]:
        """A small disk below the database, for the cell that fills it."""
        if cell.fault != FULL_DATABASE:
            yield None
            return
        self._end_database()
        with disks.Small(self.host / ".services/database") as disk:
            try:
                self.services("start")
                yield disk
            finally:
                disk.free()
                self._end_database()

    def _end_database(self) -> None:
        record = json.loads((self.host / ".services/processes.json").read_text())["database"]
        with suppress(psutil.NoSuchProcess):
            database = psutil.Process(record["pid"])
            database.send_signal(signal.SIGINT)  # it does not wait for its clients
            database.wait(60)

    def _prepare(self, cell: Cell) -> None:
        wanted = {"state": OPEN}
        # Runs of a cell that did not heal.
        for run in self.client.request("flow_runs/filter", {"flow_runs": wanted}):
            state = {"type": "CRASHED", "message": "the next cell begins"}
            self.client.request(f"flow_runs/{run['id']}/set_state", {"state": state})
        password = (self.host / ".services/secrets/database-mlflow-password").read_text().strip()
        address = f"127.0.0.1:{PORTS['database'] + OFFSET}/mlflow"
        records.take_back_all(f"postgresql://mlflow:{quote(password, safe='')}@{address}")
        project.restore(self.saved_clone, self.clone)
        project.rewind(self.clone, cell.place, cache=self.host / ".dvc/cache")
        shutil.rmtree(self.clone / ".checkpoints", ignore_errors=True)
        shutil.rmtree(self.pauses)
        self.pauses.mkdir()
        event, path, nth = POINTS[cell.place]
        plan = {"words": f"-m seq2seq {cell.place}", "event": event, "path": path, "nth": nth}
        (self.pauses / "plan.json").write_text(json.dumps(plan))

    def _schedule(self) -> str:
        return str(self.client.request(f"deployments/{self.deployment}/create_flow_run", {})["id"])

    def _read(self, run: str) -> dict[str, Any]:
        with suppress(OSError):  # the server may be the one that is gone
            found = self.client.request("flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
            return dict(found[0]) if found else {"state_type": "DELETED", "state_name": "Deleted"}
        return {"state_type": "", "state_name": ""}

    def _ended(self, run: str, seconds: float) -> dict[str, Any]:
        def found() -> dict[str, Any]:
            state = self._read(run)
            return state if state["state_type"] in (*ENDED, "DELETED") else {}

        return processes.wait_for(found, seconds, "the end of the flow run", 0.5)

    def working(self) -> list[psutil.Process]:
        """Processes of runs: all that belong to the set, without the servers and the workers."""
        found = []
        for process in processes.of_cell(self.mark):
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if any(word in line for word in ("prefect.engine", "-m seq2seq ", "processes.py")):
                    found.append(process)
        return found

    def _break(self, cell: Cell, result: Result, disk: disks.Small | None) -> None:
        run = self._schedule()
        paused = self.pauses / "paused"
        processes.wait_for(paused.exists, PATIENCE, "the point of the fault", 0.2)
        began = time.monotonic()
        stopped = self._fault(cell, run, result)
        if disk is not None:
            disk.fill()
        (self.pauses / "released").touch()
        if disk is not None or f"{AWAY:.0f} s" in cell.fault:
            result.state = f"{self._endure()}; "
        if disk is not None:
            disk.free()
            log = (self.host / ".services/logs/database.log").read_text("utf-8", "replace")
            if "No space left on device" not in log:
                result.problems.append("the database did not meet its full disk")
        processes.send(stopped, "SIGCONT")
        self.services("start")  # restarts dead processes, as a supervisor does
        state = self._ended(run, PATIENCE)
        if state["state_type"] == "DELETED":  # the server cannot stop it: it goes on to its end
            processes.wait_for(lambda: not self.working(), PATIENCE, "the end of the deleted run", 0.5)
        message = " ".join(((state.get("state") or {}).get("message") or "").split())[:120]
        took = time.monotonic() - began
        result.state = f"{result.state}run {state['state_name']} {took:.0f} s after the fault; {message}"
        result.problems += self.left()

    def _endure(self) -> str:
        """Let the run go on without a server for a while; returns the records kept for MLflow, as text."""
        most, until = 0, time.monotonic() + AWAY
        while time.monotonic() < until:
            most = max(most, len(list((self.clone / ".cache/mlflow").rglob("*.zip"))))
            time.sleep(0.5)
        return f"up to {most} records waited for MLflow"

    def _fault(self, cell: Cell, run: str, result: Result) -> list[psutil.Process]:
        """Carry the fault out; returns the processes that have to go on later."""
        words, stopped = cell.fault.split(), []
        if cell.fault == "cancelled by the API":
            body = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
            self.client.request(f"flow_runs/{run}/set_state", body)
        elif cell.fault == "flow run deleted":
            self.client.request(f"flow_runs/{run}", method="DELETE")
        elif cell.fault == "two runs at once":
            second = self._ended(self._schedule(), 120)
            result.state = f"second run {second['state_name']}; first "
            if second["state_type"] != "CANCELLED":
                result.problems.append(f"the second run ended {second['state_name']}")
        elif cell.fault == "reboot":
            self.kill([*SERVERS, "worker-1"], "SIGKILL")
            processes.send(self.working(), "SIGKILL")
        elif words[0] in SERVERS:  # away, or silent: it accepts connections and does not answer
            stopped = self.kill([words[0]], "SIGSTOP" if words[1] == "silent" else "SIGKILL")
        elif cell.fault == FULL_DATABASE:
            pass
        elif words[1] in SERVERS:
            self.kill([words[1]], words[0])
        elif words[1] == "worker":
            self.kill(["worker-1"], words[0], tree=False)
            if cell.fault.endswith("flow"):
                processes.send(processes.of_role(self.mark, "flow", cell.place), words[0])
        elif not processes.send(processes.of_role(self.mark, words[1], cell.place), words[0]):
            result.problems.append(f"there was no process with the role {words[1]}")
        return stopped

    def kill(self, names: list[str], name_of_signal: str, tree: bool = True) -> list[psutil.Process]:
        """Send a signal to servers; returns their processes."""
        records, hit = json.loads((self.host / ".services/processes.json").read_text()), []
        for name in names:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(records[name]["pid"])
                hit += [process, *(process.children(recursive=True) if tree else [])]
        processes.send(hit, name_of_signal)
        return hit

    def left(self) -> list[str]:
        """The processes of runs that are left some time after the end of all runs, as problems."""
        try:
            processes.wait_for(lambda: not self.working(), checks.ENDING, "the end of the run's processes")
        except processes.StuckError:
            return [f"orphan: {' '.join(process.cmdline())[:120]}" for process in self.working()]
        return []

    def heal(self, result: Result) -> None:
        """Run once more undisturbed, and add to the result what is wrong then."""
        (self.pauses / "plan.json").unlink(missing_ok=True)
        began = time.monotonic()
        state = self._ended(self._schedule(), PATIENCE)
        result.healed = round(time.monotonic() - began, 1)
        if state["state_type"] != "COMPLETED":
            result.problems.append(
                f"the next run: {state['state_name']} {(state.get('state') or {}).get('message')}"
            )
        wrong = checks.weights(self.clone, self.weights)
        result.same_weights = not wrong
        result.problems += wrong + self.left() + checks.results(self.clone, self.reference, "train")
        result.problems += checks.waiting_records(self.clone) + checks.prefect(self.client.count)
        result.problems += [f"MLflow run {run} is still open" for run in self.registry.open_runs()]
        result.problems += [f"version {version} is not ready" for version in self.registry.unready()]
        result.problems += [f"{name} has no champion" for name in self.registry.without("champion")]
        # reports/run.json may name a run of the undisturbed registry, which is made again on this server.
        versions = self.registry.runs_of_versions()
        result.problems += checks.curve(self.registry.curve(versions[0]) if versions else [], self.curve)
