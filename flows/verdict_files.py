"""The files of a verdict in reports/: evidence, verdict, page and card, which belong together.

Why: DVC does not track them, but restores other models' outputs beside them, and a process that is killed may
leave some of them unwritten, or not yet in the model's MLflow run.
"""

from __future__ import annotations

import json
from typing import Any

from flows import console
from flows.dvc_runner import call
from flows.stage_errors import StageError
from flows.verdict import Verdict
from seq2seq.common import paths
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.files import write_json
from seq2seq.gate import policy
from seq2seq.tracking import promotions, runs
from seq2seq.tracking.registry import Version

FILES = (paths.EVIDENCE, paths.VERDICT, paths.REPORT, paths.CARD)


def ensure_consistent(version: Version, verdict: Verdict) -> tuple[policy.Criterion, ...]:
    """Make the files of a verdict those of this version, and publish them; returns the verdict's criteria.

    DVC may have restored another model's outputs, and the process that judged may have been killed.
    """
    _repair(version, verdict)
    return tuple(policy.Criterion(**criterion) for criterion in _read_verdict().get("criteria", ()))


def _read_verdict() -> dict[str, Any]:
    """reports/verdict.json; empty if it is missing or damaged."""
    try:
        found: dict[str, Any] = json.loads(paths.VERDICT.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return policy.with_outcome(found)


def _repair(version: Version, verdict: Verdict) -> None:
    found = _read_verdict()
    given = {version.tags.get(tag) for tag in (promotions.WHEN, promotions.PUBLISHED)} - {None}
    ours = (found.get("name"), found.get("version")) == (version.name, version.version)
    lost = promotions.PUBLISHED in version.tags and not paths.EVIDENCE.is_file()
    if not ours or found["when"] not in given or lost:
        for path in FILES:
            path.unlink(missing_ok=True)
        try:
            if promotions.PUBLISHED in version.tags:
                promotions.restore_files(version, paths.REPORTS)
        except (TransientError, UserError, OSError) as error:
            _warn(f"the evidence about version {version.version} is not fetched: {error}")
            return
        if not paths.VERDICT.is_file():
            write(verdict)
            publish(version, verdict.when)
    elif (verdict.outcome == "unchanged") != (found["outcome"] in ("unchanged", *promotions.MOVES)):
        # Rolled back or promoted since: the figures stay, the outcome is another.
        write(verdict, criteria=found["criteria"], seconds=found["seconds"])
        publish(version, verdict.when)
    elif version.tags.get(promotions.PUBLISHED) != found["when"] or _newly_accepted(version):
        publish(version, found["when"])


def _newly_accepted(version: Version) -> bool:
    """Whether a limit was accepted for this corpus or model after the files were published."""
    try:
        return bool(runs.missing_acceptances(version.run_id))
    except (TransientError, UserError) as error:
        _warn(f"accepted limits are not compared with MLflow's record: {error}")
        return False


def publish(version: Version, when: str) -> None:
    """Write page and card, and log all files to the model's MLflow run; failures are warnings."""
    for path in (paths.REPORT, paths.CARD):
        path.unlink(missing_ok=True)
    try:
        call("promote", "seq2seq.report.page", [], console.current.get().print)
    except StageError as error:
        _warn(f"there is no report: {error.message}")
    try:
        promotions.publish(version, FILES, when)
    except (TransientError, UserError, OSError) as error:
        _warn(f"the report is not in MLflow yet, the next run tries again: {error}")


def write(verdict: Verdict, **kept: Any) -> None:
    """Replace reports/verdict.json, with some facts `kept` from the one before."""
    write_json(paths.VERDICT, verdict.facts() | kept)


def _warn(text: str) -> None:
    console.current.get().print(f"warning: {text}")
