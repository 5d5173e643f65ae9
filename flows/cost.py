"""The cost of each stage in CPU and GPU seconds, bytes and money, and the budget that stops a run.

Why: a training that nobody watches has to end by itself before it costs more than it may. Costs are those of
the process of a stage and of all that it started, DVC's own included.

Prices are per hour of CPU time of one core, and per hour of one CUDA device that a stage may use.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from typing import Any

import psutil

from flows.stage_errors import StageError
from seq2seq.common import lease, paths
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.files import write_json
from seq2seq.tracking.run import Run

CPU, GPU, CURRENCY = "SEQ2SEQ_PRICE_CPU_HOUR", "SEQ2SEQ_PRICE_GPU_HOUR", "SEQ2SEQ_CURRENCY"
BUDGET, HOURS = "SEQ2SEQ_BUDGET", "SEQ2SEQ_BUDGET_HOURS"
HOUR, BLOCK = 3600.0, 512  # seconds; bytes of a block in ru_oublock
MARGIN = 15.0  # seconds before the budget is spent at which a stage is stopped: it saves in them
ON_A_GPU = ("train", "evaluate")


@dataclass(frozen=True)
class Usage:
    """The resources that a stage has used."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    bytes_written: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def money(self) -> float:
        """Its price by the environment; 0 without prices."""
        return (self.cpu_seconds * number(CPU, 0.0) + self.gpu_seconds * number(GPU, 0.0)) / HOUR


def number(variable: str, default: float) -> float:
    """A number of the environment; raises UserError for another value."""
    text = os.environ.get(variable) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise UserError(f"{variable}={text}: must be a number, 0 or more")
    return value


def check_environment() -> None:
    """Raise UserError for prices or budgets that are no numbers, and for a budget of money without prices."""
    for variable in (CPU, GPU, BUDGET, HOURS):
        number(variable, 0.0)
    if os.environ.get(BUDGET) and not (number(CPU, 0.0) or number(GPU, 0.0)):
        raise UserError(f"{BUDGET} is set, but no price: set {CPU} or {GPU}, or {HOURS} instead")


class Meter:
    """The resources that one run has used so far, by stage, and its limits."""

    def __init__(self) -> None:
        check_environment()
        self.spent = Usage()
        self.changed = False
        self._stage, self._began = "", time.monotonic()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what children of this process use meanwhile, also if it fails."""
        self.check(name)
        self._stage, self._began, before = name, time.monotonic(), _children()
        try:
            yield
        finally:
            used = self._usage(*(after - then for after, then in zip(_children(), before, strict=True)))
            self.spent += used
            self.changed = True
            _add(name, used)

    def check(self, name: str) -> None:
        """Raise StageError if nothing of the budget is left for a stage."""
        if reason := self._over(Usage(), 0.0):
            raise StageError(name, "budget", f"not begun: {reason}")

    def watch(self, pid: int) -> str:
        """The reason to stop the stage whose process that is; empty as long as the budget lasts."""
        cpu = 0.0
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            for one in (process, *process.children(recursive=True)):
                with suppress(psutil.Error):
                    times = one.cpu_times()
                    cpu += times.user + times.system + times.children_user + times.children_system
        return self._over(self._usage(cpu, 0.0), MARGIN)

    def _usage(self, cpu: float, written: float) -> Usage:
        seconds = time.monotonic() - self._began
        devices = [name for name in lease.resources() if name.startswith("cuda")]
        used = len(devices) if self._stage in ON_A_GPU else 0
        return Usage(seconds, cpu, used * seconds, written)

    def _over(self, now: Usage, margin: float) -> str:
        """The reason why the budget is spent, or will be within `margin` seconds."""
        whole = self.spent + now
        for variable, unit, value in (
            (BUDGET, currency(), whole.money()),
            (HOURS, "hours", whole.seconds / HOUR),
        ):
            if not os.environ.get(variable):
                continue
            rate = now.money() / now.seconds if now.seconds and variable == BUDGET else 1 / HOUR
            limit = number(variable, 0.0)
            if value + (rate * margin if now.seconds else 0.0) >= limit:
                return f"this run has used {value:.4g} of the {limit:g} {unit} of {variable}".replace(
                    "  ", " "
                )
        return ""


def currency() -> str:
    """The name of the currency of all prices; may be empty."""
    return os.environ.get(CURRENCY, "")


def forget(name: str) -> None:
    """Remove the cost of a stage whose results were restored: they are those of another run."""
    found = _read()
    if found["stages"].pop(name, None):
        _write(found)


def publish() -> None:
    """Add the costs of all stages to the MLflow run of the model; without one they wait for it.

    Raises TransientError, UserError.
    """
    found = _read()["stages"]
    if not paths.RUN.is_file() or "train" not in found:
        return
    run = Run(json.loads(paths.RUN.read_text(encoding="utf-8"))["run_id"], patient=True)
    values = {f"cost.{k}": sum(stage[k] for stage in found.values()) for k in next(iter(found.values()))}
    for name, stage in found.items():
        values |= {f"cost.{name.replace('@', '.')}.{key}": value for key, value in stage.items()}
    run.log_metrics(values, step=int(time.time()))
    run.set_tags({"cost.currency": currency()} if currency() else {})
    run.finish()


def _children() -> tuple[float, float]:
    """CPU seconds, and bytes written, of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime, float(used.ru_oublock * BLOCK)


def _add(name: str, used: Usage) -> None:
    """Add to the cost of a stage; a first stage of a new model begins anew when it is run again."""
    found = _read()
    before = found["stages"].get(name) if name in found["unfinished"] else None
    earlier = Usage(**{f.name: before[f.name] for f in fields(Usage)}) if before else Usage()
    whole = earlier + used
    found["stages"][name] = {k: round(v, 3) for k, v in asdict(whole).items()} | {"money": whole.money()}
    found["unfinished"] = sorted({*found["unfinished"], name})
    _write(found)


def finished(name: str) -> None:
    """A stage has succeeded: its costs from now on are those of another result."""
    found = _read()
    found["unfinished"] = [other for other in found["unfinished"] if other != name]
    _write(found)


def _read() -> dict[str, Any]:
    empty: dict[str, Any] = {"stages": {}, "unfinished": []}
    with suppress(OSError, ValueError):
        empty |= json.loads(paths.COSTS.read_text(encoding="utf-8"))
    return empty


def _write(found: Mapping[str, Any]) -> None:
    paths.COSTS.parent.mkdir(parents=True, exist_ok=True)
    write_json(paths.COSTS, {**found, "currency": currency()})


Failures = (TransientError, UserError, OSError)  # of `publish`, which a run survives
