"""Fits the confidence in translations on one set, and measures on another how many bad ones it finds.

Why: a person reviews the least confident translations first; the share of bad ones among them is the use of
a confidence. Fitted and measured on the same sentences, it would be too good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seq2seq.evaluation.scores import DIGITS, sentence_chrf
from seq2seq.inference.confidence import Calibration
from seq2seq.inference.translation import Translation

BAD = 50.0  # chrF: below it most of a sentence is wrong
WORST = 0.05  # of a better model the worst translations count as bad
FEWEST = 10  # bad and good translations without which nothing is fitted
REVIEWED = (5, 10, 20)  # per cent of the translations
STEPS = 100
Values = npt.NDArray[np.float64]


class Judged(NamedTuple):
    """Translations with their mean log-probability and chrF."""

    logs: Values
    chrf: Values


def judge(found: Sequence[Translation], references: Sequence[str]) -> Judged:
    """Log-probability and chrF of each translation; those of empty texts are left out."""
    pairs = [(t, r) for t, r in zip(found, references, strict=True) if t.mean_log_probability is not None]
    logs = [t.mean_log_probability for t, _ in pairs]
    return Judged(np.array(logs, float), np.array([sentence_chrf(t.text, r) for t, r in pairs], float))


def record(name: str, fitted: Judged, measured_name: str, measured: Judged) -> dict[str, Any]:
    """The content of reports/confidence.json: a calibration, if there can be one, and its use."""
    bad_below = threshold(fitted.chrf)
    calibration = fit(fitted.logs, fitted.chrf < bad_below, bad_below)
    bad = measured.chrf < bad_below
    return {
        "calibration": None if calibration is None else calibration._asdict(),
        "bad_below": bad_below,
        "fitted": {"set": name, "sentences": len(fitted.logs), "bad": int((fitted.chrf < bad_below).sum())},
        "measured": {
            "set": measured_name,
            "sentences": len(bad),
            "bad": int(bad.sum()),
            "auc": auc(measured.logs, bad),
            "caught": {str(share): caught(measured.logs, bad, share / 100) for share in REVIEWED},
            "calibration_error": None if calibration is None else error(calibration, measured.logs, bad),
        },
    }


def threshold(chrf: Values) -> float:
    """The chrF below which a translation is bad: BAD, or that of the worst of a better model."""
    return round(max(BAD, float(np.quantile(chrf, WORST))), DIGITS) if len(chrf) else BAD


def fit(logs: Values, bad: npt.NDArray[np.bool_], bad_below: float = BAD) -> Calibration | None:
    """The logistic curve of being good; None if there are too few bad or good translations.

    Newton's method with Platt's targets, which keep the curve finite where the classes are separate.
    """
    goods, bads = int((~bad).sum()), int(bad.sum())
    if min(goods, bads) < FEWEST:
        return None
    targets = np.where(bad, 1 / (bads + 2), (goods + 1) / (goods + 2))
    centre, spread = logs.mean(), max(logs.std(), 1e-9)
    inputs = np.stack([(logs - centre) / spread, np.ones_like(logs)], axis=1)
    weights = np.array([0.0, np.log((goods + 1) / (bads + 1))])
    for _ in range(STEPS):
        predicted = 1 / (1 + np.exp(-np.clip(inputs @ weights, -500, 500)))
        gradient = inputs.T @ (predicted - targets)
        hessian = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        weights -= step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-9))
        if np.abs(step).max() < 1e-8:
            break
    slope, intercept = weights[0] / spread, weights[1] - weights[0] * centre / spread
    return Calibration(round(float(slope), 6), round(float(intercept), 6), bad_below)


def auc(logs: Values, bad: npt.NDArray[np.bool_]) -> float | None:
    """The probability that a bad translation is less confident than a good one; None without either."""
    bads, goods = int(bad.sum()), int((~bad).sum())
    if not bads or not goods:
        return None
    _, group, sizes = np.unique(-logs, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[group]  # equal values have the mean of their ranks
    return round(float((ranks[bad].sum() - bads * (bads + 1) / 2) / (bads * goods)), DIGITS)


def caught(logs: Values, bad: npt.NDArray[np.bool_], share: float) -> float | None:
    """The share of the bad translations among the least confident `share` of all; None without bad ones."""
    if not bad.any():
        return None
    reviewed = np.argsort(logs, kind="stable")[: int(np.ceil(share * len(logs)))]
    return round(float(bad[reviewed].sum() / bad.sum()), DIGITS)


def error(calibration: Calibration, logs: Values, bad: npt.NDArray[np.bool_], bins: int = 10) -> float:
    """The mean difference between confidence and share of good translations, in bins of equal size."""
    confidence = np.array([calibration.confidence(log) for log in logs])
    parts = np.array_split(np.argsort(confidence, kind="stable"), bins)
    gaps = [
        len(rows) * abs(float((~bad[rows]).mean() - confidence[rows].mean())) for rows in parts if len(rows)
    ]
    return round(sum(gaps) / max(len(logs), 1), DIGITS)


def describe(record: Mapping[str, Any]) -> str:
    """A line on the use of the confidence."""
    of, fitted = record["measured"], record["fitted"]
    state = "calibrated" if record["calibration"] else "not calibrated, too few bad or good translations"
    line = (
        f"confidence: {state} on {fitted['set']} ({fitted['bad']:,} of {fitted['sentences']:,} below chrF "
        f"{record['bad_below']:.0f})"
    )
    if of["auc"] is None:
        return f"{line}; {of['bad']:,} bad in {of['set']}"
    shares = ", ".join(
        f"{100 * found:.0f} % in the least confident {n} %" for n, found in of["caught"].items()
    )
    return f"{line}; of {of['bad']:,} bad in {of['set']} {shares}; AUC {of['auc']:.2f}"
