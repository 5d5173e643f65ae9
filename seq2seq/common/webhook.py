"""Posts JSON to ALERT_WEBHOOK, the address that receives alerts.

Why: flows and the server send alerts of one form to one address. The body has the key `text`, which chat
services show, and the parts for programs.
"""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

from seq2seq.common.masking import mask
from seq2seq.common.plain import chat

URL = "ALERT_WEBHOOK"  # environment variable
PATIENCE = 10.0  # seconds


def address() -> str:
    """The address in the environment; empty if there is none."""
    return os.environ.get(URL, "")


def body(
    text: str,
    *,
    flow: str,
    run: str,
    run_id: str,
    state: str,
    stage: str,
    kind: str,
    message: str,
    remedy: str,
) -> dict[str, str]:
    """The content of every alert: `text` for people, the rest for programs.

    It has no secrets, and `text` has no mentions, links or markup, which texts of a corpus, a model or an
    error may contain.
    """
    return {
        "text": chat(mask(text)),
        "flow": flow,
        "flow_run": run,
        "flow_run_id": run_id,
        "state": state,
        "stage": stage,
        "class": kind,
        "message": mask(message),
        "remedy": mask(remedy),
        "host": socket.gethostname(),
    }


def post(url: str, content: dict[str, str]) -> None:
    """POST as JSON; raises httpx.HTTPError if it is not accepted. A redirection is no acceptance."""
    import httpx

    # Streamed, and its body is never read: a slow answer must not delay the caller.
    with httpx.stream("POST", url, json=content, timeout=PATIENCE, follow_redirects=False) as response:
        response.raise_for_status()


def reason(error: Exception, url: str) -> str:
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
