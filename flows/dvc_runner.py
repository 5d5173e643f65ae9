"""Run one stage: `dvc repro --single-item NAME` as a process group that can be stopped whole.

Why: DVC's exit status says neither what happened nor what kind of failure it was, and a stage
outlives a killed DVC; this is the one place that deals with both.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import psutil

from flows.stage_errors import DamagedInputError, StageError, of_record
from seq2seq.common import disk, integrity, masking, processes
from seq2seq.common.dag import CHATTER
from seq2seq.common.environment import OUTCOME_FILE
from seq2seq.common.exits import Exit
from seq2seq.common.progress import duration

PROCESSES = Path(processes.__file__)
GRACE = 60.0  # seconds between asking a stage to stop and killing it
FETCHES = 2  # a folder's list of files that comes back shows which of its files are damaged
RWLOCK = Path(".dvc/tmp/rwlock")
CLOCKS = 60.0  # seconds that the clocks of files and processes may differ by

REPEATED = re.compile(r"ERROR: failed to reproduce|error: [a-z]+: ")  # StageError has them
KINDS: dict[int, str] = {
    Exit.MISTAKE: "user",
    Exit.TRANSIENT: "transient",
    Exit.INTERRUPTED: "interrupted",
    -signal.SIGKILL: "killed",
}
RAN = re.compile(r"Running stage '|Verifying data sources in stage")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What happened to a stage (ran, restored, unchanged, ...) and in how many seconds."""

    stage: str
    outcome: str
    seconds: float = 0.0


