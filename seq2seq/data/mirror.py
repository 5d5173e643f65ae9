"""A folder with copies of remote corpora, read in place of the remote or if that does not answer.

Why: machines without access to the internet train too, and a corpus must not change its bytes silently: each
use of the mirror is printed, and files are compared with the pin as those of the remote are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from seq2seq.common.errors import TransientError, UserError
from seq2seq.data.splits import File

MIRROR = "CORPUS_MIRROR"  # a folder that `seq2seq mirror` fills
WHEN = "CORPUS_MIRROR_WHEN"  # always, or down: only if the remote does not answer
ALWAYS, DOWN = "always", "down"


class Copy(NamedTuple):
    """The local files of a pin; `revision` is None where none is guaranteed."""

    files: dict[str, list[File]]
    revision: str | None
    licence: str | None
    mirror: bool
    summary: str  # one line for the user


def choose(from_mirror: Callable[[Path], Copy], from_remote: Callable[[], Copy]) -> Copy:
    """The copy of a pin from the mirror or the remote, as the environment states.

    Raises UserError for an unknown setting, and as the two functions do.
    """
    folder, when = os.environ.get(MIRROR), os.environ.get(WHEN) or ALWAYS
    if when not in (ALWAYS, DOWN):
        raise UserError(f"{WHEN}={when}: write {ALWAYS} or {DOWN} (only if the remote does not answer)")
    if not folder:
        return from_remote()
    if when == ALWAYS:
        return from_mirror(Path(folder))
    try:
        return from_remote()
    except TransientError as error:
        print(f"ingest: {error}\ningest: {WHEN}={DOWN}: the mirror is read instead", flush=True)
        return from_mirror(Path(folder))
