"""The exit statuses of every command, for scripts and schedulers."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """An exit status; `EPILOG` is the table for people."""

    DONE = 0
    FAILED = 1
    MISTAKE = 2
    KEPT = 3
    REJECTED = 4
    QUALITY = 5
    WAITING = 6
    BUDGET = 7
    TRANSIENT = 75  # as sysexits.h has EX_TEMPFAIL
    INTERRUPTED = 130  # 128 + SIGINT, as a shell has it
    PIPE_CLOSED = 141  # 128 + SIGPIPE


MEANINGS = {
    Exit.DONE: "done (promote: promoted, forced or unchanged)",
    Exit.FAILED: "a failure, with its remedy; translate: some lines left out",
    Exit.MISTAKE: "a mistake in the command, the parameters, the data or the tree",
    Exit.KEPT: "promote: the champion stays",
    Exit.REJECTED: "run, promote: the version was rejected",
    Exit.QUALITY: "run: data or training beyond a limit of quality; the champion stays",
    Exit.WAITING: "promote: the version is fit and waits for approval; the champion stays",
    Exit.BUDGET: "run: the budget is spent; the checkpoint is kept, the champion stays",
    Exit.TRANSIENT: "a server, a network or memory: run it again",
    Exit.INTERRUPTED: "interrupted by Ctrl-C or SIGTERM",
    Exit.PIPE_CLOSED: "the reader of the output has gone",
}
EPILOG = "exit status:\n" + "\n".join(f"  {status:<4} {meaning}" for status, meaning in MEANINGS.items())
