"""The flows of the smaller deployments: watch-corpus, promote, overdue, translate.

Why: they start, judge, look after and use what `retrain` trains, on the same worker and without its time.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import alerts, locks, pipeline, translate_folder, watch
from flows import overdue as overdue_
from flows.checkout import CLONES, check_out
from flows.rollback import model_of_the_tree
from seq2seq.common import environment, params
from seq2seq.common.errors import UserError
from seq2seq.common.files import write_json
from seq2seq.common.masking import mask
from seq2seq.tracking import client, registry

SEEN = Path(".cache/watch")  # the sources as of the last run that was started, by deployment
LOST = ("CANCELLED", "CRASHED")  # states of a run that has to be started again
ALERTS: dict[str, Any] = {
    "on_failure": [alerts.notify_failure],
    "on_crashed": [alerts.notify_failure],
}


@flow(name="watch-corpus", **ALERTS)
def watch_corpus(ref: str = "main", deployment: str = "retrain/retrain") -> State[Any]:
    """Start a deployment if a source of the corpus at `ref` has changed since the last start; else skip.

    The first call starts it too. A run that was cancelled or crashed is started again.
    """
    project = Path.cwd()
    environment.configure_process(project)
    print_line = get_run_logger().info
    record = SEEN / f"{deployment.replace('/', '-')}.json"
    before: dict[str, Any] = {"sources": {}, "run": ""}
    if record.is_file():
        before |= json.loads(record.read_text(encoding="utf-8"))
    folder = project / CLONES / "watch-corpus"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locks.workspace(folder.with_name(f"{folder.name}.lock")):
        pipeline.patiently(lambda: check_out(watch.repository(project), ref, folder))
        os.chdir(folder)
        try:
            now = watch.state(params.load(), before["sources"], print_line)
        finally:
            os.chdir(project)
    changed = watch.changes(before["sources"], now)
    reason = f"changed: {', '.join(changed)}" if changed else ""
    if not reason and before["run"] and (lost := _lost(before["run"])):
        reason = f"the run that was started for the last change is {lost}"
    if not reason:
        print_line("no source has changed: nothing is started")
        return Completed(name="Skipped", message="no source has changed")
    run = start(deployment, {"ref": ref})
    record.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, {"sources": now, "run": run})
    print_line(f"{deployment} is started; {reason}")
    return Completed(name="Started", message=reason[:500])


def start(deployment: str, parameters: dict[str, Any]) -> str:
    """Start a deployment and do not wait for it; returns the id of the run."""
    from prefect.deployments import run_deployment

    made: Any = run_deployment(deployment, parameters=parameters, timeout=0, as_subflow=False)
    return str(made.id)


def _lost(run_id: str) -> str:
    """The state of a run that did not come to its end; empty for any other."""
    from prefect import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as server:
        try:
            state = server.read_flow_run(UUID(run_id)).state
        except (ObjectNotFound, ValueError):
            return ""
    return str(state.name) if state and state.type.value in LOST else ""


@flow(name="promote", **ALERTS)
def promote(deployment: str = "retrain") -> str:
    """Judge the version that a deployment's clone registered last once more, e.g. after a rollback."""
    project = Path.cwd()
    environment.configure_process(project)
    os.environ["MLFLOW_TRACKING_URI"] = client.uri()
    folder = project / CLONES / deployment
    if Path(deployment).name != deployment or not folder.is_dir():
        raise UserError(f"{CLONES} has no clone of the deployment {deployment!r}: it has not run yet")
    with locks.workspace(folder.with_name(f"{folder.name}.lock")):
        os.chdir(folder)
        try:
            return pipeline.judge()
        finally:
            os.chdir(project)


@flow(name="overdue", **ALERTS)
def overdue(name: str | None = None, within_hours: float = 26.0) -> State[Any]:
    """Alert if no run of a model (default: that of params.yaml) has succeeded in time, or a run was lost."""
    print_line = get_run_logger().info
    chosen = name or model_of_the_tree()
    in_time = pipeline.patiently(lambda: overdue_.check(chosen, timedelta(hours=within_hours), print_line))
    if in_time:
        return Completed(name="InTime")
    return Completed(name="Overdue", message=f"{chosen}: see the alert")


@flow(name="translate", **ALERTS)
def translate(
    source: str,
    target: str,
    model: str | None = None,
    column: str | None = None,
    glossary: str | None = None,
    again: bool = False,
    hours: float | None = None,
) -> State[Any]:
    """Translate the new and changed documents of a folder or store `source` into `target`.

    `model` is models:/NAME@ALIAS or models:/NAME/VERSION (default: the champion of params.yaml's model);
    `hours` is the limit for 100 files of one folder.
    """
    environment.configure_process(Path.cwd())
    os.environ["MLFLOW_TRACKING_URI"] = client.uri()
    chosen = model or f"models:/{model_of_the_tree()}@{registry.CHAMPION}"
    options = translate_folder.Options(column, glossary, again, hours and hours * 3600)
    print_line = get_run_logger().info
    outcomes: dict[str, str] = {}  # of all attempts
    pipeline.patiently(
        lambda: translate_folder.translate(source, target, chosen, print_line, options, outcomes)
    )
    rows = [{"file": name, "outcome": outcome} for name, outcome in sorted(outcomes.items())]
    create_table_artifact(rows, key="translated", description=mask(f"{source} to {target}"))
    translate_folder.raise_for_failed(outcomes)
    count = sum(outcome == translate_folder.TRANSLATED for outcome in outcomes.values())
    state = "Translated" if count else "Unchanged" if outcomes else "Empty"
    return Completed(name=state, message=f"{count:,} files translated")
