"""What lies in reports/ about a verdict: evidence, verdict, page and card, which belong together.

Why: DVC does not know them, but puts other models' outputs beside them; and who gave a verdict may have been
killed before all of it was written, or kept with the model's run.
"""

from __future__ import annotations

import json
from typing import Any

from flows import console
from flows.dvc_runner import StageError, call
from flows.verdict import Verdict
from seq2seq.common import paths
from seq2seq.common.errors import TransientError, UserError
from seq2seq.gate import policy
from seq2seq.tracking import promotions
from seq2seq.tracking.registry import Version

FILES = (paths.EVIDENCE, paths.VERDICT, paths.REPORT, paths.CARD)


def keep_company(version: Version, standing: Verdict) -> tuple[policy.Criterion, ...]:
    """See to it that what lies in reports/ about a verdict is about this version, and published.

    DVC may have put another model's outputs back, and who gave the verdict may have been killed. Returns
    the criteria by which it was given.
    """
    _put_right(version, standing)
    return tuple(policy.Criterion(**criterion) for criterion in _told().get("criteria", ()))


def _told() -> dict[str, Any]:
    """What lies in reports/ as verdict; nothing if that is damaged."""
    try:
        found: dict[str, Any] = json.loads(paths.VERDICT.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _put_right(version: Version, standing: Verdict) -> None:
    told = _told()
    given = {version.tags.get(tag) for tag in (promotions.WHEN, promotions.PUBLISHED)} - {None}
    ours = (told.get("name"), told.get("version")) == (version.name, version.version)
    lost = promotions.PUBLISHED in version.tags and not paths.EVIDENCE.is_file()
    if not ours or told["when"] not in given or lost:
        for path in FILES:
            path.unlink(missing_ok=True)
        try:
            if promotions.PUBLISHED in version.tags:
                promotions.restore_files(version, paths.REPORTS)
        except (TransientError, UserError, OSError) as error:
            _warn(f"what was found out about version {version.version} is not fetched: {error}")
            return
        if not paths.VERDICT.is_file():
            write(standing)
            publish(version, standing.when)
    elif (standing.what == "unchanged") != (told["what"] in ("unchanged", *promotions.MOVES)):
        # Rolled back or brought back since: the figures are those of then, what they led to is not.
        write(standing, criteria=told["criteria"], seconds=told["seconds"])
        publish(version, standing.when)
    elif version.tags.get(promotions.PUBLISHED) != told["when"]:
        publish(version, told["when"])


def publish(version: Version, when: str) -> None:
    """Page and card, and all of it into the model's MLflow run; a verdict does not fail by its report."""
    for path in (paths.REPORT, paths.CARD):
        path.unlink(missing_ok=True)
    try:
        call("promote", "seq2seq.report.page", [], console.current.get().line)
    except StageError as error:
        _warn(f"there is no report: {error.message}")
    try:
        promotions.publish(version, FILES, when)
    except (TransientError, UserError, OSError) as error:
        _warn(f"the report is not in MLflow yet, the next run tries again: {error}")


def write(verdict: Verdict, **kept: Any) -> None:
    """reports/verdict.json, with some of its facts `kept` from the one before; whole or not at all."""
    facts = verdict.facts() | kept
    draft = paths.VERDICT.with_suffix(".new")
    draft.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(paths.VERDICT)


def _warn(text: str) -> None:
    console.current.get().line(f"warning: {text}")
