"""One stage, run by a real DVC: outcomes, classes of failures, timeouts and interrupts."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flows import child, dvc_runner
from flows.stage_errors import StageError
from seq2seq.common import dag
from tests.support.toy import run_stage
from tests.support.waiting import ended, wait_for


def test_ran_unchanged_restored(toy: Path) -> None:
    assert run_stage("first") == ("ran", ["first: works"])  # and nothing of DVC's own talk
    assert run_stage("first") == ("unchanged", [])
    (toy / "one.txt").unlink()
    assert run_stage("first") == ("restored", [])
    assert (toy / "one.txt").read_text() == "input first"
    assert run_stage("first", force=True) == ("ran", ["first: works"])


def test_an_outcome_does_not_depend_on_the_words_of_dvc(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "RAN", re.compile("(?!)"))
    assert run_stage("first")[0] != "unchanged"
    assert run_stage("first")[0] == "unchanged"
    (toy / "one.txt").unlink()
    assert run_stage("first")[0] == "restored"
    (toy / "input.txt").write_text("another ")
    assert run_stage("first")[0] != "unchanged"
    assert (toy / "one.txt").read_text() == "another first"
    # A stage of ours leaves a record of how it ended, by which it ran.
    (toy / "first.do").write_text("record")
    assert run_stage("first", force=True)[0] == "ran"


@pytest.mark.parametrize("kind", ["user", "transient"])
def test_the_class_of_a_failure_comes_from_the_stage(toy: Path, kind: str) -> None:
    (toy / "first.do").write_text(f"fail {kind}")
    with pytest.raises(StageError) as caught:
        run_stage("first")
    assert (caught.value.stage, caught.value.kind) == ("first", kind)
    assert caught.value.message == "it did not work"
    assert caught.value.remedy


def test_a_killed_stage_and_dvcs_own_errors_have_classes_too(toy: Path) -> None:
    (toy / "first.do").write_text("die")
    with pytest.raises(StageError) as caught:
        run_stage("first")
    assert caught.value.kind == "killed"
    with pytest.raises(StageError, match="Stage 'nothing' not found") as caught:
        run_stage("nothing")
    assert caught.value.kind == "dvc"


def test_time_runs_out_and_nothing_is_left(toy: Path) -> None:
    (toy / "first.do").write_text("sleep")
    printed: list[str] = []
    with pytest.raises(StageError) as caught:
        dvc_runner.run("first", printed.append, timeout=15.0)
    assert caught.value.kind == "timeout"
    assert printed == ["first: works", "first: saved"]  # asked first, killed only if it does not end
    wait_for(lambda: ended(int((toy / "started").read_text())), 20, "the end of the stage")


def test_an_interrupt_stops_the_whole_group(toy: Path) -> None:
    (toy / "first.do").write_text("sleep")

    def interrupt() -> None:
        wait_for(lambda: (toy / "started").exists(), 60, "the stage")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    printed: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        dvc_runner.run("first", printed.append)
    assert printed[-1] == "first: saved"
    wait_for(lambda: ended(int((toy / "started").read_text())), 20, "the end of the stage")


def test_a_module_that_is_no_stage_fails_by_its_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.py").write_text(
        "import sys, time\nprint('  works')\n"
        "if sys.argv[1] == 'sleep': time.sleep(60)\n"
        "if sys.argv[1] == 'bug': raise KeyError('x')\n"
        "print('error: no answer', file=sys.stderr)\nsys.exit(int(sys.argv[1]))\n"
    )
    lines: list[str] = []
    dvc_runner.call("t", "here", ["0"], lines.append)
    assert lines[0] == "  works"
    for argument, kind, message in (
        ("2", "user", "no answer"),
        ("75", "transient", "no answer"),
        ("bug", "bug", "KeyError: 'x'"),
    ):
        with pytest.raises(StageError) as caught:
            dvc_runner.call("t", "here", [argument], lines.append)
        assert (caught.value.stage, caught.value.kind, caught.value.message) == ("t", kind, message)
    with pytest.raises(StageError, match=r"t \(timeout\): here took longer"):
        dvc_runner.call("t", "here", ["sleep"], lines.append, 3.0)


def test_a_changed_file_under_dvc_add_is_taken_and_a_missing_one_fetched(toy: Path) -> None:
    subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", "input.txt"], cwd=toy, check=True)
    (toy / "input.txt").unlink()
    node = dag.read()[0]
    assert (node.name, node.is_data) == ("input.txt.dvc", True)
    assert node.reasons == ("output input.txt missing",)
    assert dvc_runner.fetch(node.name, print).outcome == "restored"
    assert (toy / "input.txt").read_text() == "input "
    (toy / "input.txt").write_text("more")
    assert run_stage(node.name) == ("ran", [])
    assert dag.read()[0].reasons == ()
