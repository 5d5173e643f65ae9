"""Run one stage: `dvc repro --single-item NAME` as a process group that can be stopped whole.

Why: DVC's exit status shows neither the outcome nor the kind of failure, and a stage outlives a killed DVC;
this is the one place that deals with both.
"""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import psutil

from flows.child import Child, PrintLine, StopCheck, project_path
from flows.stage_errors import DamagedInputError, StageError, of_record
from seq2seq.common import dag, disk, integrity, progress
from seq2seq.common.environment import OUTCOME_FILE
from seq2seq.common.exits import Exit

FETCHES = 2  # a folder's list of files that comes back shows which of its files are damaged
RWLOCK = Path(".dvc/tmp/rwlock")
CLOCKS = 60.0  # seconds that the clocks of files and processes may differ by

KINDS: dict[int, str] = {
    Exit.MISTAKE: "user",
    Exit.TRANSIENT: "transient",
    Exit.INTERRUPTED: "interrupted",
    -signal.SIGKILL: "killed",
    -signal.SIGTERM: "interrupted",
    -signal.SIGINT: "interrupted",
}


@dataclass(frozen=True)
class Outcome:
    """The outcome of a stage (ran, restored, unchanged, ...) and its seconds."""

    stage: str
    outcome: str
    seconds: float = 0.0


def run(
    name: str,
    print_line: PrintLine,
    *,
    force: bool = False,
    timeout: float | None = None,
    environment: Mapping[str, str] | None = None,
    stop_check: StopCheck | None = None,
) -> Outcome:
    """Let DVC bring one stage up to date; `print_line` is called with each line that the stage prints.

    Restored outputs and inputs are compared with dvc.lock: damaged outputs are removed and made again, once.
    Stops the whole process group on a timeout (seconds), on any exception, Ctrl-C included, and when
    `stop_check` returns a reason. Raises StageError.
    """
    attempt = partial(_run, name, print_line, timeout, environment or {}, stop_check)
    for path in integrity.remove_bad_lists(name):
        print_line(f"{name}: {path} of DVC's cache is damaged: removed, the stage makes it again")
    try:
        outcome = attempt(force)
    except DamagedInputError as failure:
        print_line(f"{name}: {failure.message}")
        for other in failure.again:
            run(other, print_line, timeout=timeout, environment=environment, stop_check=stop_check)
        return attempt(force)
    if outcome.outcome == "restored" and (found := integrity.check_outputs(name)):
        print_line(f"{name}: {'; '.join(map(str, found))}")
        return attempt(force=False)
    return outcome


def _run(
    name: str,
    print_line: PrintLine,
    timeout: float | None,
    given: Mapping[str, str],
    stop_check: StopCheck | None,
    force: bool,
) -> Outcome:
    arguments = ["--wait-for-lock", "repro", "--single-item", *(["--force"] if force else []), name]
    before = integrity.state(name)
    with tempfile.TemporaryDirectory(prefix="seq2seq-") as folder:
        marker = Path(folder) / "marker.json"
        call = Child("dvc", arguments, print_line, timeout, {**given, OUTCOME_FILE: str(marker)}, stop_check)
        record = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else {}
    if call.status == 0:
        if record or call.has_run:
            return Outcome(name, "ran", call.seconds)
        return Outcome(name, "unchanged" if integrity.state(name) == before else "restored", call.seconds)
    if call.timed_out:
        raise StageError(name, "timeout", f"took longer than {progress.duration(timeout or 0)}")
    if call.over:
        raise StageError(name, "budget", call.over)
    if record.get("status", "ran") != "ran":
        raise of_record(name, record)
    if "exited with -9" in call.error or call.status == -signal.SIGKILL:
        raise StageError(name, "killed", "its process was killed by force")
    if disk.is_full(call.error):
        raise StageError(name, "system", f"{call.error}; {disk.remedy()}")
    raise StageError(name, "dvc", call.error)


