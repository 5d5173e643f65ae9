"""A translation with score, pieces and attention; combines the translations of sentences.

Why: a text of several sentences has one score and one attention matrix, as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seq2seq.inference.hypothesis import Hypothesis


class Translation(NamedTuple):
    """A translation with its score, pieces and attention."""

    text: str
    score: float  # log-probability by length^length_penalty
    source_pieces: list[str]  # ends with </s>
    target_pieces: list[str]  # ends with </s>
    attention_TS: npt.NDArray[np.float32] | None  # a row for each target piece; None without attention
    splits: int = 0  # divisions of sentences that are too long for the model
    confidence: float | None = None  # the probability that it is no bad one; None without a calibration
    mean_log_probability: float | None = None  # of a token; None of an empty text


def combined_score(hypotheses: Sequence[Hypothesis], length_penalty: float) -> float:
    """The score of sentences as of one: summed log-probabilities by summed lengths^penalty."""
    length = sum(len(h.ids) + h.ended for h in hypotheses)
    return float(sum(h.log_probability for h in hypotheses) / max(length, 1) ** length_penalty)


def concatenated(found: Sequence[Translation]) -> Translation:
    """Translations of sentences as one: each attends to its own source, and one </s> ends the whole.

    The weight of a sentence's own </s> is moved to that of the whole, so that each row still sums to 1.
    """
    if len(found) < 2:
        return found[0] if found else Translation("", 0.0, [], [], None)
    source = [piece for t in found for piece in t.source_pieces[:-1]] + ["</s>"]
    target = [piece for t in found for piece in t.target_pieces[:-1]] + ["</s>"]
    text = " ".join(t.text for t in found)
    blocks = [t.attention_TS for t in found if t.attention_TS is not None]
    if len(blocks) < len(found):
        return Translation(text, 0.0, source, target, None)
    attention_TS = np.zeros((len(target), len(source)), np.float32)
    row = column = 0
    for block_TS in blocks:
        rows, columns = block_TS.shape[0] - 1, block_TS.shape[1] - 1
        attention_TS[row : row + rows, column : column + columns] = block_TS[:-1, :-1]
        attention_TS[row : row + rows, -1] = block_TS[:-1, -1]
        row, column = row + rows, column + columns
    attention_TS[-1, column - columns : column] = blocks[-1][-1, :-1]
    attention_TS[-1, -1] = blocks[-1][-1, -1]
    return Translation(text, 0.0, source, target, attention_TS)
