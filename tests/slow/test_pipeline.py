"""Whole runs on a tiny corpus: the flow equals `dvc repro`, and kills change nothing."""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.states import Completed, Running
from prefect.testing.utilities import prefect_test_harness

from flows import console, flow_record, pipeline
from flows.stage_errors import StageError
from tests.support import prefect_home, projects
from tests.support.prefect_states import task_states
from tests.support.toy import flip, truncate
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.timeout(600),
]

STAGES = ["ingest", "mix", "score", "clean", "tokenize", "train", "evaluate", "register"]
# Results that must be the same for every kind of run. No time, path or run id is in these.
RESULTS = [
    *("model/weights.safetensors", "model/config.json", "model/vocabulary.model"),
    *("reports/metrics.json", "reports/cleaning.json", "reports/tokenizer.json", "reports/curve.csv"),
    *("reports/samples.json", "reports/segments.jsonl", "data/corpus/train.parquet"),
]


def results(project: Path) -> dict[str, str]:
    return {name: hashlib.sha256((project / name).read_bytes()).hexdigest() for name in RESULTS}


@contextmanager
def background(project: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """This interpreter in the background, with all it started ended at the end."""
    running = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=project,
        env=projects.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield running
    finally:
        for process in family(running.pid):
            process.kill()
        running.communicate()


def family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def stage_process(pid: int, stage: str) -> psutil.Process | None:
    """The stage's own process among those that a flow started."""
    for process in family(pid):
        try:
            if process.cmdline()[1:4] == ["-m", "seq2seq", stage]:
                return process
        except psutil.Error:
            continue
    return None


def test_a_flow_gives_what_dvc_repro_gives_and_then_nothing_is_left_to_do(
    by_hand: Path, tmp_path: Path
) -> None:
    project = projects.make(tmp_path)
    first = projects.call(project, "-m", "flows", "run")
    assert results(project) == results(by_hand)
    lines = first.stdout.splitlines()
    assert lines[0] == "tiny + 5 changes: corpora/grammar-de-en.yaml -> grammar-tiny"
    assert closing_lines(first.stdout) == [(stage, "ran") for stage in STAGES]
    assert "promote    promoted" in first.stdout
    assert "grammar-tiny version 1 (champion): BLEU" in first.stdout
    assert "0 of 40 test sentences in training, exactly or nearly" in first.stdout
    assert re.search(r"warn|deprecat|alembic|telemetry", first.stdout + first.stderr, re.IGNORECASE) is None

    began = time.monotonic()
    second = projects.call(project, "-m", "flows", "run")
    print(f"nothing to do: {time.monotonic() - began:.1f} s")
    assert closing_lines(second.stdout) == [(stage, "unchanged") for stage in STAGES]
    assert "version 1 is grammar-tiny@champion already" in second.stdout
    assert len(second.stdout.splitlines()) <= 40
    assert second.stderr.startswith("waiting for the run's own Prefect server") or second.stderr == ""
    assert projects.git(project, "status", "--porcelain").split() == ["??", "dvc.lock"]

    # Another registry lacks the version: it is registered there, once.
    other = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/other.db"}
    third = projects.call(project, "-m", "flows", "run", **other)
    assert "does not have grammar-tiny version 1 of this tree: registering it there" in third.stdout
    assert "promote    promoted" in third.stdout


def closing_lines(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^\[\d/8\] (\w+) +(\w+)", text, re.MULTILINE)


ONE_STAGE = """
import sys
from flows import dvc_runner
dvc_runner.clear_stale_locks()
print(dvc_runner.run(sys.argv[1], print))
"""


# Seconds of CPU that a stage uses before its kill: well before the end of those that take only one.
DEPTHS = {
    "ingest": 0.5,
    "mix": 0.1,
    "score": 0.1,
    "clean": 0.1,
    "tokenize": 0.1,
    "train": 2.0,
    "evaluate": 2.0,
    "register": 2.0,
}


def has_worked(process: psutil.Process, seconds: float) -> bool:
    return process.cpu_times().user >= seconds


@pytest.mark.nightly
def test_killed_in_each_stage_and_run_again(by_hand: Path, tmp_path: Path) -> None:
    project = projects.make(tmp_path)
    for number, stage in enumerate(STAGES):
        with background(project, "-c", ONE_STAGE, stage) as running:
            process = wait_for(partial(stage_process, running.pid, stage), 120, f"stage {stage}")
            wait_for(partial(has_worked, process, DEPTHS[stage]), 120, f"work of {stage}")
            victims = family(running.pid)
            if number % 3 == 0:  # all at once, as when the power goes
                for victim in victims:
                    victim.kill()
            elif number % 3 == 1:  # the parent alone: its children must end by themselves
                running.kill()
                _, alive = psutil.wait_procs(victims[:-1], timeout=60)
                assert alive == []
            else:  # the stage alone, with its outcome
                process.kill()
                text, _ = running.communicate(timeout=60)
                assert f"{stage} (killed)" in text
        done = projects.call(project, "-c", ONE_STAGE, stage)
        assert "outcome='ran'" in done.stdout
    assert results(project) == results(by_hand)


@pytest.mark.nightly
def test_a_killed_and_an_interrupted_training_go_on(tokenized: Path, by_hand: Path, tmp_path: Path) -> None:
    project = projects.copy(tokenized, tmp_path)
    prefect_home.fill(project / ".prefect")
    with background(project, "-m", "flows", "run") as running:
        wait_for(lambda: list((project / ".checkpoints").rglob("*.safetensors")), 120, "a checkpoint")
        victims = family(running.pid)
        assert len(victims) > 3  # the flow, its Prefect server, DVC, the stage
        running.kill()
        _, alive = psutil.wait_procs(victims[:-1], timeout=60)
        assert alive == []
    with background(project, "-m", "flows", "run") as running:
        assert running.stdout is not None
        text = ""
        while "train: resumes from update" not in text:
            line = running.stdout.readline()
            assert line, text
            text += line
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        rest, _ = running.communicate(timeout=60)
        assert time.monotonic() - began < 30
    assert running.returncode == 130, text + rest
    assert "[6/8] train      interrupted" in rest
    assert "error: interrupted" in rest
    again = projects.call(project, "-m", "flows", "run")
    assert "train: resumes from update" in again.stdout
    assert results(project) == results(by_hand)


def test_a_killed_prefect_server_is_started_again_and_no_proxy_is_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = projects.make(tmp_path)
    prefect_home.fill(project / ".prefect")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)

    def server(pid: int) -> psutil.Process | None:
        named = "prefect.server.api.server:create_app"
        return next((p for p in family(pid) if named in p.cmdline()), None)

    with background(project, "-m", "flows", "run", "--until", "ingest") as running:
        wait_for(lambda: any("dvc" in p.cmdline() for p in family(running.pid)), 120, "DVC")
        victim = server(running.pid)
        assert victim is not None
        victim.kill()
        text, _ = running.communicate(timeout=240)
    assert running.returncode == 0, text
    assert "warning: the run's own Prefect server was killed by SIGKILL" in text
    assert "Traceback" not in text
    assert "logging" not in text
    assert re.search(r"^\[1/1\] ingest +ran", text, re.MULTILINE), text
    with closing(sqlite3.connect(project / ".prefect/prefect.db")) as connection:
        states = connection.execute("SELECT state_type FROM flow_run").fetchall()
    assert states == [("COMPLETED",)]


# Damage to DVC's cache: an object of each stage's outputs, a list of files among them.
DAMAGED = [
    *(
        "data/raw/grammar/train.parquet",
        "data/mixed",
        "data/corpus",
        "data/tokens/train.source.ids",
        "model/weights.safetensors",
    ),
    *("reports/segments.jsonl", "reports/registration.json"),
]


@pytest.mark.nightly
def test_damaged_objects_of_the_cache_are_made_again(by_hand: Path, tmp_path: Path) -> None:
    project = projects.copy(by_hand, tmp_path)
    lock = (project / "dvc.lock").read_text()
    bad = []
    for number, name in enumerate(DAMAGED):
        if (project / name).is_dir():
            md5 = re.findall(rf"path: {name}\n.*\n *md5: (\S+)", lock)[-1]
        else:
            md5 = hashlib.md5((project / name).read_bytes()).hexdigest()
        bad.append(f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}")
        (truncate if number % 2 else flip)(project / bad[-1])
    for folder in ("data", "model", "reports"):
        shutil.rmtree(project / folder)
    again = projects.call(project, "-m", "flows", "run")
    assert [path for path in bad if path not in again.stdout] == []
    assert {stage for stage, outcome in closing_lines(again.stdout) if outcome == "ran"} >= {*STAGES} - {
        "score"
    }
    assert results(project) == results(by_hand)


# --- states in Prefect, on the toy project --------------------------------------------------------


@pytest.fixture(scope="module")
def prefect() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture
def printed(prefect: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The lines of the screen."""
    monkeypatch.setattr(pipeline, "RETRY_DELAYS", [0.1, 0.1])

    class Lines(list[str]):
        def write(self, text: str) -> None:
            self.append(text.rstrip("\n"))

        def flush(self) -> None:
            pass

        def isatty(self) -> bool:
            return False

    lines = Lines()
    token = console.current.set(console.Console(lines))  # type: ignore[arg-type]
    yield lines
    console.current.reset(token)


def test_states_are_what_happened(toy: Path, printed: list[str]) -> None:
    pipeline.pipeline()
    assert task_states() == dict.fromkeys(("first", "second", "third"), ("Ran", 1))
    (toy / "two.txt").unlink()
    pipeline.pipeline()
    assert task_states() == {"first": ("Unchanged", 1), "second": ("Restored", 1), "third": ("Unchanged", 1)}
    pipeline.pipeline(until="second", force=("second",))
    assert task_states() == {"first": ("Unchanged", 1), "second": ("Ran", 1)}


def test_a_transient_failure_is_tried_again(toy: Path, printed: list[str]) -> None:
    (toy / "second.do").write_text("once transient")
    pipeline.pipeline()
    assert task_states() == {"first": ("Ran", 1), "second": ("Ran", 2), "third": ("Ran", 1)}
    assert any("failed" in line and line.endswith("it did not work; again in 0 s") for line in printed)


def test_a_failure_of_the_user_is_not_tried_again(toy: Path, printed: list[str]) -> None:
    (toy / "second.do").write_text("once user")
    with pytest.raises(StageError, match="second \\(user\\): it did not work"):
        pipeline.pipeline()
    assert task_states() == {"first": ("Ran", 1), "second": ("Failed", 1)}


def test_a_run_that_was_killed_is_marked_as_crashed_by_the_next(toy: Path, printed: list[str]) -> None:
    with get_client(sync_client=True) as client:
        killed = client.create_flow_run(pipeline.pipeline, state=Running())
        ended = client.create_flow_run(pipeline.pipeline, state=Completed())
        unfinished = pipeline.as_task("first", lambda: None)
        tasks = [client.create_task_run(unfinished, run.id, "0", state=Running()) for run in (killed, ended)]
        for run, wanted in ((killed, "Crashed"), (ended, "Completed")):
            flow_record.FLOW_RUN.parent.mkdir(parents=True, exist_ok=True)
            flow_record.FLOW_RUN.write_text(str(run.id))
            pipeline.pipeline(until="first")
            assert client.read_flow_run(run.id).state.name == wanted
            assert not flow_record.FLOW_RUN.exists()
        assert [client.read_task_run(task.id).state.name for task in tasks] == ["Crashed", "Crashed"]
    for unknown in (str(uuid4()), "", "half a num"):  # of another server, or cut short
        flow_record.FLOW_RUN.write_text(unknown)
        pipeline.pipeline(until="first")
    assert "was killed by force: marked as crashed" in "\n".join(printed)
