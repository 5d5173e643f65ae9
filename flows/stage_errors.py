"""Failures of a stage: the class of each error, with its remedy.

Why: DVC's exit status is the same for all failures; retries, exit statuses and alerts depend on the class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seq2seq.common import masking
from seq2seq.common.errors import Figure, QualityError

ACCEPT = "`seq2seq run --accept REASON`"
FINAL = "the champion stays; correct the data or the settings"
REMEDIES = {
    "user": "mend that and run again; finished stages are kept",
    "quality": f"{FINAL}, or let this pass: {ACCEPT}",
    "transient": "this may be temporary: run again later; finished stages are kept",
    "system": "see to the disk, memory or permissions named above and run again",
    "killed": "most often memory ran out: use less (e.g. a smaller train.batch_tokens) and run again",
    "timeout": "give it more time, or less work; a training resumes from its last checkpoint",
    "budget": "the champion serves on and the checkpoint is kept: a run with a larger budget goes on from it",
    "interrupted": "run again: finished stages are kept, a training resumes from its last checkpoint",
    "damaged": "run again: damaged data is removed and made again; see to the disk if it comes back",
    "dvc": "`dvc status` and `dvc repro` show more",
    "bug": "the traceback is above; please report it",
}


class StageError(RuntimeError):
    """A stage that did not end well; `kind` is the class of its error, a key of REMEDIES."""

    def __init__(self, stage: str, kind: str, message: str) -> None:
        message = masking.mask(message)
        super().__init__(f"{stage} ({kind}): {message}")
        self.stage, self.kind, self.message = stage, kind, message

    def __reduce__(self) -> tuple[Any, ...]:
        return StageError, (self.stage, self.kind, self.message)

    @property
    def remedy(self) -> str:
        """The remedy, for a person."""
        return REMEDIES[self.kind]


class DamagedInputError(StageError):
    """A stage whose input was damaged and is removed; the stages `again` make it."""

    KIND = "damaged"

    def __init__(self, stage: str, message: str, again: tuple[str, ...]) -> None:
        super().__init__(stage, self.KIND, message)
        self.again = again

    def __reduce__(self) -> tuple[Any, ...]:
        return DamagedInputError, (self.stage, self.message, self.again)


class QualityStageError(StageError):
    """A stage that stopped at a limit of quality; `figure` names it."""

    KIND = "quality"

    def __init__(self, stage: str, message: str, figure: Figure) -> None:
        super().__init__(stage, self.KIND, message)
        self.figure = figure

    def __reduce__(self) -> tuple[Any, ...]:
        return QualityStageError, (self.stage, self.message, self.figure)

    @property
    def remedy(self) -> str:
        """As for any failure of quality, without acceptance where that is not possible."""
        return super().remedy if self.figure.acceptable else FINAL


def of_record(stage: str, record: Mapping[str, Any]) -> StageError:
    """The failure that a stage recorded in its outcome file."""
    kind, message = record["class"], record["message"]
    if kind == DamagedInputError.KIND:
        return DamagedInputError(stage, message, tuple(record["again"]))
    if kind == QualityStageError.KIND and record.get("figure"):
        return QualityStageError(stage, message, Figure(*record["figure"]))
    return StageError(stage, kind if kind in REMEDIES else "bug", message)


def figure_of(failure: object) -> Figure | None:
    """The figure of a failure of quality; None for any other failure."""
    return failure.figure if isinstance(failure, QualityError | QualityStageError) else None
