"""Alerts of the server, sent to ALERT_WEBHOOK in the background.

Why: a server that keeps an old version, or whose process dies, works on, so that nobody would notice.
"""

from __future__ import annotations

import sys
import threading
import time

from seq2seq.common import webhook
from seq2seq.common.masking import mask

APART = 3600.0  # seconds between two alerts of one key
_sent: dict[str, float] = {}


def send(key: str, kind: str, message: str, remedy: str) -> None:
    """Print a message, and post it if there is an address, at most once an hour for each key.

    Never raises and never waits: an alert that cannot be sent is sent the next time.
    """
    now = time.monotonic()
    if now - _sent.get(key, -APART) < APART:
        return
    _sent[key] = now
    print(mask(f"warning: {message}; {remedy}"), file=sys.stderr, flush=True)
    if not (url := webhook.address()):
        return
    text = f"serve: ({kind}) {message}; {remedy}"
    content = webhook.body(
        text,
        flow="serve",
        run="",
        run_id="",
        state="Serving",
        stage="",
        kind=kind,
        message=message,
        remedy=remedy,
    )
    threading.Thread(target=_post, args=(key, url, content), daemon=True).start()


def _post(key: str, url: str, content: dict[str, str]) -> None:
    try:
        webhook.post(url, content)
    except Exception as error:
        _sent.pop(key, None)
        print(f"the alert could not be sent: {webhook.reason(error, url)}", file=sys.stderr, flush=True)
