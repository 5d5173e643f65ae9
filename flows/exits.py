"""How a command ends: failures in a line or two on stderr, and an exit status that scripts can use.

Why: pipeline, promote and rollback are called by the same people and schedulers, and fail alike.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from flows.console import Screen
from flows.dvc_runner import StageError
from seq2seq.common import disk, environment, masking
from seq2seq.common.errors import TransientError, UserError


def of(body: Callable[[], int], display: Screen, interrupted: str) -> int:
    """The exit status of a command: what `body` returns, or 1, 2, 130, 141 for how it failed.

    `interrupted` says what becomes of the work after Ctrl-C.
    """
    environment.configure_process()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return body()
    except StageError as failure:
        display.line()
        said = f"{failure.stage} failed ({failure.kind}): {failure.message}"
        return _fail(said, failure.remedy, 2 if failure.kind == "user" else 1)
    except TransientError as error:
        remedy = disk.remedy() if disk.full() else "it may pass by itself: run again"
        return _fail(str(error), remedy, 1)
    except UserError as error:
        return _fail(str(error), "", 2)
    except KeyboardInterrupt:
        return _fail("interrupted", interrupted, 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:  # of a library, e.g. of Prefect's database
        if isinstance(error, OSError) and error.errno in disk.FULL:
            return _fail(disk.explain(error), "", 1)
        if disk.is_full(str(error)) or disk.full():
            return _fail((str(error) or type(error).__name__).splitlines()[0], disk.remedy(), 1)
        raise


def _fail(message: str, remedy: str, status: int) -> int:
    sys.stdout.flush()
    print(f"error: {masking.mask(message)}", file=sys.stderr)
    if remedy:
        print(f"       {remedy}", file=sys.stderr)
    return status


def _terminate(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
