"""The crash matrix: each of its checks finds its fault, and results become a table."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infra.crash_matrix import cells, checks, clock, night, processes, project, result
from infra.crash_matrix.local import HOOK
from tests.support.waiting import ended, wait_for

ORPHAN = """
import subprocess, sys
none = subprocess.DEVNULL
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], stdout=none, stderr=none).pid)
"""


def lock(folder: Path, **outs: dict[str, str]) -> None:
    stages = {
        stage: {"cmd": "x", "outs": [{"path": path, "md5": md5} for path, md5 in found.items()]}
        for stage, found in outs.items()
    }
    with (folder / "dvc.lock").open("w") as file:
        YAML().dump({"schema": "2.0", "stages": stages}, file)


def test_a_cell_that_leaves_an_orphan_is_found_and_ended() -> None:
    mark = f"test-{os.getpid()}-{time.time()}"
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN],
        env={**os.environ, processes.MARK: mark},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(checks.orphans(mark, 0.2)) == 1
    wait_for(lambda: ended(int(done.stdout)), 30, "the end of the orphan")
    assert checks.orphans(mark, 5) == []


def test_other_weights_are_found(tmp_path: Path) -> None:
    file = tmp_path / project.WEIGHTS
    assert "other weights: none" in checks.weights(tmp_path, "a" * 64)[0]
    file.parent.mkdir()
    file.write_bytes(b"weights")
    wanted = project.sha256(file)
    assert checks.weights(tmp_path, wanted) == []
    file.write_bytes(b"Weights")
    assert checks.weights(tmp_path, wanted)


def test_an_unfinished_stage_that_dvc_trusts_is_found(tmp_path: Path) -> None:
    assert checks.unfinished_results(tmp_path, "ingest") == []
    lock(tmp_path, **{"ingest@grammar": {"data/raw/grammar": "1.dir"}, "clean": {"data/corpus": "2.dir"}})
    assert checks.unfinished_results(tmp_path, "ingest") == ["dvc.lock names the unfinished data/raw/grammar"]
    assert checks.unfinished_results(tmp_path, "tokenize") == []


def test_missing_and_other_results_are_found(tmp_path: Path) -> None:
    lock(tmp_path, clean={"data/corpus": "1"}, train={"model": "2", "reports/run.json": "3"})
    reference = project.read_lock(tmp_path)
    lock(tmp_path, clean={"data/corpus": "1"}, train={"model": "2", "reports/run.json": "4"})
    assert checks.results(tmp_path, reference, "train") == []
    lock(tmp_path, clean={"data/corpus": "0"})
    assert len(checks.results(tmp_path, reference, "train")) == 2
    assert len(checks.results(tmp_path, reference, "clean")) == 1


def test_open_runs_unready_versions_and_missing_aliases_are_found(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE runs (status TEXT)")
        database.execute("CREATE TABLE model_versions (status TEXT)")
        database.execute("CREATE TABLE registered_model_aliases (alias TEXT, version INTEGER)")
        assert checks.registry(tmp_path, "train") == []
        assert checks.registry(tmp_path, "promote") == [
            "the model has 0 versions in place of one",
            "no version has the alias challenger",
            "no version has the alias champion",
        ]
        database.execute("INSERT INTO runs VALUES ('RUNNING')")
        database.execute("INSERT INTO model_versions VALUES ('PENDING_REGISTRATION')")
    assert len(checks.registry(tmp_path, "train")) == 2


def test_missing_doubled_and_other_points_of_a_training_are_found(tmp_path: Path) -> None:
    wanted: checks.Curve = [("perplexity", 6, 342.5), ("perplexity", 12, 277.25)]
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/run.json").write_text(json.dumps({"run_id": "a"}))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE metrics (run_uuid TEXT, key TEXT, step INTEGER, value REAL)")
        assert "2; differ: ['perplexity at 12', 'perplexity at 6']" in checks.curve([], wanted)[0]
        points = [("a", *point) for point in wanted] + [("a", "cost.money", 0, 1.0), ("b", *wanted[0])]
        database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?)", points)
    assert checks.curve_of_file(tmp_path) == sorted(wanted)
    assert checks.curve(sorted(wanted), sorted(wanted)) == []
    assert checks.curve([wanted[0], *wanted], wanted)
    assert checks.curve([wanted[0], ("perplexity", 12, 277.5)], wanted)


def test_open_flow_runs_and_slots_are_found() -> None:
    assert checks.prefect(lambda kind: 0) == []
    assert checks.prefect(lambda kind: int(kind == "slots")) == ["1 concurrency slots are held"]


def test_records_that_wait_for_mlflow_are_found(tmp_path: Path) -> None:
    assert checks.waiting_records(tmp_path) == []
    (tmp_path / ".cache/mlflow/a").mkdir(parents=True)
    (tmp_path / ".cache/mlflow/a/000001-1.zip").touch()
    assert checks.waiting_records(tmp_path) == ["1 records wait for MLflow"]


def test_the_hook_pauses_the_process_of_the_plan_at_its_point(tmp_path: Path) -> None:
    plan = {"words": "the-stage", "event": "open", "path": "half.txt", "nth": 1}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    code = (
        "import pathlib; pathlib.Path('whole.txt').write_text('1'); pathlib.Path('half.txt').write_text('2')"
    )
    variables = {
        **os.environ,
        "PYTHONPATH": str(HOOK),
        "CRASH_MATRIX_PAUSE": str(tmp_path / "plan.json"),
    }
    other = subprocess.run([sys.executable, "-c", code, "another"], cwd=tmp_path, env=variables, check=True)
    assert other.returncode == 0
    (tmp_path / "half.txt").unlink()
    with subprocess.Popen([sys.executable, "-c", code, "the-stage"], cwd=tmp_path, env=variables) as process:
        wait_for(lambda: (tmp_path / "paused").exists(), 30, "the pause")
        assert (tmp_path / "whole.txt").exists()
        assert not (tmp_path / "half.txt").exists()
        (tmp_path / "released").touch()
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("python -m seq2seq train", "stage"),
        ("python -P x/processes.py 1 seq2seq.gate.evidence models:/a/1", "stage"),
        ("python -P x/processes.py 1 dvc --wait-for-lock repro --single-item train", "dvc"),
        ("python -m flows run --until train", "flow"),
        ("python -P x/processes.py 1 uvicorn --factory prefect.server.api.server:create_app", "prefect"),
        ("python -m seq2seq ingest", "other"),
    ],
)
def test_roles_are_those_of_command_lines(command: str, role: str) -> None:
    assert processes.role_of(command, "train") == role


def test_a_failed_cell_is_shown_as_failed_and_older_code_as_older(tmp_path: Path) -> None:
    cell = cells.Cell("local", "SIGKILL stage", "train")
    file = tmp_path / "results.jsonl"
    good = result.Result(cell, "run ended with 1", healed=12.3, same_weights=True)
    result.append(file, good.record("abc", "code-1"))
    assert "| yes |" in result.table(result.load(file).values(), "code-1", 2)
    assert "older code" in result.table(result.load(file).values(), "code-2", 2)
    bad = result.Result(cell, "run ended with 1", ["other weights: x"], healed=12.3)
    result.append(file, bad.record("abc", "code-2"))
    with file.open("a") as output:
        output.write('{"cell": "cut sh')
    text = result.table(result.load(file).values(), "code-2", 2)
    assert "1 of 2 cells have a result: 0 healed, 1 failed" in text
    assert "**Not healed: other weights: x**" in text
    assert "| **no** |" in text


def test_a_result_names_no_folder_of_the_machine() -> None:
    cell = cells.select("local/SIGKILL stage/train")[0]
    problem = f"orphan: {project.ROOT}/.venv/bin/python /tmp/seq2seq-crash-matrix-x1/host/flow.py"
    record = result.Result(cell, f"in {project.ROOT}/data", [problem]).record("c", "d")
    assert (record["state"], record["problems"]) == ("in data", ["orphan: .venv/bin/python host/flow.py"])


def test_the_cells_of_ci_exist_and_are_few() -> None:
    assert {cell.name for cell in cells.select("ci")} == cells.CI
    assert len(cells.CI) <= 12
    names = [cell.name for cell in cells.select("all")]
    assert len(names) == len(set(names)) >= 60


CLOCK = """
import sys, time
print(time.time(), time.monotonic(), flush=True)
sys.stdin.readline()
time.sleep(0.1)
print(time.time(), time.monotonic(), flush=True)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize("day", [86_400, -86_400])
def test_the_clock_of_a_process_jumps_and_its_count_of_seconds_goes_on(tmp_path: Path, day: int) -> None:
    variables = clock.prepare(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", CLOCK],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        before = [float(word) for word in process.stdout.readline().split()]
        assert abs(before[0] - time.time()) < 60
        clock.shift(tmp_path, day)
        process.stdin.write("\n")
        process.stdin.close()
        after = [float(word) for word in process.stdout.readline().split()]
    assert process.returncode == 0
    assert abs(after[0] - before[0] - day) < 60
    assert 0.1 <= after[1] - before[1] < 60


FILLED = """
import errno, sys
from pathlib import Path
from infra.crash_matrix import disks
reason = disks.separate()
if reason:
    sys.exit(f"skip: {reason}")
folder = Path(sys.argv[1])
with disks.Small(folder, "1m") as disk:
    disk.fill()
    try:
        (folder / "more").write_bytes(bytes(4096))
    except OSError as error:
        print(error.errno == errno.ENOSPC)
    disk.free()
    (folder / "later").write_text("2")
"""


def test_a_small_disk_is_full_and_its_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "earlier").write_text("1")
    done = subprocess.run(
        [sys.executable, "-c", FILLED, str(folder)], cwd=project.ROOT, capture_output=True, text=True
    )
    if done.stderr.startswith("skip"):
        pytest.skip(done.stderr)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert (folder / "earlier").read_text() == "1"
    assert (folder / "later").read_text() == "2"
    assert not (folder / ".filler").exists()


def test_a_night_finds_slots_without_an_end_and_failures_without_a_kill() -> None:
    kills = [night.Kill(1000.0, "stage")]
    slots = [
        night.Slot(900.0, "CRASHED", 901.0, 1005.0, "killed"),
        night.Slot(1020.0, "COMPLETED", 1021.0, 1050.0, ""),
        night.Slot(1140.0, "CANCELLED", 1140.0, 1140.0, "the slot is taken"),
    ]
    assert night.problems(kills, slots) == []
    wrong = [
        night.Slot(1500.0, "FAILED", 1501.0, 1520.0, "no space"),
        night.Slot(1620.0, "RUNNING", 1621.0, 1700.0, ""),
        night.Slot(1740.0, night.NONE, 1740.0, 1740.0, ""),
    ]
    found = night.problems(kills, slots + wrong)
    assert [text.partition(" ")[2] for text in found] == [
        "FAILED: no space, and no kill was near",
        "RUNNING: it has no end",
        "none: no run was made",
    ]
