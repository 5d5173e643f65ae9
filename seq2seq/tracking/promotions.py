"""The promotion log: versions promoted, approved, kept, rejected, waiting, forced, rolled back, and by whom.

Why: an alias shows only the version that serves now. Each decision is an entry, a run of the experiment
NAME-promotions on the MLflow server, written before the aliases move and closed afterwards. If the process
dies in between, the entry stays open; the next decision completes or cancels it. Nothing is deleted.

MLflow has no compare-and-swap of aliases, and a file lock holds on one host. Between hosts the open entries
decide: each process writes its own before it looks for others, and moves nothing if it finds one.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seq2seq.common import paths
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.files import replacing
from seq2seq.tracking import registry, runs
from seq2seq.tracking.client import connect, get_or_none, translate_errors
from seq2seq.tracking.registry import CHAMPION, PREVIOUS, VERDICT, WAITING
from seq2seq.tracking.run import Run

ROLLED_BACK, RESTORED = "rolled back", "restored"  # the former champion, and the version that replaces it
APPROVED, SUPERSEDED = "approved", "superseded"  # a version that waited, and was replaced by a later one
MOVES = ("promoted", "forced", APPROVED, ROLLED_BACK)  # outcomes that change the champion
REPLACES = (WAITING, "promoted", "forced")  # outcomes after which no earlier version waits
SERVED = (*MOVES, RESTORED)  # verdicts of a version that is champion, or was
# Tags of a version beside the verdict. JUDGED: digest of the verdict's inputs; PUBLISHED and NOTIFIED: `when`
# of the verdict that is published with the model's run, and of the one that was sent as a notice
# (NOTIFIED_BEFORE, OUTCOME_BEFORE: names of these tags that earlier versions of this project wrote).
REASON, WHEN = "promotion.reason", "promotion.when"
JUDGED, PUBLISHED, NOTIFIED = "promotion.judged", "promotion.published", "promotion.notified"
NOTIFIED_BEFORE, OUTCOME_BEFORE = "promotion.told", "what"
NOBODY = "none"  # in the log: no champion
LONGEST = 1000  # characters of a reason: a tag has at most 8,000 in some of MLflow's databases
FOLDER = "promotion/{0.name}-{0.version}"  # of a model's run: the files of the version's verdict
OPEN = "attributes.status = 'RUNNING'"
STATES = {"FINISHED": "done", "RUNNING": "open"}  # any other is CANCELLED
CANCELLED = "cancelled"
GRACE, POLL = (
    60.0,
    1.0,
)  # seconds: an open entry of another host is left to that host; between two looks at it


class RaceError(TransientError):
    """Another host moved the champion at the same time: nothing was moved here."""


@dataclass(frozen=True)
class Entry:
    """A decision: `version` was judged against `champion`, or replaced it."""

    name: str
    outcome: str
    champion: str | None
    version: str
    reason: str
    when: str  # ISO 8601, UTC
    who: str  # user@host
    judged: str = ""  # digest of the verdict's inputs; empty: judge again
    state: str = "open"  # open | done | cancelled
    run_id: str = ""


def checked(reason: str) -> str:
    """A reason as one line; raises UserError if it is empty, too long or not UTF-8."""
    line = " ".join(reason.split())
    if not line:
        raise UserError("the reason is empty: it is required for the log")
    if len(line) > LONGEST:
        raise UserError(f"the reason has {len(line):,} characters, at most {LONGEST:,} are allowed")
    try:
        line.encode()
    except UnicodeEncodeError:
        raise UserError(f"the reason {reason!r} is not valid UTF-8") from None
    return line


def now_and_here() -> tuple[str, str]:
    """The fields `when` and `who` of an entry."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = str(os.getuid())
    return datetime.now(UTC).isoformat(timespec="seconds"), f"{user}@{socket.gethostname()}"


def apply(decision: Entry, verdict: Mapping[str, Any]) -> None:
    """Log a decision and apply it; `verdict` is kept with it. The caller holds the promotion lock.

    An earlier version that waits for approval is superseded first, by an entry of its own.
    Raises RaceError if another host is about to move the champion, or has done so; TransientError if the
    server fails: `recover` then completes or cancels the entry.
    """
    if decision.outcome in REPLACES:
        waiting = registry.version_by_alias(decision.name, WAITING)
        if waiting is not None and waiting.version != decision.version:
            reason = f"version {decision.version} is {decision.outcome} in its place"
            about = (decision.champion, waiting.version, reason, decision.when, decision.who)
            superseded = Entry(decision.name, SUPERSEDED, *about)
            apply(superseded, asdict(superseded))
    tags = {
        **{
            "name": decision.name,
            "outcome": decision.outcome,
            "to": decision.version,
            "reason": decision.reason,
        },
        **{"from": decision.champion or NOBODY, "when": decision.when, "who": decision.who},
        "judged": decision.judged,
        "mlflow.runName": f"{decision.version} {decision.outcome}",
    }
    with translate_errors():
        experiment = runs.experiment(_log(decision.name))
        run_id = str(connect().create_run(experiment, tags=tags).info.run_id)
        connect().log_text(run_id, json.dumps(verdict, indent=2, ensure_ascii=False), "verdict.json")
    if decision.outcome in MOVES and (reason := _race(decision, run_id)):
        _close(run_id, "KILLED")
        raise RaceError(f"{decision.name}: {reason}; version {decision.version} is not {decision.outcome}")
    _set_aliases_and_tags(decision)
    _close(run_id, "FINISHED")


