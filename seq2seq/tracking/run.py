"""One run in MLflow: its metrics, files and tags, written through an outbox.

Why: a server that is away neither stops a training nor costs it a record.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seq2seq.common import acceptance, paths, workspace
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.masking import mask
from seq2seq.common.params import flatten
from seq2seq.common.schema import Params
from seq2seq.tracking import outbox, system
from seq2seq.tracking.client import connect, translate_errors

SECTIONS = ("ingest", "score", "clean", "tokenize", "train")  # of params.yaml, which determine the model
SECONDS_BETWEEN_BATCHES = 5.0
# MLflow's limits: metrics in one request, and (slightly below it) characters of a dataset's source.
LARGEST_BATCH, LONGEST_SOURCE = 1000, 65_000
FIRST_WAIT, LONGEST_WAIT = 60.0, 3600.0  # seconds before a failed server is tried again


class Run:
    """A run of the tracking server, written through its outbox.

    Metrics are sent in batches. If the server fails, a `patient` run (of a training or an evaluation) warns
    once, keeps its records on disk and tries again later; any other raises TransientError and keeps nothing.
    """

    def __init__(self, run_id: str, *, patient: bool = False) -> None:
        self.id = run_id
        self._patient = patient
        self._outbox = outbox.Outbox(run_id)
        self._points: list[tuple[str, float, int, int]] = []
        self._steps: dict[str, set[int]] = {}  # steps the server has, by metric
        self._began = time.time()
        self._sent = time.monotonic()
        self._wait, self._retry_at, self._warned = FIRST_WAIT, 0.0, False

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers at a step; points that the server already has are left out."""
        self._collect(values, step)
        if time.monotonic() - self._sent >= SECONDS_BETWEEN_BATCHES:
            self.flush()

    def log_system_metrics(self, values: Mapping[str, float]) -> None:
        """Record numbers about the machine, from any thread; the step is the run's age in seconds."""
        self._collect(values, int(time.time() - self._began))

    def log_artifact(self, path: Path | str, folder: str = "") -> None:
        """Upload a file or a folder to the run, below `folder`."""
        self._send("artifact", folder, Path(path))

    def log_text(self, text: str, name: str) -> None:
        """Upload a text to the run as a file of that name, secrets masked."""
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, Path(name).name)
            path.write_text(mask(text), encoding="utf-8")
            self.log_artifact(path, str(Path(name).parent))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tag the run, e.g. with the device."""
        self._send("tags", {name: mask(value) for name, value in tags.items()})

    def flush(self) -> None:
        """Send the collected metrics."""
        self._sent = time.monotonic()
        while batch := self._points[:LARGEST_BATCH]:
            self._send("metrics", batch)
            del self._points[: len(batch)]

    def finish(self, status: str | None = None) -> None:
        """Send the rest, also to a server that has just failed; end the run: FINISHED, KILLED or FAILED."""
        self.flush()
        self._retry_at = 0.0
        if status is not None:
            self._send("status", status)
        elif self._patient:
            self._deliver()
        if waiting := self._outbox.waiting():
            outbox.warn(outbox.format_waiting(len(waiting)))

    def learn_steps(self) -> None:
        """Read the steps that the server has, so that no point is recorded twice."""
        with translate_errors():
            found = connect().get_run(self.id)
            self._began = found.info.start_time / 1000
            for name in found.data.metrics:
                if not name.startswith(system.PREFIX):  # many points, whose steps never return
                    history = connect().get_metric_history(self.id, name)
                    self._steps[name] = {point.step for point in history}

    def describe(self, params: Params, folder: str) -> None:
        """Record the inputs of the model: parameters, data, code, packages, machine."""
        values = flatten(params.model_dump(include=set(SECTIONS)))
        self._send("params", {k: "null" if v is None else mask(str(v)) for k, v in values.items()})
        if dataset := _dataset():
            self._send("dataset", dataset)
        self.set_tags(
            {
                "git.commit": workspace.commit(),
                "git.dirty": workspace.dirty(),
                "prefect.flow_run_id": workspace.flow_run(),
                "dvc.corpus": workspace.data_hash(paths.CORPUS),
                **(workspace.recipe_tags(params) | workspace.start_tags(params)),
                **(workspace.file_tags() | acceptance.tags()),
            }
        )
        self.log_text(json.dumps(workspace.machine(), indent=2), f"{folder}/machine.json")
        self.log_workspace(folder)

    def log_workspace(self, folder: str) -> None:
        """Upload the current changes to the code, params.yaml, dvc.lock, provenance, profile, packages."""
        self.log_text(workspace.diff(), f"{folder}/git.diff")
        self.log_text(workspace.packages(), f"{folder}/packages.txt")
        for path in (paths.PARAMS, paths.PROVENANCE, paths.PROFILE, workspace.LOCK):
            if path.is_file():
                self.log_text(path.read_text(encoding="utf-8"), f"{folder}/{path.name}")

    def _collect(self, values: Mapping[str, float], step: int | None) -> None:
        now = int(time.time() * 1000)
        for name, value in values.items():
            if step is None or step not in self._steps.get(name, ()):
                self._points.append((name, float(value), now, step or 0))

    def _send(self, kind: str, values: Any, files: Path | None = None) -> None:
        path = self._outbox.add(kind, values, files)
        try:
            self._deliver()
        except (TransientError, UserError):
            path.unlink(missing_ok=True)  # the caller's next try makes it again
            raise

    def _deliver(self) -> None:
        """Send the waiting records; a patient run never raises."""
        if time.monotonic() < self._retry_at:
            return
        try:
            sent = self._outbox.deliver()
        except (TransientError, UserError) as error:
            if not self._patient:
                raise
            self._retry_at = time.monotonic() + self._wait
            self._wait = min(2 * self._wait, LONGEST_WAIT)
            if not self._warned:
                outbox.warn(f"{error}; the stage continues, its records wait in {outbox.FOLDER}")
                self._warned = True
            return
        if self._warned:
            print(f"MLflow answers again and has the {outbox.format_count(sent)} that waited", flush=True)
        self._wait, self._warned = FIRST_WAIT, False


def _dataset() -> dict[str, str] | None:
    """The corpus as fields of MLflow's input dataset, with its origin; None without provenance."""
    if not paths.PROVENANCE.is_file():
        return None
    provenance = json.loads(paths.PROVENANCE.read_text(encoding="utf-8"))
    source = mask(json.dumps(provenance))
    # MLflow keeps one source per name and digest, but different files may give the same data/corpus.
    digest = hashlib.sha256((workspace.data_hash(paths.CORPUS) + source).encode()).hexdigest()
    if len(source) > LONGEST_SOURCE:
        source = mask(json.dumps({**provenance, "files": workspace.ELSEWHERE}))
    return {
        "name": mask(str(provenance.get("id") or provenance["path"]))[:500],
        "digest": digest[:36],
        "source_type": "hugging_face" if provenance["kind"] == "hub" else "local",
        "source": source,
        "profile": json.dumps(provenance.get("rows", {})),
    }