def fetch(name: str, print_line: PrintLine, *, timeout: float | None = None) -> Outcome:
    """Bring missing data under `dvc add` back, from the cache or else from the DVC remote.

    Damaged objects of the cache are renamed and not restored; they go when sound ones have taken their
    place. Raises StageError.
    """
    file, began = Path(name), time.monotonic()
    damaged = _set_aside(file, print_line)
    if damaged or Child("dvc", ["checkout", name], lambda line: None, None, {}).status:
        for _ in range(FETCHES):
            call = Child("dvc", ["fetch", name], print_line, timeout, {})
            if call.timed_out:
                raise StageError(name, "timeout", f"took longer than {progress.duration(timeout or 0)}")
            if call.status:
                raise _not_fetched(name, call.error)
            if not (damaged := _set_aside(file, print_line)):
                break
        if damaged:
            raise _not_fetched(name, "the DVC remote's is damaged as well")
        integrity.remove_aside(file)
        call = Child("dvc", ["checkout", name], print_line, timeout, {})
        if call.status:
            absent = call.error.startswith("Checkout failed")
            raise _not_fetched(name, "no DVC remote has it" if absent else call.error)
    return Outcome(name, "restored", time.monotonic() - began)


def _set_aside(file: Path, print_line: PrintLine) -> list[integrity.Aside]:
    found = integrity.set_aside(file)
    for one in found:
        print_line(
            f"{one.path} is damaged in DVC's cache: renamed to {one.object}, looking in the DVC remote"
        )
    return found


def _not_fetched(name: str, reason: str) -> StageError:
    """The error for data that does not come back, with the place of its damaged bytes if there are any."""
    if not (damaged := integrity.aside(Path(name))):
        return StageError(name, "dvc", reason)
    first, more = damaged[0], len(damaged) - 1
    others = f" (and {more} more of {name})" if more else ""
    return StageError(
        name,
        "user",
        f"{first.path}{others} is damaged in DVC's cache and cannot be fetched: {reason}; put a copy of your "
        f"own at {first.path}; the damaged bytes are kept in {first.object}",
    )


def call(
    task: str, module: str, arguments: list[str], print_line: PrintLine, timeout: float | None = None
) -> None:
    """Run a module of the project in the current folder that is no stage, as part of a task.

    Raises StageError in the name of the task.
    """
    done = Child(module, arguments, print_line, timeout, project_path())
    if done.timed_out:
        raise StageError(task, "timeout", f"{module} took longer than {progress.duration(timeout or 0)}")
    if done.status:
        raise StageError(task, KINDS.get(done.status, "bug"), done.error)


def clear_stale_locks(path: Path = RWLOCK) -> None:
    """Remove DVC's record of readers and writers if no live process is in it.

    The caller holds the workspace's lock. DVC removes dead processes by itself, but not a record
    cut short by a kill, which stops every later run.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        infos = [*held.get("write", {}).values(), *chain(*held.get("read", {}).values())]
        written = path.stat().st_mtime
        alive = any(_is_alive(info["pid"], written) for info in infos)
    except FileNotFoundError:
        return
    except (ValueError, TypeError, KeyError, AttributeError):
        alive = False
    if not alive:
        path.unlink(missing_ok=True)


def remove_empty_records(runs: Path | None = None) -> None:
    """Remove the empty folders of DVC's record of earlier runs, which a kill between two writes leaves.

    The caller holds the workspace's lock. DVC fails on such a folder each time its stage is to run.
    """
    for folder in (runs or dag.cache_folder().parents[1] / "runs").glob("*/*"):
        with suppress(OSError):  # not empty, or another workspace with the same cache was first
            folder.rmdir()


def _is_alive(pid: int, written: float) -> bool:
    """Whether a process still runs that is named in a file last written at `written` (seconds since 1970).

    One that was killed stays a zombie until its parent looks: it holds nothing any more. One that began
    long after has only got the number of another, as they do in a container begun again.
    """
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= written + CLOCKS)
    except psutil.NoSuchProcess:
        return False
