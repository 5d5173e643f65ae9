"""`python -m benchmarks.serving`: `seq2seq serve` beside `mlflow models serve`, the same version and beam.

Why: batching across requests must be worth a server of our own. Both servers run on loopback with the same
threads; they take turns under loads of several clients, and then under half of their largest rate.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from benchmarks import table
from benchmarks.contest import QUIET
from benchmarks.http_load import Order
from benchmarks.turns import busy_seconds, foreign_share, own_seconds
from seq2seq.common import environment, params, paths
from seq2seq.common.errors import UserError
from seq2seq.data import direction
from seq2seq.data.corpus import read_split
from seq2seq.tracking import registry

OURS, MLFLOW = "seq2seq serve", "mlflow models serve"
CLIENTS = (1, 4, 16, 64)
GOALS = {16: 3.5, 64: 4.5}  # times MLflow's rate, by clients
SLOWEST = 0.3  # seconds of the slowest hundredth, at half of the largest rate
START = 180.0  # seconds in which a server must answer
HEADS = ("sents/s", "quiet", "/ MLflow", "p50 ms", "p99 ms", "CPU ms", "memory")  # CPU: of a sentence
FOLDER = Path(".cache/bench")


@dataclass
class Server:
    """A running server, and the form of its requests."""

    name: str
    port: int
    path: str
    bodies: list[str]
    process: subprocess.Popen[bytes]
    steps: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def tree(self) -> list[psutil.Process]:
        """Its processes."""
        whole = psutil.Process(self.process.pid)
        return [whole, *whole.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Processor time of its processes."""
        return sum(sum(process.cpu_times()[:2]) for process in self.tree())

    def memory(self) -> int:
        """Bytes of its processes, shared pages by shares; where that is unknown, resident bytes."""
        found = [process.memory_full_info() for process in self.tree()]
        return sum(getattr(info, "pss", info.rss) for info in found)


