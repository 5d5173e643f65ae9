"""Processes of the servers in the background: start, wait until healthy, stop, memory.

Why: `make services` ends while the servers go on. A file names the process of each server together with the
time at which it began, so that a number that another process has got later is never stopped.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from infra.services import health
from infra.services.topology import ROOT, Topology, write_private
from seq2seq.common.errors import TransientError, UserError

PATIENCE = 240.0  # seconds until a server is healthy; the first start makes tables
POLL = 0.2
GRACE = {
    "database": 30.0,
    "store": 30.0,
    "worker": 90.0,
}  # seconds to end by itself; a training may take 60 s to save
# PostgreSQL waits for its clients after SIGTERM, not after SIGINT.
SIGNALS = {"database": signal.SIGINT}
# PostgreSQL does not start before all processes of a killed one are gone, a moment after SIGKILL.
REFUSED = ('lock file "postmaster.pid" already exists', "pre-existing shared memory block")
ENDING = 30.0  # seconds in which a database that ended so is started again


class Processes:
    """The processes of a folder's servers, by name."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "processes.json"
        self.logs = folder / "logs"
        try:
            self.records: dict[str, dict[str, Any]] = json.loads(self.file.read_text("utf-8"))
        except FileNotFoundError:
            self.records = {}

    def running(self, name: str) -> psutil.Process | None:
        """The process of a server if it is alive."""
        record = self.records.get(name)
        with suppress(psutil.NoSuchProcess):
            if record:
                found = psutil.Process(record["pid"])
                alive = found.status() != psutil.STATUS_ZOMBIE
                if alive and abs(found.create_time() - record["began"]) < 1:
                    return found
        return None

    def start(self, name: str, topology: Topology) -> None:
        """Start a server; its output goes to logs/NAME.log."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = os.open(self.logs / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "infra.services", "run", name],
                cwd=ROOT,
                env={**os.environ, **topology.variables(), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            os.close(log)
        began = psutil.Process(process.pid).create_time()
        self.records[name] = {"pid": process.pid, "began": began, "seconds": None}
        self._save()

    def wait(self, names: list[str], topology: Topology) -> None:
        """Return once all are healthy; raises TransientError with the last lines of a log."""
        began, waiting = time.time(), list(names)
        while waiting:
            for name in list(waiting):
                reason = health.problem(name, topology)
                record = self.records[name]
                if not reason:
                    waiting.remove(name)
                    record["seconds"] = record["seconds"] or round(time.time() - record["began"], 1)
                    self._save()
                elif not self.running(name):
                    if time.time() < began + ENDING and any(text in self.tail(name) for text in REFUSED):
                        time.sleep(1)
                        self.start(name, topology)
                        continue
                    raise TransientError(f"{name} ended while it started: {self.tail(name)}")
                elif time.time() > began + PATIENCE:
                    raise TransientError(
                        f"{name} is not healthy after {PATIENCE:.0f} s ({reason}): {self.tail(name)}"
                    )
            time.sleep(POLL)

    def tail(self, name: str) -> str:
        """The last lines of a server's log, with its path."""
        log = self.logs / f"{name}.log"
        lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
        return "\n  ".join([f"the end of {log}:", *lines[-8:]])

    def stop(self, names: list[str]) -> list[str]:
        """Stop servers, the last one first, with all that they have started; returns those that ran."""
        stopped = []
        for name in reversed(names):
            process = self.running(name)
            if process is not None:
                end(process, SIGNALS.get(name, signal.SIGTERM), GRACE.get(name.partition("-")[0], 10.0))
                stopped.append(name)
            self.records.pop(name, None)
            self._save()
        return stopped

    def _save(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_private(self.file, json.dumps(self.records, indent=1))


def end(process: psutil.Process, number: int, grace: float) -> None:
    """End a process and its descendants: by a signal, after `grace` seconds by force."""
    tree = [process]
    with suppress(psutil.NoSuchProcess):
        tree += process.children(recursive=True)
        process.send_signal(number)
    # A server that gets the signal ends its children; those that outlive it are orphans.
    psutil.wait_procs([process], timeout=grace)
    with suppress(psutil.NoSuchProcess):
        tree += process.children(recursive=True)
    for one in tree:
        with suppress(psutil.NoSuchProcess):
            one.kill()  # psutil compares the time of creation first
    psutil.wait_procs(tree, timeout=10)


def remove_sockets(topology: Topology) -> None:
    """Remove the sockets that SeaweedFS leaves in /tmp, whose names it fixes."""
    for port in topology.ports("store"):
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            path.unlink(missing_ok=True)


def memory(process: psutil.Process) -> int:
    """Bytes of a process and its descendants; pages that they share count once."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            try:
                total += one.memory_full_info().pss
            except psutil.AccessDenied:
                total += one.memory_info().rss
    return total


def check_ports(wanted: dict[str, list[int]], holder: Callable[[int], str] | None = None) -> None:
    """Raise UserError that names each taken port of `wanted`, with its process."""
    find, taken = holder or holder_of, []
    for name, ports in wanted.items():
        for port in ports:
            with socket.socket() as probe:
                # As the servers do: a port whose last connection is closing is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    taken.append(f"port {port} of {name} is taken by {find(port)}")
    if taken:
        raise UserError(
            "; ".join(taken)
            + ". Stop that process, or set SERVICES_PORT_OFFSET, e.g. to 100, which is added "
            "to all ports"
        )


def holder_of(port: int) -> str:
    """The process that listens on a port, as text."""
    with suppress(psutil.AccessDenied):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            if listens and connection.pid:
                with suppress(psutil.NoSuchProcess):
                    found = psutil.Process(connection.pid)
                    return f"process {found.pid} ({' '.join(found.cmdline())[:100] or found.name()})"
    return "a process of another user"
