"""The flow's parts, on a toy project of three stages: the flow itself knows no stage of ours."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest

from flows import alerts, checkout, console, dvc_runner, locks, prefect_server, retrain, summary
from flows.__main__ import main
from flows.dvc_runner import REMEDIES, StageError
from flows.verdict import Verdict, markdown, notice
from seq2seq.common import dag, params, paths
from seq2seq.common.dag import Node
from seq2seq.common.errors import TransientError, UserError
from seq2seq.gate.policy import Criterion
from tests.slow.test_schedule import listener
from tests.support import projects

# A library of DVC's own warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

DAG = """
stages:
  first: {cmd: exec python stage.py first, params: [first], deps: [input.txt], outs: [one.txt]}
  second: {cmd: exec python stage.py second, deps: [one.txt, stage.py], outs: [two.txt]}
  third: {cmd: exec python stage.py third, deps: [two.txt], outs: [three.txt]}
"""
STAGE = """
import json, os, signal, sys, time
from collections.abc import Iterator
from pathlib import Path
name = sys.argv[1]
out = {"first": "one", "second": "two", "third": "three"}[name] + ".txt"
order = Path(name + ".do").read_text().split() if Path(name + ".do").exists() else []
print(name + ": works", flush=True)
match order:
    case ["sleep"]:
        Path("started").write_text(str(os.getpid()))
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            print(name + ": saved", flush=True)
            sys.exit(130)
    case ["record"]:
        Path(os.environ["SEQ2SEQ_MARKER"]).write_text(json.dumps({"stage": name, "status": "ran"}))
    case ["die"]:
        os.kill(os.getpid(), signal.SIGKILL)
    case ["once", kind]:
        Path(name + ".do").unlink()
        order = ["fail", kind]
    case ["damaged", again]:  # as a stage of ours that finds its input damaged
        Path(name + ".do").unlink()
        Path("one.txt").unlink()
        for path in Path(".dvc/cache/files").rglob("*"):
            if path.is_file():
                path.unlink()
        record = {"status": "failed", "class": "damaged", "message": "one.txt is damaged", "again": [again]}
        Path(os.environ["SEQ2SEQ_MARKER"]).write_text(json.dumps(record))
        sys.exit(1)
if order[:1] == ["fail"]:
    record = {"stage": name, "status": "failed", "class": order[1], "message": "it did not work"}
    Path(os.environ["SEQ2SEQ_MARKER"]).write_text(json.dumps(record))
    print("error: " + name + ": it did not work", file=sys.stderr)
    sys.exit(1)
