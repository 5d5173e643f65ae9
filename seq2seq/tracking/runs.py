"""The runs of MLflow's record: one for each trained model, and what it holds.

Why: a training writes into one run however often it is interrupted, a server that is away does not
stop it, and a run that this server does not know is made again from what lies on disk.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seq2seq.common import params, paths, workspace
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.masking import mask
from seq2seq.common.params import Params, flatten
from seq2seq.tracking.client import connect, get_or_none, sqlite_file, translate_errors, uri

FINGERPRINT, PLACE = "seq2seq.fingerprint", "seq2seq.workspace"
SECTIONS = ("ingest", "clean", "tokenize", "train")  # whose values made the model
SECONDS_BETWEEN_BATCHES = 5.0
# MLflow's own limits: metrics in one request, and (a little below it) characters of a dataset's source.
LARGEST_BATCH, LONGEST_SOURCE = 1000, 65_000
FIRST_WAIT, LONGEST_WAIT = 60.0, 3600.0  # seconds before a server that failed is tried again


class Run:
    """A run of the tracking server.

    Metrics are gathered and sent together. A `patient` run (one that trains) survives its server: it
    warns once, keeps its points and tries again later; any other raises TransientError.
    """

    def __init__(self, run_id: str, *, patient: bool = False) -> None:
        self.id = run_id
        self._patient = patient
        self._client = connect()
        self._points: list[tuple[str, float, int, int]] = []
        self._known: dict[str, set[int]] = {}  # steps the server has, by metric
        self._sent = time.monotonic()
        self._wait, self._retry_at, self._warned = FIRST_WAIT, 0.0, False

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers at a step; a point the server already has at that step is left out."""
        now = int(time.time() * 1000)
        for name, value in values.items():
            if step is None or step not in self._known.get(name, ()):
                self._points.append((name, float(value), now, step or 0))
        if time.monotonic() - self._sent >= SECONDS_BETWEEN_BATCHES:
            self.flush()

    def log_artifact(self, path: Path | str, folder: str = "") -> None:
        """Keep a file (or all of a folder) with the run, below `folder`."""
        upload = self._client.log_artifacts if Path(path).is_dir() else self._client.log_artifact
        self._send(lambda: upload(self.id, str(path), folder or None))

    def log_text(self, text: str, name: str) -> None:
        """Keep a text with the run as a file of that name, its secrets masked."""
        self._send(lambda: self._client.log_text(self.id, mask(text), name))

    def set_tag(self, name: str, value: str) -> None:
        """Tag the run, e.g. with the device it trains on."""
        self._send(lambda: self._client.set_tag(self.id, name, mask(value)))

    def flush(self, *, last: bool = False) -> None:
        """Send what is gathered; `last`: also to a server that has just failed."""
        from mlflow.entities import Metric

        self._sent = time.monotonic()
        if last:
            self._retry_at = 0.0
        while self._points:
            batch = self._points[:LARGEST_BATCH]
            if not self._send(lambda: self._client.log_batch(self.id, [Metric(*p) for p in batch])):  # noqa: B023
                return
            del self._points[: len(batch)]

    def finish(self, status: str) -> None:
        """Send the rest and end the run: FINISHED, KILLED or FAILED."""
        self.flush(last=True)
        if not self._points:
            self._send(lambda: self._client.set_terminated(self.id, status))
        if self._points:
            _warn(f"{len(self._points)} points of run {self.id} stay unsent; `evaluate` sends the curve")

    def learn_steps(self) -> None:
        """Ask the server which points it has, so that none is recorded twice."""
        with translate_errors():
            for name in self._client.get_run(self.id).data.metrics:
                history = self._client.get_metric_history(self.id, name)
                self._known[name] = {point.step for point in history}

    def describe(self, params: Params, folder: str) -> None:
        """Record what the model is made from: parameters, data, code, packages, machine."""
        from mlflow.entities import Param

        with translate_errors():
            have = self._client.get_run(self.id).data.params
            values = {
                key: "null" if value is None else mask(str(value))
                for key, value in flatten(params.model_dump(include=set(SECTIONS))).items()
            }
            new = [Param(key, value) for key, value in values.items() if key not in have]
            self._client.log_batch(self.id, params=new)  # MLflow never changes a parameter
            self._client.log_inputs(self.id, datasets=_datasets())
        for name, value in {
            "git.commit": workspace.commit(),
            "git.dirty": workspace.dirty(),
            "prefect.flow_run_id": workspace.flow_run(),
            "dvc.corpus": workspace.data_hash(paths.CORPUS),
            **(workspace.recipe_tags(params) | workspace.file_tags()),
        }.items():
            self.set_tag(name, value)
        self.log_text(json.dumps(workspace.machine(), indent=2), f"{folder}/machine.json")
        self.log_workspace(folder)

    def log_workspace(self, folder: str) -> None:
        """Keep changes to the code, params.yaml, dvc.lock, provenance and packages as they are now."""
        self.log_text(workspace.diff(), f"{folder}/git.diff")
        self.log_text(workspace.packages(), f"{folder}/packages.txt")
        for path in (paths.PARAMS, paths.PROVENANCE, workspace.LOCK):
            if path.is_file():
                self.log_text(path.read_text(encoding="utf-8"), f"{folder}/{path.name}")

    def _send(self, action: Any) -> bool:
        """Do it; False if the server failed and the run is patient."""
        if time.monotonic() < self._retry_at:
            return False
        try:
            with translate_errors():
                action()
        except (TransientError, UserError) as error:
            if not self._patient:
                raise
            self._retry_at = time.monotonic() + self._wait
            self._wait = min(2 * self._wait, LONGEST_WAIT)
            if not self._warned:
                _warn(f"{error}; training goes on, and what it records is kept")
                self._warned = True
            return False
        self._wait = FIRST_WAIT
        return True


