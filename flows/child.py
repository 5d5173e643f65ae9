"""A child process of a flow: a module, most often DVC, as a process group that can be stopped whole.

Why: a stage outlives a killed DVC, and DVC's messages are not for the screen.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from seq2seq.common import masking, processes, progress

PROCESSES = Path(processes.__file__)
GRACE = 60.0  # seconds between SIGINT and SIGKILL for a stage
# DVC's own messages while it runs stages, which are not shown.
CHATTER = re.compile(
    r"\s*$|Running stage '|> exec |(Updating|Generating) lock file|To track the changes with git"
    r"|To enable auto staging|\tgit add |\tdvc config core.autostage|Use `dvc push`|Stage '.*' didn't change"
    r"|Data and pipelines are up to date|Verifying data sources in stage|Stage '.*' is cached - "
)
REPEATED = re.compile(r"ERROR: failed to reproduce|error: [a-z]+: ")  # StageError has them
RAN = re.compile(r"Running stage '|Verifying data sources in stage")

PrintLine = Callable[[str], object]
StopCheck = Callable[[int], str]  # the reason to stop the process of this id; empty: it runs on
POLL = 2.0  # seconds between two calls of one


class Child:
    """A finished run of a module, most often DVC: its exit status, its seconds, whether a stage has run, and
    the last error."""

    def __init__(
        self,
        module: str,
        arguments: list[str],
        print_line: PrintLine,
        timeout: float | None,
        environment: Mapping[str, str],
        stop_check: StopCheck | None = None,
    ) -> None:
        self.over = ""  # the reason by which it was stopped
        self.has_run = False  # by its messages
        self.error, self._last = "", f"{module} ended without a message"
        self._print_line = print_line
        expired = threading.Event()
        began = time.monotonic()
        # `python` in dvc.yaml is PATH's: let that be this interpreter, activated or not.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        process = subprocess.Popen(
            [sys.executable, "-P", str(PROCESSES), str(os.getpid()), module, *arguments],
            env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", progress.MARKS: "1", **environment},
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

        def observe(stop_check: StopCheck) -> None:
            while not self.over and not ended.wait(POLL):
                if reason := stop_check(process.pid):
                    self.over = reason
                    stop(process)

        timer, ended = threading.Timer(timeout, expire) if timeout else None, threading.Event()
        try:
            if timer:
                timer.start()
            if stop_check:
                threading.Thread(target=observe, args=[stop_check], daemon=True).start()
            self._pass_on(process)
            process.wait()
        finally:
            ended.set()
            if timer:
                timer.cancel()
            if process.poll() is None:
                stop(process)
                self._pass_on(process)  # the line of a stopped training about its checkpoint
            assert process.stdout is not None
            process.stdout.close()
        self.status, self.timed_out = process.returncode, expired.is_set()
        self.error = self.error or self._last  # the last line of a traceback is the error
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
                self._print_line(line)


def project_path() -> dict[str, str]:
    """The variable by which a child imports the code of the current folder, which is not on its path."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))}


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