source = {"first": "input", "second": "one", "third": "two"}[name] + ".txt"
Path(out).write_text(Path(source).read_text() + name)
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project without git, the current folder."""
    for name, text in {
        ".dvc/config": "[core]\n    no_scm = true\n    analytics = false\n",
        "dvc.yaml": DAG,
        "stage.py": STAGE,
        "params.yaml": "first:\n  size: 1\n  deep: {er: null}\n",
        "input.txt": "input ",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_stage(name: str, **options: Any) -> tuple[str, list[str]]:
    printed: list[str] = []
    return dvc_runner.run(name, printed.append, **options).outcome, printed


# --- the graph ------------------------------------------------------------------------------------


def test_the_graph_is_dvcs_in_order_with_reasons(toy: Path) -> None:
    nodes = dag.read()
    assert [(node.name, node.upstream) for node in nodes] == [
        ("first", ()),
        ("second", ("first",)),
        ("third", ("second",)),
    ]
    assert nodes[0].outs == (toy / "one.txt",)
    assert {node.reasons for node in nodes} == {("never ran here",)}
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], cwd=toy, check=True, env=with_python())
    assert [node.reasons for node in dag.read()] == [(), (), ()]

    assert dag.read([("first.size", 1, 5)])[0].reasons == ("first.size: 1 -> 5",)
    (toy / "params.yaml").write_text("first:\n  size: 2\n  deep: {er: true}\n")
    (toy / "stage.py").write_text(STAGE + "#")
    (toy / "three.txt").unlink()
    assert [node.reasons for node in dag.read()] == [
        ("first.size: 1 -> 2", "first.deep.er: null -> true"),
        ("stage.py changed",),
        ("output three.txt missing",),
    ]


def test_an_input_that_is_nowhere_is_named(toy: Path) -> None:
    (toy / "input.txt").unlink()
    with pytest.raises(UserError, match=r"first needs input\.txt, which does not exist .* `dvc add`"):
        dag.read()
    (toy / "other.txt").touch()
    assert dag.read([("first.path", "input.txt", "other.txt")])  # as if params.yaml named the other


def test_a_lock_file_with_conflict_marks_is_named_with_the_remedy(toy: Path) -> None:
    run_stage("first")
    text = (toy / "dvc.lock").read_text()
    (toy / "dvc.lock").write_text(text.replace("  first:", "<<<<<<< HEAD\n  first:\n=======\n  first:"))
    with pytest.raises(UserError, match=r"dvc\.lock.*`git checkout dvc\.lock`, or rm dvc\.lock: outputs are"):
        dag.read()


def test_a_graph_that_cannot_be_read_is_the_users_error(toy: Path) -> None:
    (toy / "dvc.yaml").write_text(DAG.replace("outs", "outz"))
    with pytest.raises(UserError, match="outz"):
        dag.read()


def test_until_takes_what_it_needs_and_fresh_files_are_no_stages() -> None:
    nodes = [
        Node("corpus.tsv.dvc", (), (), is_data=True),
        Node("a", ("corpus.tsv.dvc",), ()),
        Node("b", ("a",), ()),
        Node("c", ("a",), ()),
    ]
    assert [n.name for n in dag.select(nodes, None, [])] == ["a", "b", "c"]
    assert [n.name for n in dag.select(nodes, "c", ["a"])] == ["a", "c"]
    with pytest.raises(UserError, match="no stage 'd'; there are: a, b, c"):
        dag.select(nodes, None, ["d"])
    stale = Node("corpus.tsv.dvc", (), (), ("output corpus.tsv changed",), is_data=True)
    assert [n.name for n in dag.select([stale, *nodes[1:]], "a", [])] == ["corpus.tsv.dvc", "a"]


# --- one stage ------------------------------------------------------------------------------------


def with_python() -> dict[str, str]:
    """`python` of a dvc.yaml is PATH's; the runner sees to that itself."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_ran_unchanged_restored(toy: Path) -> None:
    assert run_stage("first") == ("ran", ["first: works"])  # and nothing of DVC's own talk
    assert run_stage("first") == ("unchanged", [])
    (toy / "one.txt").unlink()
    assert run_stage("first") == ("restored", [])
    assert (toy / "one.txt").read_text() == "input first"
    assert run_stage("first", force=True) == ("ran", ["first: works"])


@pytest.mark.slow
def test_what_happened_does_not_depend_on_the_words_of_dvc(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvc_runner, "RAN", re.compile("(?!)"))
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


def flip(path: Path) -> None:
    """One bit, as a failing disk does it: the mode stays."""
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    overwrite(path, bytes(whole))


def truncate(path: Path) -> None:
    overwrite(path, path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def cached(path: Path) -> Path:
    """The object of DVC's cache that holds a file."""
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, truncate])
def test_a_damaged_object_of_the_cache_is_removed_and_made_again(toy: Path, damage: Any) -> None:
    run_stage("first")
    bad = cached(toy / "one.txt")
    damage(bad)
    (toy / "one.txt").unlink()
    what, printed = run_stage("first")
    assert what == "ran"
    assert (
        f"first: one.txt is damaged: its hash differs from dvc.lock; removed it and the "
        f"damaged {bad} in DVC's cache, stage first will recreate it" in printed
    )
    assert (toy / "one.txt").read_text() == "input first"
    assert cached(toy / "one.txt").read_bytes() == (toy / "one.txt").read_bytes()


@pytest.mark.slow
def test_what_a_stage_finds_damaged_is_made_again_before_it(toy: Path) -> None:
    run_stage("first")
    (toy / "second.do").write_text("damaged first")
    what, printed = run_stage("second")
    assert what == "ran"
    assert "second: one.txt is damaged" in printed
    assert "first: works" in printed[1:]  # it was missing in the cache too


