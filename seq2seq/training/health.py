"""Limits of a training in progress: a loss that is a number, a model that learns, a speed that lasts.

Why: a training on damaged data or with a wrong learning rate is stopped before its costly rest. Whether the
model learns is a limit of params.yaml. The limit of the speed is an environment variable: the speed
belongs to the machine and changes no result.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import cached_property

import numpy as np

from seq2seq.common.errors import Figure, QualityError, UserError
from seq2seq.common.schema import Train as Settings
from seq2seq.data.tokens import TokenSplit

Exceeded = Callable[[QualityError], None]  # of a limit: raises, or records that it is accepted
MIN_SPEED = "SEQ2SEQ_MIN_SPEED"  # share of the training's own fastest stretch; unset: no limit

# With several processes one alone may be slow; all stop together.
OTHER_RANK = QualityError(
    Figure(
        "the speed of training", "low at another rank", "its own share", MIN_SPEED, "see that rank's machine"
    )
)


class Health:
    """The checks of one training; each returns the failure, or None."""

    def __init__(self, settings: Settings, size: int, train: TokenSplit, validation: TokenSplit) -> None:
        self._settings, self._size = settings, size
        self._train, self._validation = train, validation
        self._fastest = 0.0
        self._share = min_speed()

    @cached_property
    def frequency_loss(self) -> float:
        """The validation loss per token by the frequencies of pieces alone."""
        return frequency_loss(self._train, self._validation, self._size)

    def learning(self, validations: int, best_loss: float) -> QualityError | None:
        """After `learns_within` validations: whether the best is below the loss of frequencies alone."""
        within = self._settings.learns_within
        if within is None or validations < within or best_loss < self.frequency_loss:
            return None
        remedy = (
            "see reports/profile.json and the pairs: are the sides translations of each other? Or lower "
            f"train.learning_rate ({self._settings.learning_rate})"
        )
        value, limit = _perplexity(best_loss), _perplexity(self.frequency_loss)
        name = f"the best validation perplexity after {validations} validations"
        return QualityError(
            Figure(
                name, value, f"less than {limit}, that of frequencies alone", "train.learns_within", remedy
            )
        )

    def speed(self, rate: float) -> QualityError | None:
        """Whether the target tokens per second since the last validation have collapsed."""
        share = self._share
        failure = None
        if share is not None and rate < share * self._fastest:
            failure = QualityError(
                Figure(
                    "the speed of training",
                    f"{rate:,.0f} target tokens/s",
                    f"{share:.0%} of its own {self._fastest:,.0f}",
                    MIN_SPEED,
                    "end other work on this machine, or run elsewhere: training resumes from its checkpoint",
                )
            )
        self._fastest = max(self._fastest, rate)
        return failure


def finite(loss: float, update: int, settings: Settings) -> QualityError | None:
    """Whether the summed loss is a number; nobody can accept another one."""
    if math.isfinite(loss):
        return None
    remedy = (
        f"lower train.learning_rate ({settings.learning_rate}) or train.clip_norm ({settings.clip_norm}), "
        "or raise train.warmup_updates"
    )
    key = "train.learning_rate"
    figure = Figure("the training loss", str(loss), "finite numbers", key, remedy, acceptable=False)
    return QualityError(figure, f"the loss is {loss} near update {update:,}: {remedy}")


def frequency_loss(train: TokenSplit, validation: TokenSplit, size: int) -> float:
    """Cross-entropy of validation's targets, ends of sentences included, by train's counts plus one."""
    counts, found = (split.counts("target", size) for split in (train, validation))
    # The end of a sentence is no piece of the split: it is the last of `size` + 1 categories.
    counts, found = (np.append(n, len(s)) for n, s in ((counts, train), (found, validation)))
    chances = (counts + 1) / (counts.sum() + len(counts))
    return float(-(found * np.log(chances)).sum() / max(found.sum(), 1))


def stop(failure: QualityError) -> None:
    """The default for a failure: raise it."""
    raise failure


def min_speed() -> float | None:
    """The share in SEQ2SEQ_MIN_SPEED; raises UserError for another value."""
    text = os.environ.get(MIN_SPEED, "").strip()
    if not text:
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UserError(f"{MIN_SPEED}={text}: must be a share from 0 to 1, e.g. 0.2")
    return share


def _perplexity(loss: float) -> str:
    return f"{math.exp(loss):,.2f}" if loss < 50 else str(loss)
