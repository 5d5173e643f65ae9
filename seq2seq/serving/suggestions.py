"""Stores the corrections that clients suggest.

Why: one place connects the server with the store. A client's address is not stored: a random name, which is
another one after each start, lets a reviewer find all corrections of one client.
"""

from __future__ import annotations

import secrets
import sys
from hashlib import blake2b
from pathlib import Path

from fastapi import HTTPException

from seq2seq.common.errors import TransientError, UserError
from seq2seq.corrections import store
from seq2seq.corrections.checks import RefusedError
from seq2seq.serving.process import Model
from seq2seq.serving.schemas import AUTO, Suggest

SECRET = secrets.token_bytes(16)


def add(body: Suggest, model: Model, version: str, address: str, path: Path) -> None:
    """Store a suggestion; raises HTTPException with a reason for the client.

    `version` is that which serves; a body may name the one that translated.
    """
    source, target = (
        (own or "") if sent == AUTO else sent
        for sent, own in ((body.source, model.source), (body.target, model.target))
    )
    sender = f"client-{blake2b(address.encode(), digest_size=4, key=SECRET).hexdigest()}" if address else ""
    try:
        store.add(
            *(body.q, body.s, source, target, body.version or version, sender, body.translation or ""),
            languages=(model.source, model.target),
            path=path,
        )
    except RefusedError as error:
        raise HTTPException(400, f"Invalid request: {error}") from None
    except UserError as error:  # names files of the server
        print(f"a suggestion could not be stored: {error}", file=sys.stderr, flush=True)
        raise HTTPException(
            503, "Suggestions cannot be stored at the moment", {"Retry-After": "60"}
        ) from None
    except TransientError as error:
        raise HTTPException(503, str(error), {"Retry-After": "1"}) from None
