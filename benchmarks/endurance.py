"""`python -m benchmarks.endurance`: `seq2seq serve` under load for minutes, with a promotion and a rollback.

Why: a change of the version must cost no request, and memory must not grow. The server follows the alias of a
registry made for this, which has the model two times.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

from benchmarks.serving import OURS, Server, free_port, run_load, sentences, show, started
from seq2seq.common import environment, params
from seq2seq.common.errors import UserError
from seq2seq.data import direction
from seq2seq.tracking import client, registry, runs, version_files

FOLDER = Path(".cache/bench/endurance")
NAME, ALIAS = "endurance", "champion"
PATIENCE = 120.0  # seconds in which a version must serve after its promotion
PAUSE = 0.1  # seconds between two questions which version serves


class Change(NamedTuple):
    """A change of the alias, and the seconds until the version served; None if it did not."""

    kind: str
    version: str
    seconds: float | None


def register(model: Path, number: int) -> None:
    """A copy of a model folder as the next version of the registry in the current folder."""
    files = Path(f"files-{number}")
    shutil.copytree(model, files / registry.FOLDER)
    mlflow_client, experiment = client.connect(), runs.experiment(NAME)
    run_id = mlflow_client.create_run(experiment).info.run_id
    logged = mlflow_client.create_logged_model(experiment, source_run_id=run_id)
    mlflow_client.log_model_artifacts(logged.model_id, str(files))
    mlflow_client.finalize_logged_model(logged.model_id, "READY")
    tags = {version_files.MODEL: version_files.digest(files / registry.FOLDER)}
    registry.register_version(NAME, f"models:/{logged.model_id}", run_id, tags)


def change(server: Server, kind: str, version: str) -> Change:
    """Set the alias, and wait until the version serves."""
    began = time.monotonic()
    with registry.promotions():
        registry.set_alias(NAME, ALIAS, version)
    while time.monotonic() - began < PATIENCE:
        if health(server)["version"]["number"] == version:
            return Change(kind, version, time.monotonic() - began)
        time.sleep(PAUSE)
    return Change(kind, version, None)


def health(server: Server) -> dict[str, Any]:
    """The content of /health."""
    with urlopen(f"http://127.0.0.1:{server.port}/health", timeout=30) as response:
        found: dict[str, Any] = json.load(response)
    return found


def measure(
    options: argparse.Namespace, model: Path, texts: Sequence[str]
) -> tuple[dict[str, Any], list[Change]]:
    """The load in the current folder, which gets a registry; a promotion at a third, a rollback at two."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path('mlflow.db').absolute()}"
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    for number in (1, 2):
        register(model, number)
    registry.set_alias(NAME, ALIAS, "1")
    stated, port = direction.read(model), free_port()
    languages = {"source": stated.source.language or "und", "target": stated.target.language or "und"}
    bodies = [json.dumps({"q": text, **languages}) for text in texts]
    command = [sys.executable, "-m", "seq2seq", "serve", "--model", f"models:/{NAME}@{ALIAS}"]
    command += ["--port", str(port), "--poll", str(options.poll), "--corrections", ""]
    command += ["--processes", str(options.processes), "--threads", str(options.threads)]
    found: dict[str, Any] = {}
    changes: list[Change] = []
    with started(OURS, command, port, "/health", "/translate", bodies) as server:
        warm = run_load(server, "warm-up", seconds=min(options.seconds / 10, 10.0), clients=options.clients)

        def load() -> None:
            found.update(run_load(server, "endurance", seconds=options.seconds, clients=options.clients))

        thread = threading.Thread(target=load)
        began = time.monotonic()
        thread.start()
        for part, (kind, version) in enumerate((("promotion", "2"), ("rollback", "1")), 1):
            time.sleep(max(began + part * options.seconds / 3 - time.monotonic(), 0))
            show(f"{kind} after {time.monotonic() - began:.0f} s")
            changes.append(change(server, kind, version))
        thread.join()
        found["deaths"] = health(server)["process_deaths"]
        found["memory_before"] = warm["memory"]
    return found, changes


def report(found: dict[str, Any], changes: Sequence[Change]) -> list[str]:
    """The figures as lines."""
    requests = round(found["rate"] * found["seconds"]) + found["failed"]
    lines = [
        f"{requests:,} requests in {found['seconds']:.0f} s, {found['failed']:,} failed",
        f"{found['rate']:.1f} a second, p50 {_ms(found['p50'])}, p99 {_ms(found['p99'])}",
        f"memory {found['memory_before'] / 2**20:.0f} MB before, {found['memory'] / 2**20:.0f} MB after; "
        f"processes that died: {found['deaths']}",
    ]
    for kind, version, seconds in changes:
        served = f"served after {seconds:.1f} s" if seconds is not None else "did not serve"
        lines.append(f"{kind}: version {version} {served}")
    return lines


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:,.0f} ms"


def main(arguments: list[str] | None = None) -> int:
    """Run the load and print its figures; returns 1 if a request failed or a version did not serve."""
    options = _parser().parse_args(arguments)
    environment.configure_process()
    before = Path.cwd()
    try:
        name = options.model or f"models:/{params.load().register.name}@champion"
        model = registry.download_model(name) if name.startswith("models:") else Path(name)
        if not model.is_dir():
            raise UserError(f"{model} is not a model folder: name one, or models:/NAME@ALIAS")
        model, texts = model.absolute(), sentences(options.sentences)
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        os.chdir(FOLDER)
        found, changes = measure(options, model, texts)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        os.chdir(before)
    print("\n".join(report(found, changes)))
    return int(found["failed"] > 0 or any(one.seconds is None for one in changes))


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.endurance",
        description="seq2seq serve under load, with a promotion and a rollback",
    )
    options.add_argument("--model", help="models:/NAME@ALIAS or a folder; default: the champion")
    options.add_argument("--seconds", type=float, default=300, help="of the load (300)")
    options.add_argument("--clients", type=int, default=16, help="each sends one request after another (16)")
    options.add_argument("--processes", type=int, default=2, help="of seq2seq serve (2)")
    options.add_argument("--threads", type=int, default=1, help="of each process (1)")
    options.add_argument("--poll", type=float, default=10, help="seconds between reads of the alias (10)")
    options.add_argument("--sentences", type=Path, metavar="FILE", help="default: the corpus' test set")
    return options


if __name__ == "__main__":
    sys.exit(main())
