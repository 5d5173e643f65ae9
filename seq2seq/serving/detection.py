"""Identifies the language of a text, among those of the model, by py3langid.

Why: clients detect first, then translate. The probabilities are those among 140 languages, so that a text in
neither language of the model has a low one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import cache

_LOCK = threading.Lock()  # the identifier keeps the state of one text


def base(tag: str) -> str:
    """The language of a tag: zh of zh-Hant-TW."""
    return tag.casefold().replace("_", "-").partition("-")[0]


def detect(text: str, languages: Iterable[str]) -> list[dict[str, str | float]]:
    """The languages with their probability in per cent, the likeliest first. Takes a second at first use."""
    from seq2seq.data import identify  # loads numerical libraries

    with _LOCK:
        ranked = dict(identify.identifier().rank(text))
    found = [(100 * float(ranked.get(base(tag), 0.0)), tag) for tag in languages]
    found.sort(key=lambda pair: -pair[0])
    return [{"confidence": round(confidence, 1), "language": tag} for confidence, tag in found]


@cache
def name(tag: str) -> str:
    """The English name of a language; its tag if it has none here."""
    from seq2seq.data.language_names import TABLE

    for line in TABLE.strip().split("\n"):
        code, _, names, _ = line.split("|")
        if code == base(tag):
            return names.partition(",")[0]
    return tag
