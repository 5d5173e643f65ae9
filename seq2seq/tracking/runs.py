"""Runs in MLflow: one for each trained model, with its metrics, files and tags.

Why: a training writes into one run, however often it is interrupted; an unreachable server does not stop it;
a run that is missing on the server is recreated from the files on disk.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from seq2seq.common import acceptance, params, paths, workspace
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.masking import mask
from seq2seq.common.schema import Params
from seq2seq.tracking import outbox, system
from seq2seq.tracking.client import connect, get_or_none, translate_errors, uri
from seq2seq.tracking.run import Run
from seq2seq.tracking.sqlite_store import sqlite_file

FINGERPRINT, PLACE = "seq2seq.fingerprint", "seq2seq.workspace"


@contextmanager
def training_run(params: Params, fingerprint: str, *, resumed: bool = False) -> Iterator[Run]:
    """The run of a training: this workspace's unfinished one of that fingerprint, or a new one.

    With `resumed`, the newest one even if it is finished: the training was killed afterwards.

    The run ends FINISHED, KILLED (KeyboardInterrupt) or FAILED; reports/run.json names it. Raises
    TransientError if the server is unreachable at the start; later the records wait on disk.
    """
    outbox.deliver_all()  # before the search: an earlier run may have ended without the server
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
        with system.recorded(run.log_system_metrics):
            yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        run.finish(status)


@contextmanager
def model_run(*, patient: bool = False) -> Iterator[Run]:
    """The run that made the model (reports/run.json), with its curve complete.

    A run that is missing on the server is recreated from the files on disk. If the server is unreachable, the
    records of a `patient` run wait on disk; otherwise raises TransientError.
    """
    if not paths.RUN.is_file():
        raise UserError(f"{paths.RUN} is missing: `dvc repro train` writes it")
    record = json.loads(paths.RUN.read_text(encoding="utf-8"))
    outbox.deliver_all()
    try:
        run = Run(_get_or_create(record), patient=patient)
        run.learn_steps()
        _heal(run)
    except TransientError as error:
        if not patient:
            raise
        outbox.warn(str(error))
        run = Run(record["run_id"], patient=True)
    yield run
    run.finish()


def _get_or_create(record: Mapping[str, str]) -> str:
    """The id of the run of reports/run.json on this server; a missing one is recreated."""
    made = get_or_none(lambda: connect().get_run(record["run_id"]))
    if made is not None and made.info.lifecycle_stage == "active":
        return record["run_id"]
    run_id = _find_run(record["experiment"], record["fingerprint"])
    if run_id is None:
        checked = params.load()
        run_id = _create_run(checked, record["fingerprint"], record["experiment"])
        Run(run_id).describe(checked, "recreated")
        print(f"{mask(uri())} does not have run {record['run_id']}: recreated as {run_id}", flush=True)
    return run_id


def log_evaluation(run: Run) -> None:
    """Add the results of `evaluate` to the run: final metrics per set, segments, slices, pictures."""
    metrics = json.loads(paths.METRICS.read_text(encoding="utf-8"))
    for path in (paths.METRICS, paths.SEGMENTS, paths.LENGTHS, paths.SLICES):
        run.log_artifact(path, "evaluation")
    if paths.CONFIDENCE.is_file():
        run.log_artifact(paths.CONFIDENCE, "evaluation")
    run.log_artifact(paths.PICTURES, "evaluation/pictures")
    run.set_tags({"model_digest": metrics["model_digest"]})
    for name in metrics["digests"]:  # last, because `is_evaluated` checks them
        run.log_metrics({f"{name}.{key}": value for key, value in metrics[name].items()})


def is_evaluated(run: Run) -> bool:
    """Whether the run has the final metrics of reports/metrics.json.

    A recreated run has none.
    """
    metrics = json.loads(paths.METRICS.read_text(encoding="utf-8"))
    wanted = {f"{name}.{key}": value for name in metrics["digests"] for key, value in metrics[name].items()}
    with translate_errors():
        have = connect().get_run(run.id).data.metrics
    return all(name in have and math.isclose(have[name], value) for name, value in wanted.items())


def missing_acceptances(run_id: str) -> dict[str, str]:
    """The tags about accepted limits of this folder's corpus and model that a run lacks.

    A stage may exceed a limit, be accepted and give the same bytes as before: then nothing is trained.
    """
    if not (wanted := acceptance.tags()):
        return {}
    with translate_errors():
        have = connect().get_run(run_id).data.tags
    return {name: text for name, text in wanted.items() if have.get(name) != text}


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
