"""Runs in MLflow: one for each trained model, with its metrics, files and tags.

Why: a training writes into one run, however often it is interrupted; an unreachable server does not stop it;
a run that is missing on the server is recreated from the files on disk.
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
SECTIONS = ("ingest", "clean", "tokenize", "train")  # of params.yaml, which determine the model
SECONDS_BETWEEN_BATCHES = 5.0
# MLflow's limits: metrics in one request, and (slightly below it) characters of a dataset's source.
LARGEST_BATCH, LONGEST_SOURCE = 1000, 65_000
FIRST_WAIT, LONGEST_WAIT = 60.0, 3600.0  # seconds before a failed server is tried again


class Run:
    """A run of the tracking server.

    Metrics are sent in batches. If the server fails, a `patient` run (of a training) warns once, keeps its
    points and tries again later; any other raises TransientError.
    """

    def __init__(self, run_id: str, *, patient: bool = False) -> None:
        self.id = run_id
        self._patient = patient
        self._client = connect()
        self._points: list[tuple[str, float, int, int]] = []
        self._steps: dict[str, set[int]] = {}  # steps the server has, by metric
        self._sent = time.monotonic()
        self._wait, self._retry_at, self._warned = FIRST_WAIT, 0.0, False

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers at a step; points that the server already has are left out."""
        now = int(time.time() * 1000)
        for name, value in values.items():
            if step is None or step not in self._steps.get(name, ()):
                self._points.append((name, float(value), now, step or 0))
        if time.monotonic() - self._sent >= SECONDS_BETWEEN_BATCHES:
            self.flush()

    def log_artifact(self, path: Path | str, folder: str = "") -> None:
        """Upload a file or a folder to the run, below `folder`."""
        upload = self._client.log_artifacts if Path(path).is_dir() else self._client.log_artifact
        self._send(lambda: upload(self.id, str(path), folder or None))

    def log_text(self, text: str, name: str) -> None:
        """Upload a text to the run as a file of that name, secrets masked."""
        self._send(lambda: self._client.log_text(self.id, mask(text), name))

    def set_tag(self, name: str, value: str) -> None:
        """Tag the run, e.g. with the device."""
        self._send(lambda: self._client.set_tag(self.id, name, mask(value)))

    def flush(self, *, last: bool = False) -> None:
        """Send the collected metrics; `last`: also to a server that has just failed."""
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
        """Read the steps that the server has, so that no point is recorded twice."""
        with translate_errors():
            for name in self._client.get_run(self.id).data.metrics:
                history = self._client.get_metric_history(self.id, name)
                self._steps[name] = {point.step for point in history}

    def describe(self, params: Params, folder: str) -> None:
        """Record the inputs of the model: parameters, data, code, packages, machine."""
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
        """Upload the current changes to the code, params.yaml, dvc.lock, provenance and packages."""
        self.log_text(workspace.diff(), f"{folder}/git.diff")
        self.log_text(workspace.packages(), f"{folder}/packages.txt")
        for path in (paths.PARAMS, paths.PROVENANCE, workspace.LOCK):
            if path.is_file():
                self.log_text(path.read_text(encoding="utf-8"), f"{folder}/{path.name}")

    def _send(self, action: Any) -> bool:
        """Run an action; False if the server failed and the run is patient."""
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
                _warn(f"{error}; training continues, and its metrics are kept for later")
                self._warned = True
            return False
        self._wait = FIRST_WAIT
        return True


@contextmanager
def training_run(params: Params, fingerprint: str, *, resumed: bool = False) -> Iterator[Run]:
    """The run of a training: this workspace's unfinished one of that fingerprint, or a new one.

    With `resumed`, the newest one even if it is finished: the training was killed afterwards.

    The run ends FINISHED, KILLED (KeyboardInterrupt) or FAILED; reports/run.json names it. Raises
    TransientError if the server is unreachable at the start; later this is only a warning.
    """
    run_id = _find_run(params.register.name, fingerprint, ours=True, finished=resumed)
    if run_id is None:
        run_id = _create_run(params, fingerprint, params.register.name)
    else:
        with translate_errors():
            connect().update_run(run_id, status="RUNNING")
        print(f"train: continues MLflow run {run_id}", flush=True)
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

    A run that is missing on the server is recreated from the files on disk. Raises TransientError if the
    server is unreachable.
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
        print(f"{mask(uri())} does not have run {record['run_id']}: recreated as {run_id}", flush=True)
    run = Run(run_id)
    run.learn_steps()
    _heal(run)
    yield run
    run.flush()


def log_evaluation(run: Run) -> None:
    """Add the results of `evaluate` to the run: final metrics per set, segments, slices, pictures."""
    metrics = json.loads(paths.METRICS.read_text(encoding="utf-8"))
    for path in (paths.METRICS, paths.SEGMENTS, paths.LENGTHS, paths.SLICES):
        run.log_artifact(path, "evaluation")
    run.log_artifact(paths.PICTURES, "evaluation/pictures")
    run.set_tag("model_digest", metrics["model_digest"])
    for name in metrics["digests"]:  # last, because `is_evaluated` checks them
        run.log_metrics({f"{name}.{key}": value for key, value in metrics[name].items()})


def is_evaluated(run: Run) -> bool:
    """Whether the run has the final metrics of reports/metrics.json.

    A recreated run has none; a run whose server was unreachable at the end of `evaluate` has none or those of
    an earlier evaluation.
    """
    metrics = json.loads(paths.METRICS.read_text(encoding="utf-8"))
    wanted = {f"{name}.{key}": value for name in metrics["digests"] for key, value in metrics[name].items()}
    with translate_errors():
        have = connect().get_run(run.id).data.metrics
    return all(name in have and math.isclose(have[name], value) for name, value in wanted.items())


def _heal(run: Run) -> None:
    """Send the missing points of the curve; end a run whose server was unreachable at its end."""
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
    """The id of an experiment, created if missing; raises UserError if it is deleted."""
    found = connect().get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        raise UserError(f"MLflow's experiment {name!r} is deleted: restore it, or change register.name")
    if found is not None:
        return str(found.experiment_id)
    database = sqlite_file(uri())  # other servers choose the location of files themselves
    files = (database.parent / "mlruns").as_uri() if database else None
    return str(connect().create_experiment(name, artifact_location=files))


def _find_run(experiment: str, fingerprint: str, *, ours: bool = False, finished: bool = True) -> str | None:
    """The newest run of a fingerprint, only of this workspace if `ours`."""
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
    """The corpus as an input dataset of MLflow, with its origin."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    if not paths.PROVENANCE.is_file():
        return []
    provenance = json.loads(paths.PROVENANCE.read_text(encoding="utf-8"))
    source = mask(json.dumps(provenance))
    # MLflow keeps one source per name and digest, but different files may give the same data/corpus.
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
