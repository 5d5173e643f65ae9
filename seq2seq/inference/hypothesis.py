"""A translation found by a search, as ids.

Why: every search gives this, with PyTorch or without.
"""

from __future__ import annotations

from typing import NamedTuple

NO_NUMBERS = "the model's scores are no numbers: its weights are damaged, or were never trained"
ENDED_SHARE = 1 / 8  # of greedy search's batch: this many ended sentences are removed together


class Hypothesis(NamedTuple):
    """A translation found by a search."""

    ids: list[int]  # without bos and eos
    log_probability: float  # natural logarithm, summed over the tokens
    ended: bool  # with eos, which is then part of log_probability; else cut at max_length

    def score(self, length_penalty: float) -> float:
        """log p / length^penalty, eos included in length (0: no penalty, 1: the mean per token)."""
        return float(self.log_probability / max(len(self.ids) + self.ended, 1) ** length_penalty)


def backtrace(back_pointers: list[tuple[list[int], list[int]]], row: int) -> list[int]:
    """The words that lead to a row of the last step; a step has the previous row and the word of each row."""
    ids = []
    for row_R, word_R in reversed(back_pointers):
        ids.append(word_R[row])
        row = row_R[row]
    return ids[::-1]
