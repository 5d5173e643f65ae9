"""Detects texts unlike the training data: in capitals, in another script, of unknown words.

Why: a model translates such a text as fluently as any other, and mostly wrongly. The command line, Python
and a served version share these rules, so that they warn of the same texts.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from types import FrameType
from typing import Any

from seq2seq.data.vocabulary import Vocabulary
from seq2seq.data.words import WRITTEN_IN, is_unspaced, script, words

MOSTLY = 0.5  # above this share of unknown words, or of letters in another script, a text is in doubt
CAPITALS = 0.9  # the share of capitals among the letters that have two cases
FEWEST_CASED = 8  # letters with two cases; fewer may be an abbreviation
RARE_SCRIPT = 0.01  # of the known words; a script that begins fewer belongs to a few names
LETTERS = 150  # words of one letter (with marks) sufficient for a script without spaces; Thai has hundreds
MAX_WARNED = 1000  # stored warnings, which are not shown again


class TextWarning(UserWarning):
    """A text is unlike the training data."""


class Warnings:
    """As `warnings.warn`, but with a registry of its own, of limited size.

    `warnings.warn` stores every message in the caller's module forever, which leaks memory if each call has
    other texts.
    """

    def __init__(self) -> None:
        self.shown: dict[Any, Any] = {}  # recent ones, in the format of the warnings module

    def warn(self, message: str, caller: FrameType) -> None:
        """Warn with TextWarning at the caller's line."""
        if len(self.shown) >= MAX_WARNED:
            self.shown.clear()
        module = caller.f_globals.get("__name__")
        warnings.warn_explicit(
            message, TextWarning, caller.f_code.co_filename, caller.f_lineno, module, self.shown
        )


class Doubts:
    """Compares texts with the source words of training, if they were stored, and with the vocabulary."""

    def __init__(self, vocabulary: Vocabulary, known: frozenset[str] | None) -> None:
        self._vocabulary = vocabulary
        self._known = known

    def of(self, text: str) -> list[str]:
        """The reasons for doubt; empty for a text like the training data."""
        reasons = []
        if in_capitals(text) and not self._has_capitals:
            reasons.append("it is in capitals, which are rare in the training data")
        if self._known is not None:
            found = [word for word in words(text) if not word.isnumeric()]
            unknown = sum(word not in self._known for word in found)
            scripts = Counter(filter(None, map(script, text)))
            foreign = {name: count for name, count in scripts.items() if name not in self._scripts}
            if sum(foreign.values()) > MOSTLY * scripts.total():
                names = ", ".join(sorted(foreign)), ", ".join(sorted(self._scripts))
                reasons.append("it is written in {}, the training source in {}".format(*names))
            elif unknown > MOSTLY * len(found):
                reasons.append(f"{unknown} of its {len(found)} words are not in the training data")
        return reasons

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that are not in the training data; none if its words were not stored."""
        return [word for word in words(text) if self._known is not None and word not in self._known]

    @cached_property
    def _scripts(self) -> frozenset[str]:
        """The scripts of the training source; the scripts of one language count together.

        In a script without spaces each letter is one word: in Japanese, fewer than two hundred kana are
        counted beside thousands of Han and Latin words, though kana are the most frequent script.
        """
        firsts = [word[0] for word in self._known or () if word]
        counts = Counter(filter(None, map(script, firsts)))
        unspaced = {script(letter) for letter in firsts if is_unspaced(letter)}
        least = RARE_SCRIPT * counts.total()
        found = {
            name for name in counts if counts[name] >= (min(least, LETTERS) if name in unspaced else least)
        }
        for together in WRITTEN_IN.values():
            shares = {name: counts[name] for name in together if name in counts}
            own = sum(count for name, count in shares.items() if name != "Han")  # Han alone may be Chinese
            if shares.keys() & found and own >= RARE_SCRIPT * sum(shares.values()):
                found |= shares.keys()
        return frozenset(found)

    @cached_property
    def _has_capitals(self) -> bool:
        """Whether the vocabulary ignores case, or most of its pieces are in capitals."""
        if self._vocabulary.normalise("AB") == self._vocabulary.normalise("ab"):
            return True
        pieces = self._vocabulary.pieces(list(range(self._vocabulary.size)))
        cased = [piece for piece in pieces if sum(map(str.isalpha, piece)) > 1 and not piece.startswith("<")]
        return sum(map(str.isupper, cased)) > sum(map(str.islower, cased))


def in_capitals(text: str) -> bool:
    """Whether a text of several words is in capitals, like a heading."""
    cased = [character for character in text if character.lower() != character.upper()]
    return len(cased) >= FEWEST_CASED and sum(map(str.isupper, cased)) >= CAPITALS * len(cased)


def summary(reasons: Iterable[tuple[str, list[str]]], shown: int = 3) -> str:
    """One line with the names of texts and their reasons, of which the first `shown` are listed."""
    found = [f"{name}: {'; '.join(why)}" for name, why in reasons if why]
    return "; ".join(found[:shown]) + (f"; and {len(found) - shown} more" if len(found) > shown else "")
