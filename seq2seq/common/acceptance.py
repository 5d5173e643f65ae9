"""Limits of quality that a person lets pass (SEQ2SEQ_ACCEPT, `seq2seq run --accept`), and the record of it.

Why: a limit may be wrong for one corpus, and the model must show that a person overrode it. The record is an
output of the stage beside its results: no stage depends on it, so that acceptance changes no byte of a
result, and DVC restores it together with the results of the stage, also in another checkout.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from seq2seq.common import paths, workspace
from seq2seq.common.errors import Figure, QualityError
from seq2seq.common.masking import mask

VARIABLE = "SEQ2SEQ_ACCEPT"  # the reason; empty: nothing is accepted
TAG = "accepted"  # of a run: begins the names of the tags, one for each key with a limit
LONGEST_TAG = 2000  # characters
Record = dict[str, str]


class Limits:
    """The limits of one stage: one that is exceeded stops the stage, or is accepted and recorded."""

    def __init__(self, stage: str, path: Path) -> None:
        self._stage, self._path = stage, path
        self.accepted: list[Record] = []
        path.unlink(missing_ok=True)  # of an earlier call without DVC

    def exceeded(self, failure: QualityError) -> None:
        """Raise the failure, unless SEQ2SEQ_ACCEPT has a reason; then print and record it."""
        if not (reason := given()):
            raise failure
        self.accepted.append(record(self._stage, failure.figure, reason))
        print(describe(self._stage, failure.figure, reason), flush=True)

    def write(self) -> None:
        """Write the record, an empty list if nothing was accepted."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.accepted, indent=2, ensure_ascii=False)
        self._path.write_text(text + "\n", encoding="utf-8")


def given() -> str:
    """The reason in SEQ2SEQ_ACCEPT as one line; empty if there is none."""
    return mask(" ".join(os.environ.get(VARIABLE, "").split()))


def record(stage: str, figure: Figure, reason: str) -> Record:
    """The record of an accepted figure: by whom, when and why."""
    about = {"figure": figure.name, "value": figure.value, "limit": figure.limit, "key": figure.key}
    return {"stage": stage, **about, "reason": reason, "who": workspace.author(), "when": workspace.now()}


def describe(stage: str, figure: Figure, reason: str) -> str:
    """One line for the terminal."""
    return f"{stage}: {figure}: accepted ({reason})"


def read() -> list[Record]:
    """The records of all limits accepted for the corpus and the model of this folder."""
    found: list[Record] = []
    for path in (paths.CLEAN_ACCEPTED, paths.TOKENIZE_ACCEPTED, paths.TRAIN_ACCEPTED):
        found += _read(path) or []
    drift = _read(paths.DRIFT)
    if drift and drift["profile"] == workspace.file_digest(paths.PROFILE):
        found += drift["accepted"]
    return found


def tags() -> dict[str, str]:
    """The same as tags of a run, one for each key: figures, reason, user and time."""
    texts: dict[str, list[str]] = defaultdict(list)
    for one in read():
        texts[f"{TAG}.{one['key']}"].append(sentence(one))
    return {name: "; ".join(parts)[:LONGEST_TAG] for name, parts in texts.items()}


def sentence(one: Record) -> str:
    """A record as a text for people."""
    figure = f"{one['figure']} is {one['value']}, {one['key']} allows {one['limit']}"
    return f"{figure}: accepted by {one['who']} on {one['when']}: {one['reason']}"


def _read(path: Path) -> Any:
    """The content of a file of records; None if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
