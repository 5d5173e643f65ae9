"""Alerts: JSON posted to ALERT_WEBHOOK when a run failed or a model was rejected.

Why: a schedule must not fail unnoticed. The body has the key `text`, which chat services show, and the parts
for programs.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from flows.stage_errors import REMEDIES, StageError, figure_of
from seq2seq.common.errors import QualityError, TransientError, UserError
from seq2seq.common.masking import mask
from seq2seq.common.plain import chat

URL = "ALERT_WEBHOOK"  # environment variable; or the Prefect variable `alert_webhook`
PATIENCE = 10.0  # seconds
KINDS: dict[type[BaseException], str] = {
    QualityError: "quality",  # before its base class
    UserError: "user",
    TransientError: "transient",
}


def notify_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """A hook for on_failure and on_crashed; never raises: an alert that cannot be sent is logged."""
    send_alert(lambda: notice(flow.name, flow_run, state))


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
        post(url, make())
    except Exception as error:
        logger.error(f"the notice could not be sent: {_reason(error, url)}")
        return False
    return True


def _reason(error: Exception, url: str) -> str:
    """The reason why an alert was not sent, without the address, whose path or userinfo is a password."""
    import httpx

    try:
        parts = urlsplit(url)
        where = f"{parts.scheme}://{parts.hostname}"
    except ValueError:
        where = URL
    if isinstance(error, httpx.HTTPStatusError):
        return f"{where} answers with status {error.response.status_code}"
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return f"{URL} is no http:// or https:// address"
    text = " ".join(mask(str(error).replace(url, where) if url else str(error)).split())
    return f"{where}: {type(error).__name__}: {text}" if url else text


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
    """What every notice holds: `text` for people, the rest for programs; no secrets, and in `text` no
    mentions, links or markup, which texts of a corpus, a model or an error may hold."""
    message, remedy = mask(message), mask(remedy)
    return {
        "text": chat(mask(text)),
        "flow": flow,
        "flow_run": str(run.name),
        "flow_run_id": str(run.id),
        "state": state,
        "stage": stage,
        "class": kind,
        "message": message,
        "remedy": remedy,
        "host": socket.gethostname(),
    }


def post(url: str, content: dict[str, str]) -> None:
    """POST as JSON; raises httpx.HTTPError if it is not taken, and sent elsewhere is not taken."""
    import httpx

    # Streamed, and its body never read: what trickles in must not hold up a flow.
    with httpx.stream("POST", url, json=content, timeout=PATIENCE, follow_redirects=False) as response:
        response.raise_for_status()
