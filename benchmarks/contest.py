"""Runs contestants, each a process, alternately step by step, and collects their results.

Why: on a shared machine only alternating steps are comparable, and only quiet ones are valid: one foreign
process on a core slows down all threads that wait for it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Self

QUIET = 0.12  # maximum share of the processors' time used by other processes during a quiet step
WARM_UP = 2  # first steps of each contestant, which do not count


class Step(NamedTuple):
    """One step of a contestant."""

    units: int  # target tokens or sentences done
    seconds: float
    foreign: float | None  # share of the processors used by other processes; None: unknown
    each: list[float]  # seconds of its parts, if it has any
    memory: int  # peak memory so far, in bytes; 0: unknown

    def is_quiet(self, limit: float) -> bool:
        """Whether it counts; if the use by other processes is unknown, every step does."""
        return self.foreign is None or self.foreign < limit


class Result(NamedTuple):
    """The steps of a contestant, without the warm-up."""

    name: str
    parameters: int
    steps: list[Step]
    limit: float = QUIET

    @property
    def quiet(self) -> list[Step]:
        """The steps that count."""
        return [step for step in self.steps if step.is_quiet(self.limit)]

    @property
    def rate(self) -> float | None:
        """Median units a second of the quiet steps; None if there was none."""
        rates = [step.units / step.seconds for step in self.quiet]
        return median(rates) if rates else None

    @property
    def seconds(self) -> float | None:
        """Median seconds of a quiet step; None if there was none."""
        return median(step.seconds for step in self.quiet) if self.quiet else None

    @property
    def memory(self) -> int:
        """Peak memory in bytes."""
        return max((step.memory for step in self.steps), default=0)

    def percentile(self, share: float) -> float | None:
        """A quantile of the seconds of parts of quiet steps."""
        times = sorted(seconds for step in self.quiet for seconds in step.each)
        return times[min(int(share * len(times)), len(times) - 1)] if times else None


class Program(NamedTuple):
    """The command of a contestant."""

    name: str
    command: Sequence[str]


class Contestant:
    """A running contestant; use as a context manager. Raises ContestantError if it has ended."""

    def __init__(self, program: Program, log: Path) -> None:
        self.name, self._log = program.name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as file:
            self._process = subprocess.Popen(
                program.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )

    def ready(self) -> int:
        """Wait until it is ready; returns the number of its model's parameters."""
        return int(self._read_answer()["parameters"])

    def step(self, kind: str) -> Step:
        """Request a step of a kind, and wait for it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{kind}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ContestantError(self.name, self._log) from None
        return Step(**self._read_answer())

    def _read_answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ContestantError(self.name, self._log)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()  # closes its input, and so ends it


class ContestantError(RuntimeError):
    """A contestant has ended too early; the message has the end of its log."""

    def __init__(self, name: str, log: Path) -> None:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        super().__init__("\n  ".join([f"{name} has ended, the end of {log} is", *lines]))


def contest(
    programs: Sequence[Program],
    kinds: Mapping[str, int],
    logs: Path,
    show: Callable[[str], None],
    limit: float = QUIET,
) -> dict[str, list[Result]]:
    """Run all programs alternately: after a warm-up, the given number of rounds of each kind of step.

    Returns the results by kind, in the order of the programs.
    """
    with ExitStack() as stack:
        running = [
            stack.enter_context(Contestant(program, logs / f"{program.name.replace('/', ' ')}.log"))
            for program in programs
        ]
        parameters = [contestant.ready() for contestant in running]
        results = {}
        for kind, rounds in kinds.items():
            steps: list[list[Step]] = [[] for _ in running]
            for number in range(WARM_UP + rounds):
                for contestant, done in zip(running, steps, strict=True):
                    done.append(contestant.step(kind))
                progress = "warm-up" if number < WARM_UP else f"round {number + 1 - WARM_UP}/{rounds}"
                quiet = sum(done[-1].is_quiet(limit) for done in steps)
                show(f"{kind}, {progress}: {quiet} of {len(steps)} steps quiet")
            results[kind] = [
                Result(contestant.name, size, done[WARM_UP:], limit)
                for contestant, size, done in zip(running, parameters, steps, strict=True)
            ]
        return results
