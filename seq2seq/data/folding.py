"""Folds texts to their letters, the form in which sentences are compared for contamination.

Why: case, punctuation, spaces, the digits of a number and the Unicode form do not make a new sentence. Texts
are folded together, as one array of code points: one by one it takes ten times as long.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from seq2seq.data.corpus import INVISIBLE, LetterTable, code_points, compatible, lines, normalise

WIDE, CASED, NONE = 1 << 30, 1 << 29, 0  # in the table: written twice, not in one case, left out


def fold(text: str) -> str:
    """The letters of a text in one case and form, each number as one 0; if it has none, all characters.

    A syllable or ideograph is doubled, because it carries more than a letter.
    """
    return fold_all([text])[0]


def fold_all(texts: Sequence[str]) -> list[str]:
    """The folded form of each text."""
    if not texts:
        return []
    joined = lines(texts)
    if not joined.isascii():
        joined = compatible(joined)
    letters = _folded.look_up(code_points(joined))
    if (letters & CASED).any():  # not of normalised texts
        letters = _folded.look_up(code_points(joined.casefold()))
    letters = letters[letters != NONE]
    if (wide := letters & WIDE).any():
        letters = np.repeat(letters & ~WIDE, 1 + (wide != 0))
    joined = letters.astype(np.uint32).tobytes().decode("utf-32-le", "surrogatepass")
    if "00" in joined:
        joined = re.sub("00+", "0", joined)
    if not joined.isascii():
        joined = compatible(joined)  # letters and marks may now compose
    folded = zip(joined.split("\n"), texts, strict=True)
    return [key if key.strip("0") else normalise(text) for key, text in folded]


def _fold(letter: str) -> int:
    """The entry of the table for a character."""
    if letter.casefold() != letter:
        return CASED
    category = unicodedata.category(letter)
    if category == "Nd":
        return ord("0")
    if letter == "\n":  # stands between two texts
        return ord(letter)
    if INVISIBLE.match(letter) or not (category[0] in "LM" or category in ("Nl", "No")):
        return NONE  # marks, half of the characters of Hindi, stay
    return ord(letter) | (WIDE if unicodedata.east_asian_width(letter) == "W" else 0)


_folded = LetterTable(_fold)
