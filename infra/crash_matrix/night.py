"""`python -m infra.crash_matrix.night`: a schedule of minutes, random kills, and the end of each slot.

Why: a cell breaks one run at one point. A team has a schedule that nobody watches, on which faults fall at
any time: each slot must end in a state that a person can read, and the next run after the last fault must be
right.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from infra.crash_matrix import hosted, local, processes, project
from infra.crash_matrix.cells import Cell
from infra.crash_matrix.result import Result
from seq2seq.common.exits import Exit

SERVERS = ("worker-1", *hosted.SERVERS)
VICTIMS = ("stage", "dvc", "flow", *SERVERS)
FROM = "clean"  # this stage and all after it are run although they are fresh
LAST = 600.0  # seconds in which the last run must end
NONE = "none"  # no run was made
AWAY = 60.0  # seconds that a killed server may need until it answers again


class Kill(NamedTuple):
    """A process that was killed."""

    when: float  # seconds since 1970
    victim: str


class Slot(NamedTuple):
    """A time of the schedule, and how its run ended."""

    when: float
    state: str
    began: float
    ended: float
    message: str


def frequent(saved: Path, folder: Path, every: int) -> Path:
    """A copy of the undisturbed project whose deployment `retrain` has a slot every so many minutes.

    It is in the file that is deployed, because each start of the servers deploys it again.
    """
    project = folder / "project"
    shutil.copytree(saved, project, symlinks=True)
    file = project / "infra/prefect.yaml"
    text = file.read_text(encoding="utf-8")
    for old, new in (
        ('cron: "0 3 * * *"', f'cron: "*/{every} * * * *"'),
        ("hours_per_stage: 24", f"hours_per_stage: 24\n      from_stage: {FROM}"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    return project


def night(
    level: hosted.Level, minutes: float, every: int, rng: random.Random
) -> tuple[list[Kill], list[Slot]]:
    """Let the schedule run and kill at random; returns the kills, and the slots with their ends."""
    seconds = 60 * every
    begin = datetime.fromtimestamp((time.time() // seconds + 1) * seconds, UTC)
    end = begin + timedelta(minutes=minutes)
    kills: list[Kill] = []
    while datetime.now(UTC) < end:
        time.sleep(rng.uniform(20, 60))
        victim = rng.choice(VICTIMS)
        if victim in SERVERS:
            hit = level.kill([victim], "SIGKILL", tree=victim != "worker-1")
        else:
            hit = processes.of_role(level.mark, victim, "")
            processes.send(hit, "SIGKILL")
        if hit:
            kills.append(Kill(time.time(), victim))
            print(f"{datetime.now(UTC):%H:%M:%S} killed {victim}", flush=True)
        if victim in SERVERS:
            time.sleep(rng.uniform(2, 10))
            level.services("start")  # as a supervisor does
    last = datetime.now(UTC)

    def ended() -> bool:
        return all(slot.state in hosted.ENDED for slot in _slots(level, begin, last, seconds))

    with suppress(processes.StuckError):  # a run without an end is a problem of its slot
        processes.wait_for(ended, LAST, "the end of all runs", 2)
    found = _slots(level, begin, last, seconds)  # pausing removes runs that have not begun
    level.client.request(f"deployments/{level.deployment}", {"paused": True}, method="PATCH")
    return kills, found


def _slots(level: hosted.Level, begin: datetime, end: datetime, seconds: float) -> list[Slot]:
    runs = {
        round(_seconds(run["expected_start_time"])): run
        for run in level.client.request(
            "flow_runs/filter",
            {
                "deployments": {"id": {"any_": [level.deployment]}},
                "flow_runs": {
                    "expected_start_time": {"after_": begin.isoformat(), "before_": end.isoformat()}
                },
                "limit": 200,
            },
        )
    }
    slots, when = [], begin
    while when < end:
        slots.append(_slot(when.timestamp(), runs.get(round(when.timestamp()))))
        when += timedelta(seconds=seconds)
    return slots


def _slot(when: float, run: dict[str, Any] | None) -> Slot:
    if run is None:
        return Slot(when, NONE, when, when, "")
    message = " ".join(((run.get("state") or {}).get("message") or "").split())[:100]
    began = _seconds(run["start_time"]) if run["start_time"] else when
    ended = _seconds(run["end_time"]) if run["end_time"] else time.time()
    return Slot(when, run["state_type"] or NONE, began, ended, message)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def problems(kills: list[Kill], slots: list[Slot]) -> list[str]:
    """Slots without a run that has ended, and runs that ended badly although no kill was near."""
    found = []
    for slot in slots:
        name = f"{datetime.fromtimestamp(slot.when, UTC):%H:%M:%S} {slot.state}"
        if slot.state == NONE:
            found.append(f"{name}: no run was made")
        elif slot.state not in hosted.ENDED:
            found.append(f"{name}: it has no end")
        elif slot.state in ("FAILED", "CRASHED") and not _near(kills, slot):
            found.append(f"{name}: {slot.message}, and no kill was near")
    return found


def _near(kills: list[Kill], slot: Slot) -> list[str]:
    """The victims of the time of a run, servers also shortly before it: they may have been away."""
    return [
        kill.victim
        for kill in kills
        if slot.began - (AWAY if kill.victim in SERVERS else 0.0) < kill.when < slot.ended
    ]


def main(arguments: list[str] | None = None) -> int:
    """Run a night and print each slot; the exit status is 0 if all are accounted for and it heals."""
    parser = argparse.ArgumentParser(prog="python -m infra.crash_matrix.night", description=__doc__)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--every", type=int, default=2, help="minutes between two slots, a divisor of 60")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    project.HOME.mkdir(parents=True, exist_ok=True)
    saved, weights = local.undisturbed(project.HOME)
    with (
        tempfile.TemporaryDirectory(prefix="seq2seq-night-") as folder,
        hosted.level(frequent(saved, Path(folder), options.every), weights) as level,
    ):
        kills, slots = night(level, options.minutes, options.every, random.Random(options.seed))
        result = Result(Cell("hosted", "night", "train"))
        level.heal(result)
    _print(kills, slots)
    wrong = problems(kills, slots) + result.problems
    print(f"the run after it: {result.healed} s, same weights: {'yes' if result.same_weights else 'no'}")
    print("\n".join(f"problem: {problem}" for problem in wrong) or "every slot is accounted for")
    return Exit.FAILED if wrong else Exit.DONE


def _print(kills: list[Kill], slots: list[Slot]) -> None:
    for slot in slots:
        took = f"{slot.ended - slot.began:4.0f} s"
        print(
            f"{datetime.fromtimestamp(slot.when, UTC):%H:%M:%S} {slot.state:10} {took}  killed: "
            f"{', '.join(_near(kills, slot)) or 'nothing'}  {slot.message}"
        )
    print(f"{len(kills)} kills: {dict(Counter(kill.victim for kill in kills))}")
    print(f"{len(slots)} slots: {dict(Counter(slot.state for slot in slots))}")


if __name__ == "__main__":
    sys.exit(main())