def dvc(*arguments: str) -> None:
    subprocess.run(["dvc", "-q", *arguments], check=True, env=with_python())


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o444, 0o644])  # DVC itself removes a damaged object that can be written
def test_data_under_dvc_add_with_a_damaged_object_comes_from_the_remote(toy: Path, mode: int) -> None:
    dvc("add", "input.txt")
    dvc("remote", "add", "-d", "far", str(toy / "far"))
    dvc("push")
    bad = cached(toy / "input.txt")
    flip(bad)
    bad.chmod(mode)
    (toy / "input.txt").unlink()
    printed: list[str] = []
    dvc_runner.fetch("input.txt.dvc", printed.append)
    renamed = f"renamed to {bad}.damaged"
    assert printed[0] == f"input.txt is damaged in DVC's cache: {renamed}, looking in the DVC remote"
    assert (toy / "input.txt").read_text() == "input "
    assert [path.name for path in bad.parent.iterdir()] == [bad.name]


@pytest.mark.slow
def test_a_folder_under_dvc_add_whose_list_is_damaged_too_comes_from_the_remote(toy: Path) -> None:
    bad = a_folder_under_dvc_add()
    dvc("remote", "add", "-d", "far", str(toy / "far"))
    dvc("push")
    (listing,) = Path(".dvc/cache/files/md5").glob("*/*.dir")
    flip(bad)
    flip(listing)
    shutil.rmtree("corpus")
    printed: list[str] = []
    dvc_runner.fetch("corpus.dvc", printed.append)
    assert (toy / "corpus/a.txt").read_text() == "a file"
    named = [line.split(" is damaged")[0] for line in printed if "damaged" in line]
    assert named == ["corpus", "corpus/a.txt"]


def a_folder_under_dvc_add() -> Path:
    """Makes `corpus`; the object of one of its files."""
    Path("corpus").mkdir()
    for name in ("a", "b"):
        Path("corpus", f"{name}.txt").write_text(f"{name} file")
    dvc("add", "corpus")
    return cached(Path("corpus/a.txt"))


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_the_last_copy_of_data_under_dvc_add_is_never_removed(toy: Path, mode: int) -> None:
    dvc("add", "input.txt")
    bad = cached(toy / "input.txt")
    flip(bad)
    bad.chmod(mode)
    damaged = bad.read_bytes()
    (toy / "input.txt").unlink()
    for _ in range(2):  # the second run names it as well
        with pytest.raises(StageError, match=r"input\.txt is damaged") as caught:
            dvc_runner.fetch("input.txt.dvc", print)
        assert caught.value.kind == "user"
        assert caught.value.message == (
            "input.txt is damaged in DVC's cache and cannot be fetched: no DVC remote has it; put a copy of "
            f"your own at input.txt; the damaged bytes are kept in {bad}.damaged"
        )
        assert Path(f"{bad}.damaged").read_bytes() == damaged
        assert not (toy / "input.txt").exists()
    (toy / "input.txt").write_text("input ")
    run_stage("input.txt.dvc")
    (toy / "input.txt").unlink()
    dvc_runner.fetch("input.txt.dvc", print)
    assert (toy / "input.txt").read_text() == "input "


@pytest.mark.slow
def test_a_damaged_file_of_a_folder_under_dvc_add_is_kept_and_the_others_too(toy: Path) -> None:
    bad = a_folder_under_dvc_add()
    flip(bad)
    shutil.rmtree("corpus")
    with pytest.raises(StageError, match=rf"corpus/a\.txt is damaged.*{bad}\.damaged"):
        dvc_runner.fetch("corpus.dvc", print)
    assert Path(f"{bad}.damaged").is_file()
    assert Path(".dvc/cache/files/md5").joinpath(*split(b"b file")).read_text() == "b file"


def split(content: bytes) -> tuple[str, str]:
    md5 = hashlib.md5(content).hexdigest()
    return md5[:2], md5[2:]


@pytest.mark.slow
def test_a_remote_that_is_damaged_as_well_gives_nothing_back(toy: Path) -> None:
    dvc("add", "input.txt")
    dvc("remote", "add", "-d", "far", str(toy / "far"))
    dvc("push")
    flip(cached(toy / "input.txt"))
    flip(toy / "far/files/md5" / "/".join(split(b"input ")))
    (toy / "input.txt").unlink()
    with pytest.raises(StageError, match=r"input\.txt is damaged"):
        dvc_runner.fetch("input.txt.dvc", print)
    assert not (toy / "input.txt").exists()


