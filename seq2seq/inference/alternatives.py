"""Other translations of a text, from the hypotheses of its sentences.

Why: a person who corrects a translation often finds the right one among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from seq2seq.inference.hypothesis import Hypothesis
from seq2seq.inference.translation import combined_score

Chosen = Sequence[Hypothesis | None]  # a hypothesis of each sentence of a text; None of an empty one


class Alternative(NamedTuple):
    """Another translation of a text."""

    text: str
    score: float  # log-probability by length^length_penalty
    confidence: float | None  # the probability that it is no bad one; None without a calibration


def of_text(
    found: Sequence[Sequence[Hypothesis]],
    join: Callable[[Chosen], str],
    length_penalty: float,
    confidence: Callable[[float], float | None],
    known: str,
    count: int,
) -> list[Alternative]:
    """At most `count` translations of a text that differ from the `known` one, by falling score.

    `found` has the hypotheses of each sentence, the best first; `join` makes a text of one of each, and
    `confidence` is that of a mean log-probability. Each alternative has another hypothesis of one sentence.
    """
    best = [hypotheses[0] if hypotheses else None for hypotheses in found]
    candidates = []
    for place, hypotheses in enumerate(found):
        for hypothesis in hypotheses:
            chosen = [*best[:place], hypothesis, *best[place + 1 :]]
            candidates.append((combined_score([h for h in chosen if h], length_penalty), chosen))
    candidates.sort(key=lambda candidate: candidate[0], reverse=True)
    alternatives: list[Alternative] = []
    seen = {known}
    for score, chosen in candidates:
        if len(alternatives) == count:
            break
        text = join(chosen)
        if text not in seen:
            seen.add(text)
            mean = combined_score([h for h in chosen if h], 1.0)
            alternatives.append(Alternative(text, score, confidence(mean)))
    return alternatives
