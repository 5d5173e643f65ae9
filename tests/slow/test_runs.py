"""Runs over several trainings: continued, completed, made again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from seq2seq.common import paths, workspace
from seq2seq.common.errors import UserError
from seq2seq.tracking import client, runs
from seq2seq.tracking import run as run_module
from tests.support import recorded
from tests.support.projects import ROOT
from tests.support.recorded import CHECKED, FIRST, points, train, write_curve


@pytest.fixture
def project(project, monkeypatch) -> Path:
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    recorded.make()
    return project


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "KILLED"), (UserError("the loss is nan"), "FAILED")]
)
def test_a_stopped_training_continues_its_run_and_records_no_point_twice(project, error, status):
    with pytest.raises(type(error)):
        train(3, error=error)
    stopped = json.loads(paths.RUN.read_text())["run_id"]
    assert client.connect().get_run(stopped).info.status == status
    assert train(5) == stopped
    assert points(stopped, "validation_loss") == [(u, 2.0 + u) for u in range(1, 6)]
    assert client.connect().get_run(stopped).info.status == "FINISHED"


def test_a_finished_or_foreign_run_is_never_continued(project, monkeypatch):
    first = train(1)
    again = train(1)
    other = train(1, fingerprint="e" * 40)
    client.connect().update_run(again, status="RUNNING")
    monkeypatch.setattr(workspace, "workspace_id", lambda: "elsewhere:/project")
    elsewhere = train(1)
    assert len({first, again, other, elsewhere}) == 4


def test_a_resumed_run_keeps_the_parameters_it_has(project):
    with pytest.raises(KeyboardInterrupt):
        train(1, error=KeyboardInterrupt())
    changed = CHECKED.model_copy(update={"ingest": CHECKED.ingest.model_copy(update={"seed": 9})})
    with runs.training_run(changed, FIRST) as run:
        pass
    assert client.connect().get_run(run.id).data.params["ingest.seed"] == str(CHECKED.ingest.seed)


def test_a_dying_server_stops_no_training_and_the_record_is_completed(project, monkeypatch, capsys):

    monkeypatch.setattr(run_module, "SECONDS_BETWEEN_BATCHES", 0.0)
    alive = client.connect().log_batch

    def dead(*arguments, **named):
        raise MlflowException("gone", error_code=1)

    with runs.training_run(CHECKED, FIRST) as run:
        for update in range(1, 8):
            if update == 3:
                monkeypatch.setattr(client.connect(), "log_batch", dead)
            run.log_metrics({"validation_loss": 2.0 + update}, update)
    output = capsys.readouterr().err
    assert output.count("the stage continues") == 1
    assert "7 records wait for MLflow in .cache/mlflow; the next run delivers them" in output
    assert client.connect().get_run(run.id).info.status == "RUNNING"

    monkeypatch.setattr(client.connect(), "log_batch", alive)
    write_curve(7)
    with runs.model_run() as healed:
        pass
    assert healed.id == run.id
    assert points(run.id, "validation_loss") == [(u, 2.0 + u) for u in range(1, 8)]
    assert client.connect().get_run(run.id).info.status == "FINISHED"


def test_a_returning_server_gets_the_kept_points(project, monkeypatch, capsys):

    monkeypatch.setattr(run_module, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(run_module, "SECONDS_BETWEEN_BATCHES", 0.0)
    alive = client.connect().log_batch
    failures = iter([True, True, False])

    def flaky(*arguments, **named):
        if named.get("params") is None and next(failures, False):
            raise MlflowException("gone", error_code=1)
        return alive(*arguments, **named)

    monkeypatch.setattr(client.connect(), "log_batch", flaky)
    run_id = train(4)
    assert points(run_id, "validation_loss") == [(u, 2.0 + u) for u in range(1, 5)]


def test_a_new_registry_gets_the_run_of_the_model_once(project, empty_database):
    train(3)
    record = paths.RUN.read_text()
    write_curve(3)
    database = project / "other.db"
    shutil.copyfile(empty_database, database)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{database}"
    try:
        ids = []
        for _ in range(2):
            with runs.model_run() as run:
                run.log_metrics({"test.bleu": 12.0})
                ids.append(run.id)
        assert ids[0] == ids[1] != json.loads(record)["run_id"]
        assert points(ids[0], "validation_loss") == [(u, 2.0 + u) for u in range(1, 4)]
        made = client.connect().get_run(ids[0])
        assert made.data.metrics["test.bleu"] == 12.0
        assert made.data.params["train.attention"] == "additive"
        assert made.info.status == "FINISHED"
    finally:
        del os.environ["MLFLOW_TRACKING_URI"]
    assert paths.RUN.read_text() == record, "an out of train, it must stay as DVC recorded it"


def test_an_evaluation_is_recorded_once_its_own_figures_are(project):
    train(1)
    for path in (paths.SEGMENTS, paths.LENGTHS, paths.SLICES, paths.PICTURES / "a.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for bleu in (12.5, 13.5):  # the second as after another beam: the run has the figures of the first
        metrics = {"digests": {"test": "d"}, "model_digest": "m", "test": {"bleu": bleu, "sentences": 3}}
        paths.METRICS.write_text(json.dumps(metrics))
        with runs.model_run() as run:
            assert not runs.is_evaluated(run)
            runs.log_evaluation(run)
        assert runs.is_evaluated(run)


def test_a_deleted_run_is_recreated(project):
    run_id = train(1)
    client.connect().delete_run(run_id)
    with runs.model_run() as run:
        assert run.id != run_id


WRITE = """
import sys
from seq2seq.common import environment, params
from seq2seq.tracking import runs
environment.configure_process()
with runs.training_run(params.load(), sys.argv[1] * 40) as run:
    run.log_metrics({"validation_loss": 1.0}, 1)
"""


def test_three_processes_may_touch_a_fresh_database_first(project):
    (project / "mlflow.db").unlink()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        for name in "abc"
    ]
    printed = "".join(writer.communicate()[0] for writer in writers)
    assert [writer.returncode for writer in writers] == [0] * 3
    # On a slow machine one may wait long enough to print the reason.
    assert all(line.startswith("waiting for the first use of ") for line in printed.splitlines()), printed
    experiment = client.connect().get_experiment_by_name(CHECKED.register.name)
    found = client.connect().search_runs([experiment.experiment_id])
    assert [run.info.status for run in found] == ["FINISHED"] * 3