@contextmanager
def started(
    name: str, command: Sequence[str], port: int, health: str, path: str, bodies: list[str]
) -> Iterator[Server]:
    """Start a server, and end it with all its processes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    log = FOLDER / f"{name.replace(' ', '-')}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    server = Server(name, port, path, bodies, process)
    try:
        deadline = time.monotonic() + START
        while not _answers(f"http://127.0.0.1:{port}{health}"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise UserError(f"{name} does not start; {log} has the reason")
            time.sleep(0.2)
        yield server
    finally:
        tree = server.tree() if process.poll() is None else []
        process.terminate()
        _, alive = psutil.wait_procs(tree, timeout=10)
        for left in alive:
            left.kill()
        process.wait()


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def run_load(server: Server, label: str, **load: Any) -> dict[str, Any]:
    """One step: a load, with the rate, the times and the use of the processors by other processes."""
    order = Order("127.0.0.1", server.port, server.path, server.bodies, **load)
    busy, own, used = busy_seconds(), own_seconds(), server.cpu_seconds()
    began = time.perf_counter()
    command = [sys.executable, str(Path(__file__).with_name("http_load.py").absolute())]
    done = subprocess.run(
        command, input=json.dumps(order._asdict()), capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - began
    found: dict[str, Any] = json.loads(done.stdout)
    used = server.cpu_seconds() - used
    ours = own_seconds() - own + used
    after = busy_seconds()
    times = sorted(found.pop("times"))
    found["rate"] = len(times) / found["seconds"]
    found["p50"], found["p99"] = (percentile(times, share) for share in (0.5, 0.99))
    found["cpu"] = used / max(len(times), 1)
    found["memory"] = server.memory()
    found["foreign"] = None
    if busy is not None and after is not None:
        found["foreign"] = foreign_share(after - busy, ours, seconds, os.cpu_count() or 1)
    server.steps.setdefault(label, []).append(found)
    return found


def percentile(times: Sequence[float], share: float) -> float | None:
    """A quantile of sorted seconds; None of none."""
    return times[min(int(share * len(times)), len(times) - 1)] if times else None


def middle(steps: Sequence[dict[str, Any]], key: str, limit: float) -> float | None:
    """The median of a figure over the quiet steps; None if there was none."""
    found = [step[key] for step in steps if (step["foreign"] or 0) < limit and step[key] is not None]
    return median(found) if found else None


def report(servers: Sequence[Server], clients: Sequence[int], limit: float) -> list[str]:
    """The table and the goals."""
    lines: list[str] = []
    by_name = {server.name: server for server in servers}
    for count in clients:
        label = str(count)
        against = middle(by_name[MLFLOW].steps[label], "rate", limit) if MLFLOW in by_name else None
        rows = [_row(server, label, limit, against) for server in servers]
        title = f"{count} client{'s' * (count > 1)}"
        lines += [
            "",
            *table.layout([title, *HEADS], rows),
        ]
        if against and count in GOALS:
            reached = (middle(by_name[OURS].steps[label], "rate", limit) or 0) / against
            lines.append(f"goal: {GOALS[count]} times MLflow's rate: {_verdict(reached >= GOALS[count])}")
    rows = [_row(server, "half", limit, None) for server in servers if "half" in server.steps]
    if rows:
        lines += ["", *table.layout(["half of the largest rate", *HEADS], rows)]
        slowest = middle(by_name[OURS].steps["half"], "p99", limit)
        if slowest is not None:
            lines.append(f"goal: p99 below {1000 * SLOWEST:.0f} ms: {_verdict(slowest < SLOWEST)}")
    failed = {s.name: sum(step["failed"] for steps in s.steps.values() for step in steps) for s in servers}
    lines += [f"{name}: {count:,} requests failed" for name, count in failed.items() if count]
    return lines


def _verdict(reached: bool) -> str:
    return "reached" if reached else "missed"


def _row(server: Server, label: str, limit: float, against: float | None) -> list[str]:
    steps = server.steps[label]
    rate, *seconds = (middle(steps, key, limit) for key in ("rate", "p50", "p99", "cpu"))
    quiet = sum((step["foreign"] or 0) < limit for step in steps)
    times = [table.figure(None if value is None else 1000 * value) for value in seconds]
    memory = max(step["memory"] for step in steps)
    cells = [table.figure(rate), f"{quiet}/{len(steps)}", table.ratio(rate, against), *times]
    return [server.name, *cells, f"{memory / 2**20:.0f} MB"]


def measure(options: argparse.Namespace) -> tuple[list[Server], list[str]]:
    """Run both servers and all loads; returns the servers with their steps, and lines about the setting."""
    model = options.model or f"models:/{params.load().register.name}@champion"
    folder = registry.download_model(model)
    stated = direction.read(folder)
    texts = sentences(options.sentences)
    languages = {"source": stated.source.language or "und", "target": stated.target.language or "und"}
    ours = [json.dumps({"q": text, **languages}) for text in texts]
    mlflows = [json.dumps({"inputs": [text]}) for text in texts]
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    os.environ["MLFLOW_TRACKING_URI"] = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    own, other = free_port(), free_port()
    scripts = Path(sys.executable).parent
    os.environ["PATH"] = f"{scripts}{os.pathsep}{os.environ['PATH']}"  # MLflow calls uvicorn
    serve = [sys.executable, "-m", "seq2seq", "serve", "--model", model, "--port", str(own)]
    serve += ["--batch", str(options.batch), "--processes", str(options.processes)]
    serve += ["--threads", str(max(options.threads // options.processes, 1))]
    mlflow = [str(scripts / "mlflow"), "models", "serve", "-m", model, "--env-manager", "local"]
    mlflow += ["--port", str(other), "--host", "127.0.0.1"]
    with ExitStack() as stack:
        servers = [stack.enter_context(started(OURS, serve, own, "/health", "/translate", ours))]
        if not options.alone:
            servers.append(
                stack.enter_context(started(MLFLOW, mlflow, other, "/ping", "/invocations", mlflows))
            )
        for server in servers:
            run_load(server, "warm-up", seconds=min(options.seconds, 5.0), clients=4)
        for number in range(options.rounds):
            for clients in options.clients:
                for server in servers:
                    show(f"round {number + 1} of {options.rounds}: {clients} clients, {server.name}")
                    load = {"seconds": options.seconds, "clients": clients, "seed": number}
                    run_load(server, str(clients), **load)
        for number in range(options.rounds):
            for server in servers:
                largest = max(
                    median(step["rate"] for step in server.steps[str(count)]) for count in options.clients
                )
                show(f"half of the largest rate, {server.name}")
                run_load(server, "half", seconds=options.seconds, rate=max(largest / 2, 0.1), seed=number)
    lines = [f"{model}, {len(texts):,} sentences, {options.threads} threads, {options.seconds:g} s a step"]
    return servers, lines


def sentences(file: Path | None) -> list[str]:
    """The sentences to translate: lines of a file, or the test set of the corpus in this folder."""
    if file is not None:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not paths.CORPUS.is_dir():
        raise UserError(
            f"{paths.CORPUS} is missing: `make run` makes it, or name sentences: --sentences FILE"
        )
    return [pair.source for pair in read_split(paths.CORPUS, "test")]


def free_port() -> int:
    """A port of loopback that is free."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def show(text: str) -> None:
    """Show progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and print its table; returns the exit status."""
    options = parser().parse_args(arguments)
    environment.configure_process()
    began = time.monotonic()
    try:
        servers, lines = measure(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    lines += report(servers, options.clients, options.quiet)
    print("\n".join(lines))
    steps = {server.name: server.steps for server in servers}
    result = FOLDER / "serving.json"
    result.write_text(json.dumps({"table": lines, **steps}, indent=1) + "\n", "utf-8")
    print(f"{time.monotonic() - began:.0f} s; every step is in {result}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description="seq2seq serve beside mlflow models serve"
    )
    options.add_argument("--model", help="models:/NAME@ALIAS or /VERSION; default: the champion")
    options.add_argument("--clients", type=int, nargs="+", default=CLIENTS, help="default: 1 4 16 64")
    options.add_argument("--seconds", type=float, default=20, help="of a step (20)")
    options.add_argument("--rounds", type=int, default=3, help="steps of each kind (3)")
    options.add_argument("--threads", type=int, default=2, help="of each server (2)")
    options.add_argument("--processes", type=int, default=2, help="of seq2seq serve, which share them (2)")
    options.add_argument("--batch", type=int, default=64, help="of seq2seq serve (64)")
    options.add_argument("--sentences", type=Path, metavar="FILE", help="default: the corpus' test set")
    options.add_argument("--alone", action="store_true", help="without MLflow's server")
    options.add_argument(
        "--quiet", type=float, default=QUIET, help=f"largest foreign CPU use of steps that count ({QUIET})"
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
