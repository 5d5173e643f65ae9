"""`python -m infra.services start|stop|status|secrets|run`: the team's servers on this host.

Why: `make services` is the way to try the hosted set, to develop against it, and to host a small team on
one machine without containers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from infra.commands import exit_status
from infra.services import health, run, topology
from infra.services.supervise import Processes, check_ports, memory, remove_sockets
from infra.services.topology import STORES, Topology
from seq2seq.common import environment
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.exits import Exit

SETTINGS = "settings.json"  # of the last start, read by stop, status and a restart


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    environment.configure_process(topology.ROOT)
    try:
        return exit_status(lambda: _act(options))
    except KeyboardInterrupt:
        print("error: interrupted; processes of this call are stopped", file=sys.stderr)
        return Exit.INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="python -m infra.services", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="start what does not run, wait until all is healthy")
    start.add_argument("--store", choices=STORES, help="the S3 store; default: the last one, first seaweedfs")
    start.add_argument("--workers", type=int, metavar="N", help="default: the last number, first 2")
    stop = commands.add_parser("stop", help="stop all; data, logs and passwords stay")
    stop.add_argument("--delete-data", action="store_true", help="remove the whole folder as well")
    commands.add_parser("status", help="a table of what runs")
    secrets = commands.add_parser("secrets", help="generate the passwords for infra/compose.yaml")
    secrets.add_argument("folder", type=Path, nargs="?", default=topology.ROOT / "infra/secrets")
    one = commands.add_parser("run", help="become one server; settings are SERVICES_* variables")
    one.add_argument("name")
    check = commands.add_parser("health", help="exit status 0 if a server is healthy")
    check.add_argument("name")
    commands.add_parser("upgrade", help="bring MLflow's tables to the installed version; make a backup first")
    commands.add_parser("prepare", help="make databases and buckets that are missing")
    return whole


def _act(options: argparse.Namespace) -> int:
    where = topology.from_environment()
    if options.command == "run":
        run.become(options.name, where)
    if options.command == "health":
        if reason := health.problem(options.name, where):
            raise TransientError(f"{options.name}: {reason}")
        return Exit.DONE
    if options.command == "prepare":
        health.make_databases(where)
        health.make_buckets(where)
        return Exit.DONE
    if options.command == "secrets":
        # Containers have users of their own, so that all may read the files; none but this user can enter
        # the folder on this host.
        topology.write_secrets(options.folder, 0o444)
        print(f"passwords are in {options.folder}")
        return Exit.DONE
    if options.command == "start":
        return start(where, options.store, options.workers)
    if options.command == "upgrade":
        start(where, None, None, only=("database",))
        health.upgrade_mlflow(where)
        print("MLflow's tables are those of the installed version; `make services` starts the servers")
        return Exit.DONE
    if options.command == "stop":
        return stop(where, options.delete_data)
    where, workers = settings(where, None, None)
    return _show(where, names(workers))


def names(workers: int) -> list[str]:
    """The servers in the order in which they start."""
    return ["database", "store", "mlflow", "prefect", *(f"worker-{n + 1}" for n in range(workers))]


def start(where: Topology, store: str | None, workers: int | None, only: Collection[str] = ()) -> int:
    """`make services`: start what does not run; processes of this call are stopped again if it fails.

    `only` names the servers to start, by default all.
    """
    where, count = settings(where, store, workers)
    wanted = [name for name in names(count) if not only or name in only]
    if problems := run.missing_programs(where):
        raise UserError("\n       ".join(problems))
    _make_folder(where)
    with FileLock(where.folder / ".lock"):
        processes = Processes(where.folder)
        missing = [name for name in wanted if not processes.running(name)]
        check_ports({name: where.ports(name) for name in missing})
        topology.write_secrets(where.secrets)
        topology.write_private(where.folder / "env", topology.env_file(where))
        chosen = {"store": where.store, "workers": count, "offset": where.offset}
        (where.folder / SETTINGS).write_text(json.dumps(chosen))
        began = time.monotonic()
        try:
            _start(where, processes, missing)
        except BaseException:
            processes.stop(missing)
            raise
        _show(where, wanted)
        print(f"healthy after {time.monotonic() - began:.0f} s; to use it: . {_short(where.folder / 'env')}")
    return Exit.DONE


def _start(where: Topology, processes: Processes, missing: list[str]) -> None:
    def step(*some: str) -> None:
        starting = [name for name in some if name in missing]
        for name in starting:
            print(f"starting {name}", flush=True)
            processes.start(name, where)
        processes.wait(starting, where)

    step("database", "store")
    health.make_databases(where)
    step("mlflow", "prefect")
    workers = [name for name in missing if name.startswith("worker-")]
    if workers:
        print("deploying infra/prefect.yaml", flush=True)
        deploy = [sys.executable, "-m", "infra.services", "run", "deploy"]
        variables = {**os.environ, **where.variables()}
        done = subprocess.run(
            deploy, cwd=topology.ROOT, env=variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise TransientError(f"the deployments cannot be made: {done.stdout}{done.stderr}")
    step(*workers)


def stop(where: Topology, delete_data: bool) -> int:
    """`make services-stop`: stop all, the workers first."""
    if not where.folder.exists():
        print(f"nothing runs: there is no folder {_short(where.folder)}")
        return Exit.DONE
    with FileLock(where.folder / ".lock"):
        processes = Processes(where.folder)
        order = sorted(processes.records, key=lambda name: (name.startswith("worker"), _rank(name)))
        stopped = processes.stop(order)
        remove_sockets(where)
    print(f"stopped: {', '.join(stopped) or 'nothing ran'}")
    if delete_data:
        shutil.rmtree(where.folder)
        print(f"removed: {_short(where.folder)}")
    else:
        print(f"data stay in {_short(where.folder)}; `make services-clean` removes them")
    return Exit.DONE


def _rank(name: str) -> int:
    order = names(0)
    return order.index(name) if name in order else len(order)


def settings(where: Topology, store: str | None, workers: int | None) -> tuple[Topology, int]:
    """The topology and number of workers: as given, else as of the last start."""
    last: dict[str, str] = {}
    if (where.folder / SETTINGS).exists():
        last = json.loads((where.folder / SETTINGS).read_text())
    kind = store or os.environ.get("SERVICES_STORE_KIND") or last.get("store", STORES[0])
    if last and kind != last["store"]:
        raise UserError(
            f"the data in {_short(where.folder)} are in the store {last['store']}, not in {kind}: set "
            "SERVICES_FOLDER to another folder, or remove the data with `make services-clean`"
        )
    if last and "SERVICES_PORT_OFFSET" not in os.environ:
        os.environ["SERVICES_PORT_OFFSET"] = str(last["offset"])
        where = topology.from_environment()
    count = int(last.get("workers", 2)) if workers is None else workers
    if not 0 <= count <= 50:
        raise UserError(f"--workers {count} must be a number from 0 to 50")
    return replace(where, store=kind), count


def _make_folder(where: Topology) -> None:
    where.folder.mkdir(parents=True, exist_ok=True)
    # Root's PostgreSQL is another user, who has to pass through this folder but cannot list it.
    where.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _show(where: Topology, wanted: list[str]) -> int:
    """Print the table of services; the exit status is 0 if all of them are healthy."""
    processes, total, healthy = Processes(where.folder), 0, True
    print(f"{'service':10} {'address':24} {'healthy after':>13} {'memory':>9}")
    for name in wanted:
        process = processes.running(name)
        address = where.addresses.get(name) or f"127.0.0.1:{where.port(name)}"
        if process is None or (reason := health.problem(name, where)):
            healthy = False
            print(f"{name:10} {address:24} {'does not run' if process is None else reason}")
            continue
        used = memory(process)
        total += used
        print(
            f"{name:10} {address:24} {processes.records[name]['seconds'] or 0:11.1f} s {used / 2**20:6.0f} MB"
        )
    print(f"{'total':10} {'':24} {'':13} {total / 2**20:6.0f} MB")
    return Exit.DONE if healthy else Exit.FAILED


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