@contextmanager
def training_run(params: Params, fingerprint: str, *, resumed: bool = False) -> Iterator[Run]:
    """The run of a training: this workspace's unfinished one of that fingerprint, or a new one.

    With `resumed` its newest one, although it may have finished: it was killed after that.

    It ends FINISHED, KILLED (KeyboardInterrupt) or FAILED; reports/run.json names it. Raises
    TransientError if the server does not answer at the start; later that only costs a warning.
    """
    run_id = _find_run(params.register.name, fingerprint, ours=True, finished=resumed)
    if run_id is None:
        run_id = _create_run(params, fingerprint, params.register.name)
    else:
        with translate_errors():
            connect().update_run(run_id, status="RUNNING")
        print(f"train: goes on in MLflow run {run_id}", flush=True)
    record = {"run_id": run_id, "experiment": params.register.name, "fingerprint": fingerprint}
    paths.RUN.parent.mkdir(parents=True, exist_ok=True)
    paths.RUN.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    run = Run(run_id, patient=True)
    run.learn_steps()
    run.describe(params, "train")
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        run.finish(status)


@contextmanager
def model_run() -> Iterator[Run]:
    """The run that made the model (reports/run.json), with its curve complete.

    A server that does not know it gets it again, from what lies on disk. Raises TransientError if the
    server does not answer.
    """
    if not paths.RUN.is_file():
        raise UserError(f"{paths.RUN} is missing: `dvc repro train` writes it")
    record = json.loads(paths.RUN.read_text(encoding="utf-8"))
    made = get_or_none(lambda: connect().get_run(record["run_id"]))
    if made is not None and made.info.lifecycle_stage == "active":
        run_id = record["run_id"]
    else:
        run_id = _find_run(record["experiment"], record["fingerprint"])
    if run_id is None:
        checked = params.load()
        run_id = _create_run(checked, record["fingerprint"], record["experiment"])
        Run(run_id).describe(checked, "recreated")
        print(f"{mask(uri())} did not know run {record['run_id']}: recreated as {run_id}", flush=True)
    run = Run(run_id)
    run.learn_steps()
    _heal(run)
    yield run
    run.flush()


