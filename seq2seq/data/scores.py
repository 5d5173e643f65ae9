"""Scores of the training pairs by a registered model: one float32 a row, and the threshold of `clean`.

Why: a pair whose target is improbable given its source is seldom a translation, whatever its lengths and
scripts. A flat file in the order of the rows is read without memory, from any row on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seq2seq.common.errors import UserError

REASON = "score"  # in reports, of pairs that are dropped
REMEDY = "lower score.min_log_probability or score.worst_share, or set it to null"
FILE, ABOUT = "train.f32", "scores.json"
SCORE = np.dtype("<f4")
BATCH = 10_000  # rows read together

Values = npt.NDArray[np.float32]


def write(folder: Path, values: Values, about: Mapping[str, Any]) -> None:
    """Write the scores of all rows, in order, and `about` them; no values if scoring is off."""
    folder.mkdir(parents=True, exist_ok=True)
    values.astype(SCORE).tofile(folder / FILE)
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def read(folder: Path) -> Values:
    """The scores of all rows, mapped into memory; empty if scoring is off.

    A score is the mean log-probability of the target's tokens, `</s>` included, in nats; NaN for a pair
    that has none, because a side is empty or too long.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{path} is missing: `dvc repro score` makes it")
    return np.memmap(path, SCORE, "r") if path.stat().st_size else np.empty(0, SCORE)


def threshold(values: Values, min_log_probability: float | None, worst_share: float | None) -> float:
    """The score below which a pair is dropped: the higher one of both limits; -inf if there is none.

    `worst_share` counts the scored pairs; of equal scores at the limit none is dropped.
    """
    limits = [-np.inf if min_log_probability is None else min_log_probability]
    scored = values[~np.isnan(values)]
    if worst_share and len(scored):
        place = min(int(worst_share * len(scored)), len(scored) - 1)
        limits.append(float(np.partition(scored, place)[place]))
    return max(limits)


@dataclass(frozen=True)
class Scored:
    """Which rows have a score below the threshold; small, so that worker processes get it by pickle."""

    folder: Path | None  # None: there are no scores, and no row is below
    count: int  # of all training pairs
    least: float

    @classmethod
    def of(
        cls, folder: Path, rows: int, min_log_probability: float | None, worst_share: float | None
    ) -> Scored:
        """The scores in a folder; raises UserError if they are of another number of rows.

        Without a limit they are not read.
        """
        if min_log_probability is None and worst_share is None:
            return cls(None, rows, -np.inf)
        values = read(folder)
        if len(values) not in (0, rows):
            raise UserError(
                f"{folder} has {len(values):,} scores for {rows:,} training pairs: `dvc repro score`"
            )
        least = threshold(values, min_log_probability, worst_share)
        return cls(folder if len(values) else None, rows, least)

    def low(self, start: int, stop: int) -> list[bool]:
        """Whether each row from `start` to `stop`, counted over all training pairs, is below."""
        if self.folder is None:
            return [False] * (stop - start)
        offset = start * SCORE.itemsize
        values = np.fromfile(self.folder / FILE, SCORE, stop - start, offset=offset)
        return [bool(low) for low in values < self.least]  # NaN is not below

    def rows(self, begin: int = 0) -> Iterator[bool]:
        """`low` of each row from `begin` on, in order."""
        for start in range(begin, self.count, BATCH):
            yield from self.low(start, min(start + BATCH, self.count))
