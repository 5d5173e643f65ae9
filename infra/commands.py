"""The exit status of infra's commands.

Why: an error is one line and a status, as it is for the commands of the project.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from seq2seq.common import masking
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.exits import Exit


def exit_status(act: Callable[[], int]) -> int:
    """The exit status of a command; an error that a person can act on is printed."""
    try:
        return act()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return Exit.MISTAKE
    except TransientError as error:
        print(f"error: {masking.mask(str(error))}", file=sys.stderr)
        return Exit.TRANSIENT