def log_evaluation(run: Run) -> None:
    """Add what `evaluate` has written to the run: final metrics of each set, segments, slices, pictures."""
    metrics = json.loads(paths.METRICS.read_text(encoding="utf-8"))
    for path in (paths.METRICS, paths.SEGMENTS, paths.LENGTHS, paths.SLICES):
        run.log_artifact(path, "evaluation")
    run.log_artifact(paths.PICTURES, "evaluation/pictures")
    run.set_tag("model_digest", metrics["model_digest"])
    for name in metrics["digests"]:  # last: by them `is_evaluated` judges
        run.log_metrics({f"{name}.{key}": value for key, value in metrics[name].items()})


def is_evaluated(run: Run) -> bool:
    """Whether the run has the final metrics of reports/metrics.json.

    One made again on another server has none; one whose server was away at the end of `evaluate` has none
    or those of an earlier evaluation.
    """
    metrics = json.loads(paths.METRICS.read_text(encoding="utf-8"))
    wanted = {f"{name}.{key}": value for name in metrics["digests"] for key, value in metrics[name].items()}
    with translate_errors():
        have = connect().get_run(run.id).data.metrics
    return all(name in have and math.isclose(have[name], value) for name, value in wanted.items())


def _heal(run: Run) -> None:
    """Send the points of the curve that never arrived; end a run whose server was away at its end."""
    if paths.CURVE.is_file():
        with paths.CURVE.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                update = int(row.pop("update"))
                run.log_metrics({name: float(value) for name, value in row.items() if value}, update)
    run.flush()
    with translate_errors():
        if connect().get_run(run.id).info.status != "FINISHED":
            connect().set_terminated(run.id, "FINISHED")


def _create_run(params: Params, fingerprint: str, name: str) -> str:
    tags = {
        FINGERPRINT: fingerprint,
        PLACE: workspace.workspace_id(),
        "mlflow.runName": f"{name} {params.train.attention} {fingerprint[:7]}",
        "mlflow.source.name": "seq2seq train",
    }
    with translate_errors():
        return str(connect().create_run(experiment(name), tags=tags).info.run_id)


def experiment(name: str) -> str:
    """The id of an experiment, which is made where there is none; raises UserError if it is deleted."""
    found = connect().get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        raise UserError(f"MLflow's experiment {name!r} is deleted: restore it, or change register.name")
    if found is not None:
        return str(found.experiment_id)
    database = sqlite_file(uri())  # any other server decides itself where files go
    files = (database.parent / "mlruns").as_uri() if database else None
    return str(connect().create_experiment(name, artifact_location=files))


def _find_run(experiment: str, fingerprint: str, *, ours: bool = False, finished: bool = True) -> str | None:
    """The newest run of a fingerprint, of this workspace alone if `ours`."""
    with translate_errors():
        found = connect().get_experiment_by_name(experiment)
        if found is None:
            return None
        wanted = f"tags.`{FINGERPRINT}` = '{fingerprint}'"
        for run in connect().search_runs([found.experiment_id], wanted):
            mine = run.data.tags.get(PLACE) == workspace.workspace_id()
            if (mine or not ours) and (finished or run.info.status != "FINISHED"):
                return str(run.info.run_id)
    return None


def _datasets() -> list[Any]:
    """The corpus as MLflow's input: where it came from."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    if not paths.PROVENANCE.is_file():
        return []
    provenance = json.loads(paths.PROVENANCE.read_text(encoding="utf-8"))
    source = mask(json.dumps(provenance))
    # MLflow keeps one source for a name and digest, but other files may come to the same data/corpus.
    digest = hashlib.sha256((workspace.data_hash(paths.CORPUS) + source).encode()).hexdigest()
    if len(source) > LONGEST_SOURCE:
        source = mask(json.dumps({**provenance, "files": workspace.ELSEWHERE}))
    dataset = Dataset(
        name=mask(str(provenance.get("id") or provenance["path"]))[:500],
        digest=digest[:36],
        source_type="hugging_face" if provenance["kind"] == "hub" else "local",
        source=source,
        profile=json.dumps(provenance.get("rows", {})),
    )
    return [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)
