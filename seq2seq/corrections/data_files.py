"""Exported files under `dvc add`, as a clone of the project finds them.

Why: a scheduled run works in a clone, which has the files in git and those that a committed .dvc file names,
from DVC's cache or remote. The bytes of the corpus stay out of git.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.masking import mask


def record_of(file: Path) -> Path:
    """The file that `dvc add` writes beside a file."""
    return file.with_name(f"{file.name}.dvc")


def any_tracked(files: Sequence[Path]) -> bool:
    """Whether `dvc add` has been called for one of the files."""
    return any(record_of(file).is_file() for file in files)


def track(files: Sequence[Path]) -> None:
    """Call `dvc add`: the bytes go to DVC's cache, the hash into a .dvc file beside each file.

    Raises UserError outside of a DVC project and for files that git tracks, TransientError while a run holds
    the project.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "--wait-for-lock", "add", "--quiet", *map(str, files)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return
    reasons = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.strip()]
    reason = reasons[0] if reasons else "no reason given"
    text = mask(f"dvc add {' '.join(map(str, files))}: {reason}")
    raise (TransientError if "Unable to acquire lock" in reason else UserError)(text)
