"""Alerts: JSON posted to ALERT_WEBHOOK when a run failed, and about verdicts and overdue runs.

Why: a schedule must not fail unnoticed. The body has the key `text`, which chat services show, and the parts
for programs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.stage_errors import REMEDIES, StageError, figure_of
from seq2seq.common import webhook
from seq2seq.common.errors import QualityError, TransientError, UserError
from seq2seq.common.files import write_json
from seq2seq.common.masking import mask

URL = webhook.URL  # environment variable; or the Prefect variable `alert_webhook`
SENT, KEPT = Path(".cache/alerts.json"), 1000  # keys of alerts that were accepted, and how many are kept
KINDS: dict[type[BaseException], str] = {
    QualityError: "quality",  # before its base class
    UserError: "user",
    TransientError: "transient",
}


def notify_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """A hook for on_failure and on_crashed; never raises: an alert that cannot be sent is logged."""
    if send_alert(lambda: notice(flow.name, flow_run, state)):
        _record(of_run(flow_run.id))


def of_run(run_id: object) -> str:
    """The key of the alert about the end of a flow run."""
    return f"run {run_id}"


def send_once(key: str, make: Callable[[], dict[str, str]]) -> bool:
    """Send an alert unless one of this key was accepted before; returns whether it was sent now.

    The keys are kept in the current folder, which is that of the deployment. Never raises.
    """
    if key in _sent() or not send_alert(make):
        return False
    _record(key)
    return True


def _sent() -> dict[str, str]:
    """The time of each alert that was accepted, by its key."""
    try:
        found: dict[str, str] = json.loads(SENT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    return found


def _record(key: str) -> None:
    sent = _sent() | {key: datetime.now(UTC).isoformat(timespec="seconds")}
    with suppress(OSError):
        SENT.parent.mkdir(parents=True, exist_ok=True)
        write_json(SENT, dict(list(sent.items())[-KEPT:]))


def send_alert(make: Callable[[], dict[str, str]]) -> bool:
    """Post what `make` returns if an address is set; returns whether it was accepted.

    Never raises: an alert that cannot be sent is logged.
    """
    from prefect.logging import get_logger
    from prefect.variables import Variable

    logger, url = get_logger("prefect.flow_runs"), ""
    try:
        url = str(os.environ.get(URL) or Variable.get(URL.lower(), default=None) or "")
        if not url:
            return False
        webhook.post(url, make())
    except Exception as error:
        logger.error(f"the notice could not be sent: {webhook.reason(error, url)}")
        return False
    return True


def notice(flow: str, run: Any, state: Any) -> dict[str, str]:
    """The alert about a failed run."""
    failure = None
    if state.is_failed():
        failure = state.result(raise_on_failure=False)
    stage, kind, message = "", "crash", state.message or state.name
    if isinstance(failure, StageError):
        stage, kind, message = failure.stage, failure.kind, failure.message
    elif isinstance(failure, BaseException):
        kind = next((k for cause, k in KINDS.items() if isinstance(failure, cause)), type(failure).__name__)
        message = str(failure)
    where = f"stage {stage} " if stage else ""
    remedy = failure.remedy if isinstance(failure, StageError) else REMEDIES.get(kind, "")
    text = f"{flow} {state.name.lower()}: {where}({kind}) {message}" + (f"; {remedy}" if remedy else "")
    sent = body(text, flow, run, str(state.name), stage, kind, message, remedy)
    return sent | {name: mask(part) for name, part in _figure(failure).items()}


def _figure(failure: object) -> dict[str, str]:
    """The figure of a failure of quality, with its limit, for programs; empty for any other failure."""
    figure = figure_of(failure)
    keys = {"figure": "name", "value": "value", "limit": "limit", "key": "key"}
    return {name: getattr(figure, field) for name, field in keys.items()} if figure else {}


def body(
    text: str, flow: str, run: Any, state: str, stage: str, kind: str, message: str, remedy: str
) -> dict[str, str]:
    """The content of an alert about a run; see webhook.body."""
    return webhook.body(
        text,
        flow=flow,
        run=str(run.name),
        run_id=str(run.id),
        state=state,
        stage=stage,
        kind=kind,
        message=message,
        remedy=remedy,
    )