def _race(decision: Entry, run_id: str) -> str:
    """The reason why another host's decision goes first; empty if there is none.

    Of two hosts at least one sees the other's open entry, or the alias that it has moved.
    """
    for other in _find(decision.name, OPEN):
        if other.run_id != run_id and other.who != decision.who and other.outcome in MOVES:
            return f"{other.who} makes version {other.version} champion at the same time"
    champion = registry.version_by_alias(decision.name, CHAMPION)
    now = champion.version if champion else None
    return "" if now in (decision.champion, decision.version) else f"the champion is version {now} meanwhile"


def recover(name: str) -> list[Entry]:
    """Close open entries: complete those that moved the champion, cancel the others.

    Returns the completed ones. The caller holds the promotion lock, so that those of this user and host are
    of dead processes; one of another host is waited for until it is older than GRACE.
    """
    completed = []
    for entry in reversed(_abandoned(name)):
        champion = registry.version_by_alias(name, CHAMPION)
        gone = registry.get_version(name, entry.version) is None
        if gone or (entry.outcome in MOVES and (champion is None or champion.version != entry.version)):
            _close(entry.run_id, "KILLED")
        else:
            _set_aliases_and_tags(entry)
            _close(entry.run_id, "FINISHED")
            completed.append(entry)
    return completed


def _abandoned(name: str) -> list[Entry]:
    """The open entries, once those of other hosts are closed or too old to be of a running process."""
    ours = now_and_here()[1]
    while True:
        found = list(_find(name, OPEN))
        ages = [
            (datetime.now(UTC) - datetime.fromisoformat(entry.when)).total_seconds()
            for entry in found
            if entry.who != ours
        ]
        if not any(abs(age) < GRACE for age in ages):
            return found
        time.sleep(POLL)


def entries(name: str) -> list[Entry]:
    """All entries of a model, newest first."""
    return list(_find(name))


def notified(tags: Mapping[str, str]) -> bool:
    """Whether a notice about the present verdict of a version with these tags was sent."""
    return tags.get(NOTIFIED, tags.get(NOTIFIED_BEFORE)) == tags.get(WHEN)


def publish(version: registry.Version, files: Iterable[Path], when: str) -> None:
    """Upload the files of a verdict to the run that made the version; describe the version by its card."""
    run = Run(version.run_id)
    if accepted := runs.missing_acceptances(version.run_id):
        run.set_tags(accepted)
    for path in files:
        if path.is_file():
            run.log_artifact(path, FOLDER.format(version))
        if path == paths.CARD and path.is_file():
            place = f"{FOLDER.format(version)}/{path.name} of run {version.run_id}"
            registry.describe(version, path.read_text(encoding="utf-8"), place)
    registry.tag_version(version.name, version.version, {PUBLISHED: when})


def restore_files(version: registry.Version, folder: Path) -> None:
    """Download the published files of a version's verdict into `folder`."""
    with tempfile.TemporaryDirectory() as scratch, translate_errors():
        got = get_or_none(
            lambda: connect().download_artifacts(version.run_id, FOLDER.format(version), scratch)
        )
        # The verdict last: its presence means that the files are complete.
        for path in sorted(
            Path(got).iterdir() if got else (), key=lambda path: path.name == paths.VERDICT.name
        ):
            with replacing(folder / path.name) as draft:
                shutil.copy(path, draft)


def table(found: Iterable[Entry]) -> Iterator[str]:
    """The log as a table: time, outcome, version, author, reason."""
    rows = [("when", "outcome", "version", "who", "reason")]
    for e in found:
        moved = f"{e.champion or NOBODY} -> {e.version}"
        against = f"champion {e.champion}" if e.champion else "no champion"
        version = moved if e.outcome in MOVES else f"{e.version} ({against})"
        outcome = e.outcome if e.state == "done" else f"{e.outcome} ({e.state})"
        rows.append((e.when, outcome, version, e.who, e.reason))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for *cells, reason in rows:
        yield "  ".join([*(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)), reason])


def _set_aliases_and_tags(decision: Entry) -> None:
    """Set the aliases, then the tags; idempotent."""
    name, version = decision.name, decision.version
    left = registry.get_version(name, decision.champion) if decision.champion else None
    if decision.outcome in MOVES:
        registry.set_alias(name, CHAMPION, version)
        if left is not None:
            registry.set_alias(name, PREVIOUS, left.version)
        registry.show_on_model(name, version)
    if decision.outcome == WAITING:
        registry.set_alias(name, WAITING, version)
    else:
        waiting = registry.version_by_alias(name, WAITING)
        if waiting is not None and waiting.version == version:
            registry.delete_alias(name, WAITING)
    tags = {REASON: decision.reason, JUDGED: decision.judged, WHEN: decision.when}
    if decision.outcome != ROLLED_BACK:
        registry.tag_version(name, version, {**tags, VERDICT: decision.outcome})
        return
    registry.tag_version(name, version, {REASON: decision.reason, VERDICT: RESTORED})
    if left is not None:
        registry.tag_version(name, left.version, {REASON: decision.reason, VERDICT: ROLLED_BACK})


def _close(run_id: str, status: str) -> None:
    with translate_errors():
        connect().set_terminated(run_id, status)


def _log(name: str) -> str:
    return f"{name}-promotions"


def _find(name: str, wanted: str = "") -> Iterator[Entry]:
    with translate_errors():
        experiment = connect().get_experiment_by_name(_log(name))
        token = None
        while experiment is not None:
            page = connect().search_runs(
                [experiment.experiment_id],
                wanted,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            for run in page:
                tags = run.data.tags
                yield Entry(
                    name,
                    tags.get("outcome") or tags[OUTCOME_BEFORE],
                    None if tags["from"] == NOBODY else tags["from"],
                    tags["to"],
                    tags["reason"],
                    tags["when"],
                    tags["who"],
                    tags["judged"],
                    STATES.get(run.info.status, CANCELLED),
                    run.info.run_id,
                )
            if not (token := page.token):
                return
