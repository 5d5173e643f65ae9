"""The output of a run on the screen: aligned lines, one closing line a stage, colours only on a terminal.

Why: the same run is watched on a terminal, read in a file, and kept as a server's logs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import TextIO

from seq2seq.common import progress

COLOURS = {
    "ran": "32",
    "restored": "36",
    "unchanged": "2",
    "failed": "31",
    "interrupted": "33",
    "promoted": "32",
    "forced": "33",
    "kept": "2",
    "waiting": "33",
    "rejected": "31",
}


class Console:
    """Writes lines to a stream (None: nowhere) and each also to `log` while that is set."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.log: Callable[[str], object] | None = None
        self._is_terminal = stream is not None and stream.isatty()
        self._colours = self._is_terminal and not os.environ.get("NO_COLOR")
        self._passing = False  # the last line is one that the next may overwrite

    def print(self, text: str = "") -> None:
        """One line; on a terminal a line of progress gives way to the next line."""
        text, passing = progress.read(text)
        if self.log and text:
            self.log(text)
        if self.stream is None:
            return
        if self._passing:
            self.stream.write("\r\033[K")
        self._passing = self._is_terminal and passing
        self.stream.write(text + ("" if self._passing else "\n"))
        self.stream.flush()

    def stage_line(self, position: str, name: str, outcome: str, seconds: float, note: str = "") -> None:
        """The line that ends a stage, e.g. `[3/6] tokenize   ran          2.1 s`."""
        time = progress.duration(seconds) if seconds else ""
        line = f"{position:<5} {name:<10} {self.paint(outcome, f'{outcome:<10}')} {time:>9}"
        self.print(f"{line}  {note}".rstrip())

    def paint(self, colour: str, text: str) -> str:
        """`text` in the colour of a word of COLOURS, where colours are wanted."""
        code = COLOURS.get(colour)
        return f"\033[{code}m{text}\033[0m" if self._colours and code else text


# Ambient, because flow parameters are stored by Prefect and a terminal cannot be. By default a run
# is silent and only logs: a worker shows the logs.
current: ContextVar[Console] = ContextVar("current", default=Console(None))  # noqa: B039


def terminal() -> Console:
    """The screen of somebody who started a run by hand."""
    return Console(sys.stdout)
