"""Before a training: the corpus against that of the champion, and the limit `promote.max_drift`.

Why: the limit belongs to the policy of promotion, so that changing it trains nothing again; the check comes
before the costly work.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from prefect.artifacts import create_table_artifact

from flows.child import PrintLine
from flows.dvc_runner import call
from flows.stage_errors import QualityStageError, StageError
from seq2seq.common import acceptance, params, paths
from seq2seq.common.errors import Figure
from seq2seq.common.files import write_json
from seq2seq.common.masking import mask

PATIENCE = 300.0  # seconds


def check(stage: str, accept: str, print_line: PrintLine) -> None:
    """Compare, show and judge; raises QualityStageError in the name of the stage that is about to run.

    `accept` is the reason to let an exceeded limit pass. A comparison that fails is a warning.
    """
    try:
        call(stage, "seq2seq.report.drift", [], print_line, PATIENCE)
        found: dict[str, Any] = json.loads(paths.DRIFT.read_text(encoding="utf-8"))
    except (StageError, OSError, ValueError) as error:
        if getattr(error, "kind", "") == "interrupted":
            raise
        print_line(f"warning: the corpus is not compared with the champion's: {error}")
        return
    _show(found)
    worst, limit = found["largest"], params.load().promote.max_drift
    if limit is None or worst is None or worst["divergence"] <= limit or found["accepted"]:
        return
    figure = Figure(
        f"the divergence of {worst['name']} from the corpus of version {found['champion']}",
        f"{worst['divergence']:.2f}",
        f"{limit:.2f}",
        "promote.max_drift",
        f"see {paths.DRIFT}; if the new corpus is right, raise promote.max_drift",
    )
    if not accept:
        message = f"{figure}: {worst['change']}; {figure.remedy}"
        raise QualityStageError(stage, message, figure)
    write_json(paths.DRIFT, found | {"accepted": [acceptance.record(stage, figure, accept)]})
    print_line(acceptance.describe(stage, figure, accept))


def _show(found: dict[str, Any]) -> None:
    """The comparison as a table on Prefect's page."""
    keys = ("name", "divergence", "change")
    rows = [{key: mask(str(move[key])) for key in keys} for move in found["moves"]]
    about = f"against version {found['champion']}" if rows else found["note"]
    with suppress(Exception):  # a server that is away stops no training
        create_table_artifact(rows, key="drift", description=mask(about))
