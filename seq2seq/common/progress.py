"""Progress of long work: a bar on a terminal, lines with rate and remaining time otherwise.

Why: the same loop runs on a terminal and under a scheduler that stores lines. A flow reads a stage's output
from a pipe and sets MARKS; lines of progress then begin with MARK, so that the flow depends on no words.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 10.0
MARKS = "SEQ2SEQ_PROGRESS_MARKS"  # the variable that switches marked lines on
MARK = "\x1f"  # a control character that no terminal shows and that ends no line


def duration(seconds: float) -> str:
    """Seconds as text: 0.4 s, 12 s, 3 min 05 s, 2 h 05 min."""
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def read(line: str) -> tuple[str, bool]:
    """The text of a line that a stage printed, and whether it is one of progress."""
    return line.removeprefix(MARK), line.startswith(MARK)


class Progress:
    """Counts work with a known or unknown total; `note` is shown after the figures, by default on stdout."""

    def __init__(
        self, label: str, unit: str, total: int | None = None, start: int = 0, out: TextIO | None = None
    ) -> None:
        self._out = out or sys.stdout
        self.label, self.unit, self.total = label, unit, total
        self.done, self.start, self.note = start, start, ""
        self._began = self._printed = time.monotonic()
        self._bar = (
            tqdm(total=total, initial=start, desc=label, unit=unit, leave=False, dynamic_ncols=True, file=out)
            if self._out.isatty()
            else None
        )

    def advance(self, count: int = 1, note: str = "") -> None:
        """Add `count`; prints a line at most every few seconds."""
        self.done += count
        self.note = note or self.note
        if self._bar is not None:
            self._bar.update(count)
            if note:
                self._bar.set_postfix_str(note)
        elif time.monotonic() - self._printed >= SECONDS_BETWEEN_LINES:
            self._printed = time.monotonic()
            print((MARK if os.environ.get(MARKS) else "") + self.line(), file=self._out, flush=True)

    def line(self) -> str:
        """The state as one line."""
        rate = (self.done - self.start) / max(time.monotonic() - self._began, 1e-9)
        share = f"/{self.total:,}" if self.total else ""
        left = f", {duration((self.total - self.done) / rate)} left" if self.total and rate else ""
        note = f", {self.note}" if self.note else ""
        figure = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
        return f"  {self.label} {self.done:,}{share} {self.unit}, {figure}/s{left}{note}"

    def write(self, text: str) -> None:
        """Print a line without breaking the bar."""
        if self._bar is not None:
            self._bar.write(text)
        else:
            print(text, file=self._out, flush=True)

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items and count them."""
        for item in items:
            yield item
            self.advance()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
