"""Records that wait while the server is away: all arrive, in order, once."""

import json
import re
import shutil
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from seq2seq.commands import lineage
from seq2seq.common import paths
from seq2seq.common.errors import TransientError
from seq2seq.tracking import client, outbox, runs, system
from seq2seq.tracking.run import Run
from tests.support import waiting_records
from tests.support.waiting import wait_for
from tests.support.waiting_records import CHECKED, CORPUS, KEPT, points

WRITES = ("log_batch", "log_inputs", "set_tag", "log_artifacts", "set_terminated")


@pytest.fixture
def project(project, monkeypatch) -> Path:
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    waiting_records.make()
    return project


class Server:
    """MLflow's client, which can be switched off; counts the writes that arrive."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.away = False
        self.writes: list[tuple] = []
        for name in WRITES:
            monkeypatch.setattr(client.connect(), name, self._wrapped(name, getattr(client.connect(), name)))

    def _wrapped(self, name, call):
        def act(*arguments, **named):
            if self.away:
                raise MlflowException("away", error_code=TEMPORARILY_UNAVAILABLE)
            if name in ("set_tag", "set_terminated"):
                self.writes.append((name, *arguments[1:]))
            elif name == "log_artifacts":
                found = sorted(path.name for path in Path(arguments[1]).rglob("*"))
                self.writes.append((name, arguments[2], *found))
            else:
                self.writes.append((name,))
            return call(*arguments, **named)

        return act


@pytest.fixture
def server(project, monkeypatch) -> Server:
    return Server(monkeypatch)


def train(server: Server, updates: int = 3) -> str:
    """A stub of a training whose server goes away after its start, for good."""
    with runs.training_run(CHECKED, "f" * 40) as run:
        server.away = True
        run.set_tags({"device": "cpu"})
        run.log_text("made later", "train/later.txt")
        for update in range(1, updates + 1):
            run.log_metrics({"validation_loss": 2.0 + update}, update)
    return run.id


@pytest.mark.slow
def test_tags_artifacts_curve_and_end_arrive_once_the_server_is_back(server, capsys):
    run_id = train(server)
    warned = capsys.readouterr().err
    # A slow training records the machine's use too.
    [count] = re.findall(r"([4-9]) records wait for MLflow in \.cache/mlflow; the next run delivers", warned)
    server.away = False
    outbox.deliver_all()
    assert f"MLflow has the {count} records of run {run_id} that waited" in capsys.readouterr().err
    found = client.connect().get_run(run_id)
    assert (found.info.status, found.data.tags["device"]) == ("FINISHED", "cpu")
    assert points(run_id, "validation_loss") == [(update, 2.0 + update) for update in (1, 2, 3)]
    kept = [Path(file.path).name for file in client.connect().list_artifacts(run_id, "train")]
    assert sorted(kept) == sorted([*KEPT, "later.txt"])
    once = [write for write in server.writes if write[0] in ("set_tag", "log_artifacts", "set_terminated")]
    assert len(once) == len(set(once)), "nothing arrives twice"
    assert server.writes[-1] == ("set_terminated", "FINISHED"), "in the order in which it was recorded"
    assert not list(outbox.FOLDER.rglob("*.zip"))
    outbox.deliver_all()
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_lineage_finds_a_model_whose_description_waited(server, monkeypatch, capsys):
    created = client.connect().create_run

    def create_and_go(*arguments, **named):
        server.away = True
        return created(*arguments, **named)

    monkeypatch.setattr(client.connect(), "create_run", create_and_go)
    run_id = train(server)
    server.away = False
    for subject in (CORPUS[:10], "aa" * 32, run_id):
        assert [run["run_id"] for run in lineage.trace(subject)["runs"]] == [run_id]
    [found] = lineage.trace(run_id)["runs"]
    assert (found["status"], found["described"]) == ("FINISHED", "train")
    assert found["params"]["train.attention"] == "additive"
    assert capsys.readouterr().err.count("that waited") == 1


@pytest.mark.slow
def test_a_record_sent_twice_changes_nothing(server):
    run_id = train(server)
    box = outbox.Outbox(run_id)
    waiting = {path: path.read_bytes() for path in box.waiting()}
    server.away = False
    sent = []
    for _ in range(2):  # as if the process had been killed before it removed the records
        for path, content in waiting.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        assert box.deliver() == len(waiting)
        found = client.connect().get_run(run_id)
        sent.append((found.data.to_dictionary(), found.info.status, points(run_id, "validation_loss")))
    assert sent[0] == sent[1]
    assert len(points(run_id, "system/cpu_utilization_percentage")) == 1


@pytest.mark.slow
def test_the_next_success_delivers_what_waited(server, monkeypatch, capsys):
    monkeypatch.setattr("seq2seq.tracking.run.FIRST_WAIT", 0.0)
    with runs.training_run(CHECKED, "f" * 40) as run:
        server.away = True
        run.set_tags({"device": "cpu"})
        server.away = False
        run.set_tags({"other": "x"})
        assert [write[1] for write in server.writes[-2:]] == ["device", "other"]
    assert "MLflow answers again and has the 2 records that waited" in capsys.readouterr().out


@pytest.mark.slow
def test_an_evaluation_whose_server_is_away_waits_too(server, monkeypatch, capsys):
    run_id = train(server)
    for path in (paths.SEGMENTS, paths.LENGTHS, paths.SLICES, paths.PICTURES / "a.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    metrics = {"digests": {"test": "d"}, "model_digest": "m", "test": {"bleu": 12.5, "sentences": 3}}
    paths.METRICS.write_text(json.dumps(metrics))

    def refuse(_):
        raise TransientError("MLflow does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "get_or_none", refuse)
        with runs.model_run(patient=True) as run:
            runs.log_evaluation(run)
        with pytest.raises(TransientError), runs.model_run():
            pass
    assert "records wait for MLflow" in capsys.readouterr().err
    server.away = False
    outbox.deliver_all()
    found = client.connect().get_run(run_id)
    assert (found.data.tags["model_digest"], found.data.metrics["test.bleu"]) == ("m", 12.5)
    pictures = client.connect().list_artifacts(run_id, "evaluation/pictures")
    assert [file.path for file in pictures] == ["evaluation/pictures/a.png"]


@pytest.mark.slow
def test_a_run_that_is_not_patient_keeps_nothing(server, capsys):
    run_id = train(server)
    capsys.readouterr()
    outbox.deliver_all()
    waiting = len(outbox.Outbox(run_id).waiting())
    assert waiting >= 4
    assert f"away; {waiting} records wait for MLflow in .cache/mlflow" in capsys.readouterr().err
    with pytest.raises(TransientError):
        Run(run_id).set_tags({"a": "b"})
    assert len(outbox.Outbox(run_id).waiting()) == waiting


@pytest.mark.slow
def test_records_of_a_run_that_is_gone_are_put_aside_and_named(server, capsys):
    run_id = train(server)
    server.away = False
    client.connect().delete_run(run_id)
    outbox.deliver_all()
    text = capsys.readouterr().err
    assert re.search(rf"not have run {run_id} any more: [4-9] records of it stay in \.cache/mlflow/", text)
    assert len(list(outbox.FOLDER.glob(f"*/{run_id}.gone/*.zip"))) == 4
    outbox.deliver_all()
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_records_for_another_server_stay(server, monkeypatch, project, empty_database):
    run_id = train(server)
    server.away = False
    shutil.copyfile(empty_database, project / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/other.db")
    outbox.deliver_all()
    assert outbox.Outbox(run_id).waiting() == []
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert len(outbox.Outbox(run_id).waiting()) == 4


@pytest.mark.slow
def test_system_metrics_are_recorded_also_by_a_resumed_training_and_without_the_server(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1")
    name = "system/cpu_utilization_percentage"
    samples: list[dict[str, float]] = []
    sample = system._sample
    monkeypatch.setattr(system, "_sample", lambda *given: samples.append(sample(*given)) or samples[-1])

    def one_interval() -> None:
        """The first sample of a run is not recorded, the last one is taken at its end."""
        before = len(samples)
        wait_for(lambda: len(samples) >= before + 2)

    def interrupted() -> None:
        with runs.training_run(CHECKED, "f" * 40):
            one_interval()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    stopped = json.loads(paths.RUN.read_text())["run_id"]
    first = len(points(stopped, name))
    assert first >= 2
    with runs.training_run(CHECKED, "f" * 40) as resumed:
        server.away = True
        one_interval()
    server.away = False
    outbox.deliver_all()
    assert resumed.id == stopped
    assert len(points(stopped, name)) >= first + 2
    assert client.connect().get_run(stopped).info.status == "FINISHED"


@pytest.mark.slow
def test_a_machine_that_cannot_be_measured_stops_no_training(server, monkeypatch, capsys):
    monkeypatch.setattr("psutil.net_io_counters", lambda: None)
    with runs.training_run(CHECKED, "f" * 40):
        pass
    assert "warning: no more system metrics are recorded: AttributeError" in capsys.readouterr().err