@pytest.mark.slow
def test_data_that_dvc_2_has_added_is_not_taken_for_damaged(toy: Path) -> None:
    content = b"line\r\n"
    folder, name = split(b"line\n")  # DVC 2 took the hash of text with the line ends of Unix
    legacy = toy / ".dvc/cache" / folder / name
    legacy.parent.mkdir(parents=True)
    legacy.write_bytes(content)
    (toy / "old.txt.dvc").write_text(f"outs:\n- md5: {folder}{name}\n  size: 6\n  path: old.txt\n")
    assert dvc_runner.fetch("old.txt.dvc", print).outcome == "restored"
    assert (toy / "old.txt").read_bytes() == content
    assert legacy.read_bytes() == content


@pytest.mark.parametrize("kind", ["user", "transient"])
def test_the_class_of_a_failure_comes_from_the_stage(toy: Path, kind: str) -> None:
    (toy / "first.do").write_text(f"fail {kind}")
    with pytest.raises(StageError) as caught:
        run_stage("first")
    assert (caught.value.stage, caught.value.kind) == ("first", kind)
    assert caught.value.message == "it did not work"
    assert caught.value.remedy


@pytest.mark.slow
def test_a_killed_stage_and_dvcs_own_errors_have_classes_too(toy: Path) -> None:
    (toy / "first.do").write_text("die")
    with pytest.raises(StageError) as caught:
        run_stage("first")
    assert caught.value.kind == "killed"
    with pytest.raises(StageError, match="Stage 'nothing' not found") as caught:
        run_stage("nothing")
    assert caught.value.kind == "dvc"


