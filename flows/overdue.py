"""`seq2seq overdue`: alert if no run has succeeded within the expected period, or a run's machine was lost.

Why: a schedule that does not fire and a machine that died send nothing themselves, so something that runs
elsewhere, or later, has to look.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from flows import alerts, console, rollback
from flows.child import PrintLine
from seq2seq.common import environment
from seq2seq.common.exits import Exit
from seq2seq.tracking import registry

LOOKED_BACK = timedelta(days=7)  # for crashed runs
OURS = ("retrain", "pipeline", "rollback", "promote", "watch-corpus")  # flows whose crashes are reported


def check(name: str, within: timedelta, print_line: PrintLine) -> bool:
    """Whether a run of a model has succeeded in time; alerts, each once, if not, and for each lost run.

    Raises TransientError for a registry that cannot be reached.
    """
    environment.configure_process()
    in_time = _in_time(name, within, print_line)
    for run in _crashed():
        message = (run.state and run.state.message) or "it crashed"
        print_line(f"run {run.name} crashed: {message}")
        where = SimpleNamespace(name=run.name, id=run.id)
        text = f"run {run.name} was lost: {message}"
        remedy = "look at its host; the next run continues from the last checkpoint"
        content = alerts.body(text, "overdue", where, "Crashed", "", "crash", message, remedy)
        alerts.send_once(alerts.of_run(run.id), lambda content=content: content)  # type: ignore[misc]
    return in_time


def _in_time(name: str, within: timedelta, print_line: PrintLine) -> bool:
    last = registry.last_success(name)
    since = (
        f"the last run of {name} that succeeded ended {last}" if last else f"no run of {name} has succeeded"
    )
    if last and datetime.now(UTC) - datetime.fromisoformat(last) <= within:
        print_line(since)
        return True
    hours = within.total_seconds() / 3600
    message = f"{since}; expected: one within {hours:g} hours"
    print_line(f"overdue: {message}")
    run = SimpleNamespace(name=name, id="")
    remedy = "look at the schedule, the worker and the runs that failed since; the champion serves on"
    content = alerts.body(f"overdue: {message}", "overdue", run, "Overdue", "", "overdue", message, remedy)
    alerts.send_once(f"overdue {name} {last}", lambda: content)
    return False


def _crashed() -> Iterator[Any]:
    """The flow runs of the Prefect server that crashed lately; none without a server."""
    if not os.environ.get("PREFECT_API_URL"):
        return
    from prefect import get_client
    from prefect.client.schemas.filters import (
        FlowFilter,
        FlowFilterName,
        FlowRunFilter,
        FlowRunFilterStartTime,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    crashed = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED]))
    begin: Any = datetime.now(UTC) - LOOKED_BACK  # Prefect's own type is a kind of it
    lately = FlowRunFilterStartTime(after_=begin)
    with get_client(sync_client=True) as client:
        yield from client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(OURS))),
            flow_run_filter=FlowRunFilter(state=crashed, start_time=lately),
        )


def command(options: argparse.Namespace) -> int:
    """`seq2seq overdue`; returns the exit status."""
    name = options.name or rollback.model_of_the_tree()
    in_time = check(name, timedelta(hours=options.within), console.current.get().print)
    return Exit.DONE if in_time else Exit.FAILED
