"""The confidence in a translation: the probability that it is no bad one, from its mean log-probability.

Why: the log-probability of a model orders its translations, but means something else for each model. A
version carries a calibration, which `evaluate` fits on the validation set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

FILE = "confidence.json"  # in a registered model


class Calibration(NamedTuple):
    """A logistic curve (Platt 1999) over the mean log-probability of a token."""

    slope: float
    intercept: float
    bad_below: float  # sentence chrF against the reference; a translation below it is bad

    def confidence(self, mean_log_probability: float) -> float:
        """The probability that a translation is no bad one."""
        exponent = self.slope * mean_log_probability + self.intercept
        return 1 / (1 + math.exp(-max(min(exponent, 700.0), -700.0)))


def read(folder: Path) -> Calibration | None:
    """The calibration of a model folder; None if it has none, as in versions of earlier releases."""
    if not (path := folder / FILE).is_file():
        return None
    return of_record(json.loads(path.read_text("utf-8")))


def of_record(record: Mapping[str, Any]) -> Calibration | None:
    """The calibration in a record of `evaluate`, which may have none."""
    found = record.get("calibration")
    return Calibration(*(float(found[name]) for name in Calibration._fields)) if found else None