def test_a_full_disk_under_dvc_is_the_systems_with_the_remedy(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "ERROR: unexpected error - [Errno 28] No space left on device"
    (toy / "dvc.py").write_text(f"import sys; print({text!r}, file=sys.stderr); sys.exit(255)")
    monkeypatch.setenv("PYTHONPATH", str(toy))
    with pytest.raises(
        StageError, match=r"\[Errno 28\] No space left .*; free space on the disk of"
    ) as caught:
        dvc_runner.run("first", print)
    assert caught.value.kind == "system"


def test_an_interrupted_module_leaves_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow.py").write_text("raise KeyboardInterrupt  # as if it came while this imports torch")
    monkeypatch.chdir(tmp_path)
    printed: list[str] = []
    with pytest.raises(StageError) as caught:
        dvc_runner.call("promote", "slow", [], printed.append)
    assert (caught.value.kind, printed) == ("interrupted", [])


def test_time_runs_out_and_nothing_is_left(toy: Path) -> None:
    (toy / "first.do").write_text("sleep")
    printed: list[str] = []
    with pytest.raises(StageError) as caught:
        dvc_runner.run("first", printed.append, timeout=15.0)
    assert caught.value.kind == "timeout"
    assert printed == ["first: works", "first: saved"]  # asked first, killed only if it does not end
    assert_gone(int((toy / "started").read_text()))


def test_an_interrupt_stops_the_whole_group(toy: Path) -> None:
    (toy / "first.do").write_text("sleep")

    def interrupt() -> None:
        while not (toy / "started").exists():
            time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    printed: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        dvc_runner.run("first", printed.append)
    assert printed[-1] == "first: saved"
    assert_gone(int((toy / "started").read_text()))


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


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError(f"process {pid} still runs")


@pytest.mark.slow
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


@pytest.mark.parametrize(
    "text", ['{"write": {', "[]", '{"write": {"x": {"pid": 0x}}}', '{"read": {"x": [{}]}}']
)
def test_a_broken_record_of_locks_is_removed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rwlock"
    dvc_runner.clear_stale_locks(path)
    path.write_text(text)
    dvc_runner.clear_stale_locks(path)
    assert not path.exists()


def test_a_record_of_locks_stays_while_one_of_them_lives(tmp_path: Path) -> None:
    path = tmp_path / "rwlock"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid, kept in ((os.getpid(), True), (gone.pid, False)):
        infos = {"write": {"x": {"pid": gone.pid, "cmd": ""}}, "read": {"y": [{"pid": pid, "cmd": ""}]}}
        path.write_text(json.dumps(infos))
        dvc_runner.clear_stale_locks(path)
        assert path.exists() is kept


def test_who_got_the_number_of_a_dead_process_holds_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "rwlock"
    path.write_text(json.dumps({"write": {"x": {"pid": os.getpid(), "cmd": ""}}}))
    before = psutil.Process().create_time() - 2 * dvc_runner.CLOCKS  # this process began
    os.utime(path, (before, before))
    dvc_runner.clear_stale_locks(path)
    assert not path.exists()


# --- the workspace --------------------------------------------------------------------------------


def test_one_run_per_workspace(tmp_path: Path) -> None:
    path = tmp_path / ".run.lock"
    refusal = pytest.raises(UserError, match=rf"process {os.getpid()}, since 20.*wait for it")
    with locks.workspace(path), refusal, locks.workspace(path):
        raise AssertionError
    with locks.workspace(path):
        pass


# --- the screen -----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_plain_lines() -> None:
    out = io.StringIO()
    display = console.Console(out)
    display.print("  train 120/1,200 updates, 9.1/s, 2 min left")
    display.stage_line("[3/6]", "tokenize", "ran", 2.13)
    display.stage_line("[4/6]", "train", "unchanged", 0)
    assert out.getvalue().splitlines() == [
        "  train 120/1,200 updates, 9.1/s, 2 min left",
        "[3/6] tokenize   ran            2.1 s",
        "[4/6] train      unchanged",
    ]


def test_a_terminal_gets_colours_and_progress_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    display = console.Console(out)
    display.print("  train 120/1,200 updates, 9.1/s, 2 min left")
    display.stage_line("[4/6]", "train", "ran", 2)
    assert "left\r\033[K[4/6] train      \033[32mran" in out.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    console.Console(plain).stage_line("[4/6]", "train", "ran", 2)
    assert plain.getvalue() == "[4/6] train      ran            2.0 s\n"


def test_the_first_line_names_the_recipe() -> None:
    recipes = projects.ROOT / "recipes"
    tiny = params.load(recipes / "tiny.yaml")
    assert summary.first_line(tiny, recipes) == "tiny: corpora/grammar-de-en.yaml -> grammar-tiny"
    train = tiny.train.model_copy(update={"seed": 7})
    changed = tiny.model_copy(update={"train": train})
    assert summary.closest_recipe(changed, recipes) == "tiny + 1 change"
    evaluate = tiny.evaluate.model_copy(update={"beam": 7})
    assert (
        summary.closest_recipe(changed.model_copy(update={"evaluate": evaluate}), recipes)
        == "tiny + 2 changes"
    )


FACTS = {
    "name": "m",
    "version": "3",
    "corpus_kind": "grammar",
    "bleu": 91.234,
    "chrf": 95.55,
    "frozen_set": "news",
    "contaminated": 0,
    "sentences": 1000,
    "samples": [
        {"kind": "short", "source": "Ja, 'so'.", "hypothesis": "Yes.", "reference": "Yes!", "drawing": None},
        {"kind": "reordered", "source": "s", "hypothesis": "h", "reference": "r", "drawing": " ┌ s\nh ███"},
    ],
}


def test_the_last_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    text = "\n".join(summary.last_screen(FACTS, "promoted", full=True))
    assert "m version 3 (champion): BLEU 91.2, chrF 95.5; 0 of 1,000 news sentences in training" in text
    assert "    h ███" in text
    assert "synthetic" in text
    assert "ui --workers 1 --backend-store-uri sqlite:///mlflow.db" in text
    assert """translate 'Ja, '"'"'so'"'"'.'""" in text  # can be pasted
    assert "make run RECIPE=local SET=ingest.path=FILE" in text
    short = "\n".join(summary.last_screen({**FACTS, "corpus_kind": "local"}, "kept", full=False))
    assert "(challenger)" in short
    assert "███" not in short
    assert "synthetic" not in short
    rejected = "\n".join(summary.last_screen(FACTS, "rejected", full=False))
    assert "m version 3 (rejected): " in rejected
    assert """translate --model model 'Ja, '""" in rejected  # else the champion would answer
    assert "--model" not in text + short
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert "look  http://127.0.0.1:5000" in "\n".join(summary.last_screen(FACTS, "kept", full=False))


# --- alerts ---------------------------------------------------------------------------------------


def a_run(failure: BaseException | None) -> tuple[Any, Any, Any]:
    state = SimpleNamespace(
        name="Failed",
        message="it says why",
        is_failed=lambda: failure is not None,
        result=lambda raise_on_failure: failure,
    )
    return SimpleNamespace(name="retrain"), SimpleNamespace(name="grey-owl", id="42"), state


def test_an_alert_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as (posted, url):
        monkeypatch.setenv(alerts.URL, url)
        alerts.notify_failure(*a_run(StageError("train", "system", "No space left on device: model")))
        alerts.notify_failure(*a_run(TransientError("no answer")))
        alerts.notify_failure(*a_run(None))
        alerts.notify_failure(*a_run(params.ParamsError("params.yaml cannot be used")))
    line = "retrain failed: stage train (system) No space left on device: model"
    assert posted[0]["text"] == f"{line}; {REMEDIES['system']}"
    assert posted[0]["remedy"].startswith("see to the disk")
    assert (posted[0]["flow_run_id"], posted[0]["stage"], posted[0]["class"]) == ("42", "train", "system")
    assert posted[1]["text"] == f"retrain failed: (transient) no answer; {REMEDIES['transient']}"
    assert posted[2]["text"] == "retrain failed: (crash) it says why"
    assert posted[3]["text"] == f"retrain failed: (user) params.yaml cannot be used; {REMEDIES['user']}"


def test_a_rejection_is_sent_with_the_sentences_that_got_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths.REPORTS.mkdir()
    lost = {
        "source": "Drei | Hunde",
        "reference": "Three dogs",
        "champion": "Three dogs",
        "challenger": "A dog",
    }
    paths.EVIDENCE.write_text(json.dumps({"regressions": [lost] * 10}))
    criteria = (Criterion("gain", False, "-1.00 BLEU", "more"), Criterion("slice x", None, "30 | 1", "none"))
    verdict = Verdict("rejected", "it lost", "m", "3", "2", "now", "me@here", "42", criteria, 1.5, {})
    body = notice("retrain", SimpleNamespace(name="otter", id="42"), verdict)
    assert body["text"].startswith(
        "retrain: m is rejected, version 2 stays: it lost\n\nsource: Drei | Hunde\n"
    )
    assert body["text"].count("challenger: A dog") == 3
    assert (body["class"], body["flow_run_id"], body["message"]) == ("rejected", "42", "it lost")
    assert body["remedy"].startswith(f"{tmp_path}/reports/report.html has the details; ")
    assert body.keys() == alerts.notice(*a_run(UserError("x"))).keys()

    page = markdown(verdict).splitlines()
    assert page[0] == "**rejected**: it lost"
    assert "| gain | **not met** | -1.00 BLEU | more |" in page
    assert "| slice x |  | 30 \\| 1 | none |" in page
    assert page.count("- source: Drei \\| Hunde") == 3
    with listener() as (posted, url):
        monkeypatch.setenv(alerts.URL, url)
        assert alerts.send_alert(lambda: body)
    assert posted == [body]


def test_a_verdicts_page_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths.REPORTS.mkdir()
    secret = "hunter2secret"
    text = f"see https://me:{secret}@tracker.example/x"
    keys = ("source", "reference", "champion", "challenger")
    paths.EVIDENCE.write_text(json.dumps({"regressions": [dict.fromkeys(keys, text)]}))
    criteria = (Criterion(text, False, text, text),)
    page = markdown(Verdict("rejected", text, "m", "3", "2", "now", "me@here", "42", criteria, 1.5, {}))
    assert secret not in page
    assert page.count("tracker") == 1 + 3 + 4


def test_an_alert_that_cannot_be_sent_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(alerts.URL, "http://127.0.0.1:1/")
    with caplog.at_level("ERROR", "prefect.flow_runs"):
        logging.getLogger("prefect.flow_runs").addHandler(caplog.handler)  # Prefect's do not propagate
        assert not alerts.send_alert(lambda: alerts.notice(*a_run(UserError("x"))))
        assert "the notice could not be sent" in caplog.text
        with listener(302) as (_, url):  # a login page accepts no alert
            monkeypatch.setenv(alerts.URL, url)
            assert not alerts.send_alert(lambda: {"text": "x"})
    assert "answers with status 302" in caplog.text
    monkeypatch.delenv(alerts.URL)
    monkeypatch.setattr("prefect.variables.Variable.get", lambda *_, **__: None)
    assert not alerts.send_alert(lambda: {"text": "x"})


def test_an_answer_that_trickles_in_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    class Response(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            read.append("a byte")
            yield b"."

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Response())

    client = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(httpx, "stream", client.stream)
    monkeypatch.setattr(httpx, "post", client.post)
    alerts.post("http://somewhere/", {"text": "x"})
    assert not read


# --- the clone of a schedule ----------------------------------------------------------------------


def test_a_clone_follows_a_ref_and_keeps_what_runs_left(tmp_path: Path) -> None:
    origin, folder = tmp_path / "origin", tmp_path / "clones/x"
    origin.mkdir()
    projects.git(origin, "init", "--quiet", "--initial-branch", "main")
    (origin / "params.yaml").write_text("1")
    projects.commit(origin)
    first = checkout.check_out(str(origin), "main", folder)
    assert (folder / "params.yaml").read_text() == "1"
    assert str(origin) not in (folder / ".git/config").read_text()  # it may hold a password
    projects.git(origin, "tag", "v1")

    (folder / "dvc.lock").write_text("kept")
    (folder / "params.yaml").write_text("edited by hand")
    (origin / "params.yaml").write_text("2")
    projects.commit(origin)
    second = checkout.check_out(str(origin), "main", folder)
    assert (folder / "params.yaml").read_text() == "2"
    assert (folder / "dvc.lock").read_text() == "kept"
    for ref in ("v1", first):
        assert checkout.check_out(str(origin), ref, folder) == first != second
    assert (folder / "params.yaml").read_text() == "1"
    with pytest.raises(UserError, match="no branch, tag or commit 'mian'; branches: main"):
        checkout.check_out(str(origin), "mian", folder)
    with pytest.raises(TransientError, match=r"cannot be fetched: fatal: .*nowhere' does not appear"):
        checkout.check_out(str(tmp_path / "nowhere"), "main", folder)

    # What a kill may leave: git's own lock, or a repository whose making was cut short.
    (folder / ".git/index.lock").touch()
    assert checkout.check_out(str(origin), "main", folder) == second
    for path in ("HEAD", "config"):
        (folder / ".git" / path).unlink()
    assert checkout.check_out(str(origin), "v1", folder) == first
    assert (folder / "dvc.lock").read_text() == "kept"


def test_a_ref_of_before_the_code_that_the_flows_call_is_refused_with_the_first_that_fits(
    tmp_path: Path,
) -> None:
    origin, folder = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    projects.git(origin, "init", "--quiet", "--initial-branch", "main")
    (origin / "params.yaml").write_text("1")
    projects.commit(origin)
    old = checkout.check_out(str(origin), "main", folder)
    with pytest.raises(UserError, match=f"main, commit {old[:12]}, has no .*no branch here has it"):
        checkout.check_fits(folder, "main", old)
    (origin / checkout.CALLED).parent.mkdir(parents=True)
    (origin / checkout.CALLED).touch()
    projects.commit(origin)
    new = checkout.check_out(str(origin), "main", folder)
    checkout.check_fits(folder, "main", new)
    (origin / "params.yaml").write_text("2")
    projects.commit(origin)
    checkout.check_out(str(origin), old, folder)
    with pytest.raises(UserError, match=rf"\({new[:12]} is the first commit with it\)"):
        checkout.check_fits(folder, old, old)


@pytest.mark.slow
def test_a_clone_has_the_cache_and_the_remotes_of_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, folder = tmp_path / "project", tmp_path / "project/.cache/retrain/x"
    (project / ".dvc").mkdir(parents=True)
    projects.git(project, "init", "--quiet", "--initial-branch", "main")
    (project / ".dvc/config").touch()
    (project / ".dvc/config.local").write_text("['remote \"near\"']\n    url = ../../storage\n")
    (project / ".gitignore").write_text("/.cache\n/.dvc/cache\n/.dvc/tmp\n/.dvc/config.local\n")
    for name in ("cached", "pushed"):
        (project / name).write_text(name)
    projects.call(project, "-m", "dvc", "add", "--quiet", "cached", "pushed")
    projects.call(project, "-m", "dvc", "push", "--quiet", "--remote", "near", "pushed")
    pushed = hashlib.md5(b"pushed").hexdigest()
    (project / ".dvc/cache/files/md5" / pushed[:2] / pushed[2:]).unlink()
    projects.commit(project)
    checkout.check_out(str(project), "main", folder)
    checkout.share_cache(project, folder)
    checkout.share_cache(project, folder)  # the next night
    projects.call(folder, "-m", "dvc", "checkout", "--quiet", "cached.dvc")
    assert (folder / "cached").read_text() == "cached"
    projects.call(folder, "-m", "dvc", "pull", "--quiet", "--remote", "near", "pushed.dvc")
    assert (folder / "pushed").read_text() == "pushed"


# --- the command ----------------------------------------------------------------------------------


def test_a_server_is_configured_by_variable_or_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    assert not prefect_server.is_configured()
    (tmp_path / "profiles.toml").touch()
    assert prefect_server.is_configured()
    monkeypatch.delenv("PREFECT_HOME")
    assert not prefect_server.is_configured()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert prefect_server.is_configured()
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1/api does not answer .*unset PREFECT_API_URL"):
        prefect_server.check_answering()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This project's tree without anything that ran, the current folder."""
    folder = projects.make(tmp_path)
    monkeypatch.chdir(folder)
    return folder


def test_dry_says_what_would_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (project / "params.yaml").read_bytes()
    assert main(["run", "--dry", "--recipe", "grammar", "--set", "train.seed=9", "--until", "train"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "grammar + 1 change: corpora/grammar-de-en.yaml -> grammar-de-en"
    assert "  train.seed: 1 -> 9" in lines
    assert lines[-4:] == [
        "[1/4] ingest     would run             never ran here",
        "[2/4] clean      would run             never ran here",
        "[3/4] tokenize   would run             never ran here",
        "[4/4] train      would run             never ran here",
    ]
    assert (project / "params.yaml").read_bytes() == before
    assert projects.git(project, "status", "--porcelain") == ""


@pytest.mark.slow
def test_from_one_recipe_to_any_other(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("local", "tatoeba-ru-en"):  # what the user brings
        corpus = Path(params.load(project / f"recipes/{name}.yaml").ingest.path)
        corpus.write_text("a\tb\n")
    for recipe in sorted((project / "recipes").glob("*.yaml")):
        assert main(["run", "--dry", "--recipe", recipe.stem]) == 0
        first = capsys.readouterr().out.splitlines()[0]
        assert first.startswith(f"{recipe.stem}: ")


def test_a_broken_params_file_is_named_by_its_own_path_and_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (project / "params.yaml").read_text().splitlines()
    lines.insert(6, "<<<<<<< HEAD")
    (project / "params.yaml").write_text("\n".join(lines))
    assert main(["run"]) == 2
    assert re.match(r"error: params\.yaml, line [78] is not valid YAML: ", capsys.readouterr().err)


def test_a_mistake_is_reported_before_anything_starts(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in {
        ("--recipe", "tinny"): "no recipe 'tinny' (did you mean tiny?)",
        ("--set", "train.seeed=1"): "no key train.seeed (did you mean train.seed?)",
        ("--until", "trian"): "no stage 'trian'; there are: ingest, clean",
        ("--set", "ingest.path=mine.tsv"): "ingest needs mine.tsv, which does not exist",
    }.items():
        assert main(["run", *arguments]) == 2
        assert message in capsys.readouterr().err
    with locks.workspace():
        assert main(["run"]) == 2
    assert "another run holds" in capsys.readouterr().err


def test_without_a_git_repository_dvc_is_set_to_do_without(toy: Path) -> None:
    (toy / ".dvc/config").write_text("[core]\n    analytics = false\n")
    assert [node.name for node in dag.read()] == ["first", "second", "third"]
    assert not (toy / ".dvc/config.local").exists()  # to look changes nothing
    assert "core.no_scm is set in .dvc/config.local" in dag.settle_without_git()
    assert run_stage("first")[0] == "ran"
    assert dag.settle_without_git() == ""


def test_parameters_of_a_commit_that_cannot_be_used_name_the_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths.PARAMS.write_text("format: 2\ningest: [\n")
    reason = r"at main, commit 0123456789ab: params\.yaml, line \d is not valid YAML"
    with pytest.raises(UserError, match=reason):
        retrain._params("main", "0123456789abcdef")
