"""Records for MLflow that wait on disk until the server has them.

Why: a server that is away for a moment must not cost a tag or an artifact of a finished model. A record is a
file that is written before it is sent and removed afterwards, so that a killed process loses none. A record
sent twice changes nothing: points keep the time at which they were measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from seq2seq.common import locks
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.masking import mask
from seq2seq.tracking.client import connect, get_or_none, translate_errors, uri

FOLDER = Path(".cache/mlflow")  # one folder per server, with one per run
RECORD, FILES = "record.json", "files"  # in each record's ZIP file: its values, and the files of an artifact
GONE = ".gone"  # suffix of the folder with records of a run that the server does not have any more


class Outbox:
    """The waiting records of one run, in the order in which they were made."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.folder = _of_server() / run_id
        self._numbers = count(max((int(path.name[:6]) for path in self.waiting()), default=0) + 1)

    def waiting(self) -> list[Path]:
        """The records that the server does not have yet, oldest first."""
        return sorted(self.folder.glob("*.zip"))

    def add(self, kind: str, values: Any, files: Path | None = None) -> Path:
        """Append a record, with a copy of a file or a folder; durable when this returns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{next(self._numbers):06}-{os.getpid()}.zip"
        draft = self.folder.with_name(f"{self.run_id}-{os.getpid()}.new")
        with draft.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as content:
                content.writestr(RECORD, json.dumps({"kind": kind, "values": values}))
                for source, name in _listed(files):
                    content.write(source, f"{FILES}/{name}")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        return path

    def deliver(self, patience: float = locks.PATIENCE) -> int:
        """Send the waiting records in order; returns their number.

        Raises TransientError or UserError for the first one that the server does not take; it and the later
        ones wait.
        """
        if not self.waiting():
            return 0
        with locks.exclusive(FOLDER / "lock", "the records that wait for MLflow", patience):
            sent = self.waiting()  # another process may have sent some
            for path in sent:
                _send(self.run_id, path)
                path.unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
        return len(sent)


def deliver_all() -> None:
    """Send the records of all runs that wait for this server; a line on stderr names the result.

    Never raises an error of the server: records that it does not take wait on.
    """
    for folder in sorted(_of_server().glob("*")):
        box = Outbox(folder.name)
        if folder.name.endswith(GONE) or not (waiting := box.waiting()):
            continue
        try:
            sent = box.deliver(patience=0.0)
        except UserError as error:
            if not _is_gone(box.run_id):
                warn(f"{error}; {format_waiting(len(box.waiting()))}")
                continue
            aside = folder.with_name(folder.name + GONE)
            aside.mkdir(exist_ok=True)
            for path in waiting:
                path.replace(aside / path.name)
            warn(
                f"MLflow at {mask(uri())} does not have run {box.run_id} any more: "
                f"{len(waiting)} records of it stay in {aside}, undelivered"
            )
        except TransientError as error:
            warn(f"{error}; {format_waiting(len(box.waiting()))}")
            return
        else:
            print(
                f"MLflow has the {format_count(sent)} of run {box.run_id} that waited",
                file=sys.stderr,
                flush=True,
            )


def warn(text: str) -> None:
    """Print a warning on stderr."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


def format_waiting(number: int) -> str:
    """The state of records that are not delivered, and the remedy."""
    return (
        f"{format_count(number)} {'waits' if number == 1 else 'wait'} for MLflow in {FOLDER}; "
        f"the next run delivers {'it' if number == 1 else 'them'}"
    )


def format_count(number: int) -> str:
    """The number of records with its noun."""
    return f"{number:,} {'record' if number == 1 else 'records'}"


def _of_server() -> Path:
    """The folder of the current server; the same after a change of its password."""
    return FOLDER / hashlib.sha256(mask(uri()).encode()).hexdigest()[:16]


def _listed(files: Path | None) -> Iterator[tuple[Path, Path]]:
    """A file, or the files below a folder, each with its name in the record."""
    if files is None or not files.is_dir():
        yield from [(files, Path(files.name))] if files else []
        return
    for path in sorted(files.rglob("*")):
        if path.is_file():
            yield path, path.relative_to(files)


def _is_gone(run_id: str) -> bool:
    try:
        found = get_or_none(lambda: connect().get_run(run_id))
    except (TransientError, UserError):
        return False
    return found is None or found.info.lifecycle_stage == "deleted"


def _send(run_id: str, path: Path) -> None:
    """Send one record."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    with zipfile.ZipFile(path) as content, tempfile.TemporaryDirectory() as scratch, translate_errors():
        record = json.loads(content.read(RECORD))
        values, server = record["values"], connect()
        match record["kind"]:
            case "metrics":
                server.log_batch(run_id, [Metric(*point) for point in values])
            case "params":  # MLflow never changes a parameter
                have = server.get_run(run_id).data.params
                new = [Param(key, value) for key, value in values.items() if key not in have]
                server.log_batch(run_id, params=new)
            case "tags":
                for key, value in values.items():
                    server.set_tag(run_id, key, value)
            case "dataset":
                tags = [InputTag("mlflow.data.context", "training")]
                server.log_inputs(run_id, datasets=[DatasetInput(Dataset(**values), tags)])
            case "artifact":
                content.extractall(scratch)
                if (files := Path(scratch, FILES)).is_dir():
                    server.log_artifacts(run_id, str(files), values or None)
            case "status":
                server.set_terminated(run_id, values)
            case kind:
                raise UserError(f"{path} is a record of an unknown kind: {kind}")
