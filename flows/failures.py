"""How a command ends: a failure is a line or two on stderr and one of the exit statuses of common/exits.py.

Why: run, promote and rollback are called by the same people and schedulers, and fail alike.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from flows.console import Console
from flows.stage_errors import StageError
from seq2seq.common import disk, environment, masking
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.exits import Exit

STATUS = {
    "user": Exit.MISTAKE,
    "quality": Exit.QUALITY,
    "transient": Exit.TRANSIENT,
    "budget": Exit.BUDGET,
}  # by the class of a stage's error


def status_of(body: Callable[[], int], display: Console, interrupted: str) -> int:
    """The exit status of a command: that of `body`, or of its failure.

    `interrupted` is the remedy printed after Ctrl-C.
    """
    environment.configure_process()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return body()
    except StageError as failure:
        display.print()
        message = f"{failure.stage} failed ({failure.kind}): {failure.message}"
        return _fail(message, failure.remedy, STATUS.get(failure.kind, Exit.FAILED))
    except TransientError as error:
        if disk.full():
            return _fail(str(error), disk.remedy(), Exit.FAILED)
        return _fail(str(error), "run it again: this may be temporary", Exit.TRANSIENT)
    except UserError as error:
        return _fail(str(error), "", Exit.MISTAKE)
    except KeyboardInterrupt:
        return _fail("interrupted", interrupted, Exit.INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.PIPE_CLOSED
    except Exception as error:  # of a library, e.g. of Prefect's database
        if isinstance(error, OSError) and error.errno in disk.FULL:
            return _fail(disk.explain(error), "", Exit.FAILED)
        if disk.is_full(str(error)) or disk.full():
            return _fail((str(error) or type(error).__name__).splitlines()[0], disk.remedy(), Exit.FAILED)
        raise


def _fail(message: str, remedy: str, status: int) -> int:
    sys.stdout.flush()
    print(f"error: {masking.mask(message)}", file=sys.stderr)
    if remedy:
        print(f"       {remedy}", file=sys.stderr)
    return status


def _terminate(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
