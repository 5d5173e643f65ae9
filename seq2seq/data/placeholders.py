"""Spans of a text that a translation repeats unchanged, and the symbols of a vocabulary that stand for them.

Why: a model spells a URL or a code from subwords and makes mistakes in it. A symbol of the vocabulary that
training pairs have on both sides is copied as one word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SYMBOLS = tuple(f"\u27e6{number}\u27e7" for number in range(1, 10))  # those that one sentence may have
# Variables of templates and programs, URLs, e-mail addresses; bounded, so that no text takes quadratic time.
PLACEHOLDER = re.compile(
    r"\{\{.{0,200}?\}\}|\{%.{0,200}?%\}|\$?\{[\w.:!]{0,200}\}|%\(\w+\)[sdifr]|%(?:\d+\$)?[sdifu@](?!\w)|%%"
    r"|(?:https?://|www\.)[^\s<>\"']*[^\s<>\"'.,;:!?)\]}]|(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+"
)
# A number with decimals is left to the model, because languages write decimals differently.
NUMBER_WITH_UNIT = (
    r"(?<![\w.,])\d+[ \u00a0\u202f]?(?:%|\u2030|\u00b0C|\u00b0F|[\u20ac$\u00a3]|[munkcd]?m|[mk]?g|[mc]?l"
    r"|[kMGT]?B|[kMG]?Hz|[kMG]?Wh?|[km]?V|m?A|kJ|m?s|min|px|pt|dpi|km/h)(?!\w)"
)
TAG = r"</?[A-Za-z][\w.:-]*(?:\s[^<>]*)?/?>"
SPAN = re.compile(f"{PLACEHOLDER.pattern}|{TAG}|{NUMBER_WITH_UNIT}|" + "|".join(map(re.escape, SYMBOLS)))


def spans(text: str) -> Iterator[re.Match[str]]:
    """Placeholders, URLs, e-mail addresses, tags and whole numbers with units, in order."""
    return SPAN.finditer(text)