def run(
    name: str,
    say: Say,
    *,
    force: bool = False,
    timeout: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Let DVC bring one stage up to date; its own lines go to `say` as they come.

    What is restored or read is compared with dvc.lock: damaged outputs are removed and made again, once.
    Stops the whole process group on a timeout (seconds) and on any exception, Ctrl-C included.
    Raises StageError.
    """
    attempt = partial(_run, name, say, timeout, environment or {})
    for path in integrity.remove_bad_lists(name):
        say(f"{name}: {path} of DVC's cache is damaged: removed, the stage makes it again")
    try:
        outcome = attempt(force)
    except DamagedInputError as failure:
        say(f"{name}: {failure.message}")
        for other in failure.again:
            run(other, say, timeout=timeout, environment=environment)
        return attempt(force)
    if outcome.outcome == "restored" and (found := integrity.check_outputs(name)):
        say(f"{name}: {'; '.join(map(str, found))}")
        return attempt(force=False)
    return outcome


def _run(name: str, say: Say, timeout: float | None, environment: Mapping[str, str], force: bool) -> Outcome:
    arguments = ["--wait-for-lock", "repro", "--single-item", *(["--force"] if force else []), name]
    before = integrity.state(name)
    with tempfile.TemporaryDirectory(prefix="seq2seq-") as folder:
        marker = Path(folder) / "marker.json"
        call = _Child("dvc", arguments, say, timeout, {**environment, OUTCOME_FILE: str(marker)})
        record = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else {}
    if call.status == 0:
        if record or call.has_run:
            return Outcome(name, "ran", call.seconds)
        return Outcome(name, "unchanged" if integrity.state(name) == before else "restored", call.seconds)
    if call.timed_out:
        raise StageError(name, "timeout", f"took longer than {duration(timeout or 0)}")
    if record.get("status", "ran") != "ran":
        raise of_record(name, record)
    if "exited with -9" in call.error or call.status == -signal.SIGKILL:
        raise StageError(name, "killed", "its process was killed by force")
    if disk.is_full(call.error):
        raise StageError(name, "system", f"{call.error}; {disk.remedy()}")
    raise StageError(name, "dvc", call.error)


def fetch(name: str, say: Say, *, timeout: float | None = None) -> Outcome:
    """Bring missing data under `dvc add` back, from the cache or else from the DVC remote.

    Damaged objects of the cache are renamed and not restored; they go when sound ones have taken their
    place. Raises StageError.
    """
    file, began = Path(name), time.monotonic()
    damaged = _set_aside(file, say)
    if damaged or _Child("dvc", ["checkout", name], lambda line: None, None, {}).status:
        for _ in range(FETCHES):
            call = _Child("dvc", ["fetch", name], say, timeout, {})
            if call.timed_out:
                raise StageError(name, "timeout", f"took longer than {duration(timeout or 0)}")
            if call.status:
                raise _not_fetched(name, call.error)
            if not (damaged := _set_aside(file, say)):
                break
        if damaged:
            raise _not_fetched(name, "the DVC remote's is damaged as well")
        integrity.remove_aside(file)
        call = _Child("dvc", ["checkout", name], say, timeout, {})
        if call.status:
            absent = call.error.startswith("Checkout failed")
            raise _not_fetched(name, "no DVC remote has it" if absent else call.error)
    return Outcome(name, "restored", time.monotonic() - began)


def _set_aside(file: Path, say: Say) -> list[integrity.Aside]:
    found = integrity.set_aside(file)
    for one in found:
        say(f"{one.path} is damaged in DVC's cache: renamed to {one.object}, looking in the DVC remote")
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


def call(task: str, module: str, arguments: list[str], say: Say, timeout: float | None = None) -> None:
    """Run a module of the project in the current folder that is no stage, as part of a task.

    Raises StageError in the name of the task.
    """
    here = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = _Child(module, arguments, say, timeout, {"PYTHONPATH": here})
    if done.timed_out:
        raise StageError(task, "timeout", f"{module} took longer than {duration(timeout or 0)}")
    if done.status:
        raise StageError(task, KINDS.get(done.status, "bug"), done.error)


def clear_stale_locks(path: Path = RWLOCK) -> None:
    """Remove DVC's record of who reads and writes what if nobody alive is in it.

    Only for who holds the workspace's lock. DVC forgets dead processes by itself, but not a record
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


class _Child:
    """A finished run of a module, most often DVC: its exit status, seconds, which of the telling lines
    were seen, and the last error."""

    def __init__(
        self,
        module: str,
        arguments: list[str],
        say: Say,
        timeout: float | None,
        environment: Mapping[str, str],
    ) -> None:
        self.has_run = False  # by its messages
        self.error, self._last = "", f"{module} failed without a word"
        self._say = say
        expired = threading.Event()
        began = time.monotonic()
        # `python` in dvc.yaml is PATH's: let that be this interpreter, activated or not.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        process = subprocess.Popen(
            [sys.executable, "-P", str(PROCESSES), str(os.getpid()), module, *arguments],
            env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

        def expire() -> None:
            expired.set()
            stop(process)

        timer = threading.Timer(timeout, expire) if timeout else None
        try:
            if timer:
                timer.start()
            self._pass_on(process)
            process.wait()
        finally:
            if timer:
                timer.cancel()
            if process.poll() is None:
                stop(process)
                self._pass_on(process)  # what a stopped training says of its checkpoint
            assert process.stdout is not None
            process.stdout.close()
        self.status, self.timed_out = process.returncode, expired.is_set()
        self.error = self.error or self._last  # a traceback's last line says what it was
        self.seconds = time.monotonic() - began

    def _pass_on(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for raw in process.stdout:
            line = masking.mask(raw.rstrip("\n"))
            self.has_run = self.has_run or bool(RAN.match(line))
            self._last = line.strip() or self._last
            if line.lower().startswith("error: "):
                self.error = line[len("error: ") :]
            if not CHATTER.match(line) and not REPEATED.match(line):
                self._say(line)


def stop(process: subprocess.Popen[str], grace: float = GRACE) -> None:
    """End a process group: SIGINT, so that a training saves, and after `grace` seconds SIGKILL."""
    try:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait(grace)  # the leader is DVC, which outwaits the stage
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
