"""Results of a scheduled run in the DVC remote: fetched before its stages, pushed after them.

Why: another host, or this one with an empty disk, restores the results of earlier runs instead of computing
them again, and data under `dvc add` is found. A project without a remote works as well, with one host.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from flows.child import Child, PrintLine
from seq2seq.common import masking
from seq2seq.common.errors import TransientError, UserError

PUSHED = Path(".dvc/tmp/pushed.json")  # the remote and the dvc.lock of the last push
LOCK = Path("dvc.lock")
NONE = "no DVC remote is configured: results stay in the cache of this host"
# Of the messages of DVC's storage libraries: failures of a network or a server that may pass.
TRANSIENT_MESSAGES = re.compile(
    r"could not connect|connect(ion)? (timed? ?out|refused|reset|closed|aborted)|timed? ?out|timeout"
    r"|name or service not known|temporary failure|slow ?down|internal ?error|service ?unavailable"
    r"|\b50[0234]\b",
    re.IGNORECASE,
)
REFUSED = re.compile(
    r"credential|forbidden|denied|signature|access ?key|\b40[13]\b|permission", re.IGNORECASE
)


class Remote(NamedTuple):
    """The default remote of a DVC project."""

    name: str
    url: str


def configured() -> Remote | None:
    """The remote of the project in the current folder, if there is one; raises UserError for half a one."""
    from dvc.repo import Repo

    with Repo() as repo:
        name = repo.config["core"].get("remote")
        section = repo.config["remote"].get(name, {})
    if not name:
        return None
    if "url" not in section:
        raise UserError(
            f"the DVC remote {name} has no url: run `dvc remote add --default {name} URL`, commit it"
        )
    return Remote(name, str(section["url"]))


def fetch(remote: Remote, print_line: PrintLine, timeout: float | None = None) -> None:
    """Fetch the data that dvc.lock and .dvc files name, and the list of earlier runs.

    Data that the remote does not have are no error: stages make them again. Raises TransientError, UserError.
    """
    print_line(f"fetching from the DVC remote {remote.name}")
    call = Child("dvc", ["--wait-for-lock", "fetch", "--run-cache"], print_line, timeout, {})
    if call.timed_out or call.status:
        raise _failure(remote, "read", "timed out" if call.timed_out else call.error)


def restore(stage: str, print_line: PrintLine, timeout: float | None = None) -> None:
    """Fetch the outputs of an earlier run of a stage with the same inputs, if there was one.

    Never raises: the stage runs if they cannot be had.
    """
    call = Child("flows.remote", [stage], print_line, timeout, {})
    if call.timed_out or call.status:
        print_line(f"{stage}: outputs of an earlier run cannot be fetched from the DVC remote: {call.error}")


def push(remote: Remote, print_line: PrintLine, timeout: float | None = None) -> None:
    """Push data and the list of runs, unless this dvc.lock has been pushed to this remote already.

    Raises TransientError, UserError.
    """
    state = {"remote": list(remote), "lock": hashlib.sha256(_lock()).hexdigest()}
    with suppress(OSError, ValueError):
        if json.loads(PUSHED.read_text("utf-8")) == state:
            print_line(f"nothing new for the DVC remote {remote.name}")
            return
    print_line(f"pushing to the DVC remote {remote.name}")
    call = Child("dvc", ["--wait-for-lock", "push", "--run-cache"], print_line, timeout, {})
    if call.timed_out or call.status:
        raise _failure(remote, "written", "timed out" if call.timed_out else call.error)
    PUSHED.write_text(json.dumps(state), "utf-8")


def _lock() -> bytes:
    return LOCK.read_bytes() if LOCK.exists() else b""


def _failure(remote: Remote, verb: str, reason: str) -> TransientError | UserError:
    text = f"the DVC remote {remote.name} ({masking.mask(remote.url)}) cannot be {verb}: {reason}"
    if "to be installed" in reason:
        return UserError(f"{text}; install it for the worker: pip install 'seq2seq[services]'")
    if TRANSIENT_MESSAGES.search(reason) and not REFUSED.search(reason):
        return TransientError(f"{text}; start its server, or correct its endpointurl in .dvc/config")
    return UserError(
        f"{text}; give the worker its keys (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
        f"`dvc remote modify --local {remote.name} ...` in its folder), with rights for this bucket"
    )


def main() -> int:
    """Restore the outputs of the stage named on the command line; the other process of `restore`."""
    from dvc.repo import Repo
    from dvc.stage.cache import RunCacheNotFoundError

    try:
        with Repo() as repo, repo.lock:
            for stage in repo.stage.collect(sys.argv[1]):  # a stage with parts is several of DVC's
                with suppress(RunCacheNotFoundError):
                    repo.stage_cache.restore(stage, pull=True)
    except Exception as error:  # of a storage library: each has its own kinds
        print(f"error: {masking.mask(str(error)) or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
