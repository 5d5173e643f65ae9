"""Texts unlike those of training: in capitals, in another script, of words never seen.

Why: a model answers such a text as fluently as any other, and mostly wrongly. One place decides, so that the
command line, Python and a served version warn of the same texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property

from seq2seq.data.vocabulary import Vocabulary
from seq2seq.data.words import WRITTEN_IN, is_unspaced, script, words

MOSTLY = 0.5  # the share of unknown words, or of letters in another script, above which a text is in doubt
CAPITALS = 0.9  # the share of capitals among the letters that have two cases
FEWEST_CASED = 8  # letters of two cases; fewer may be an abbreviation
RARE_SCRIPT = 0.01  # a script that begins fewer of the known words is that of a few names
LETTERS = 150  # words of one letter, with its marks, that show a script without spaces; Thai has hundreds


class Doubts:
    """What training knew: its source words, if they were kept, and how its vocabulary writes."""

    def __init__(self, vocabulary: Vocabulary, known: frozenset[str] | None) -> None:
        self._vocabulary = vocabulary
        self._known = known

    def of(self, text: str) -> list[str]:
        """The reasons for doubt, none for a text like those of training."""
        reasons = []
        if in_capitals(text) and not self._has_capitals:
            reasons.append("it is in capitals, which training hardly saw")
        if self._known is not None:
            found = [word for word in words(text) if not word.isnumeric()]
            unknown = sum(word not in self._known for word in found)
            scripts = Counter(filter(None, map(script, text)))
            foreign = {name: count for name, count in scripts.items() if name not in self._scripts}
            if sum(foreign.values()) > MOSTLY * scripts.total():
                names = ", ".join(sorted(foreign)), ", ".join(sorted(self._scripts))
                reasons.append("it is written in {}, the source of training in {}".format(*names))
            elif unknown > MOSTLY * len(found):
                reasons.append(f"training never saw {unknown} of its {len(found)} words")
        return reasons

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that training never saw; none if what it saw was not kept."""
        return [word for word in words(text) if self._known is not None and word not in self._known]

    @cached_property
    def _scripts(self) -> frozenset[str]:
        """The scripts of training; those that one language is written in count together.

        Each letter of a script without spaces counts as one word: fewer than two hundred kana stand beside
        thousands of Han and of Latin words in Japanese, though no other script is more frequent.
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
        """Whether case makes no difference to the vocabulary, or it has learnt capitals mostly."""
        if self._vocabulary.normalise("AB") == self._vocabulary.normalise("ab"):
            return True
        pieces = self._vocabulary.pieces(list(range(self._vocabulary.size)))
        cased = [piece for piece in pieces if sum(map(str.isalpha, piece)) > 1 and not piece.startswith("<")]
        return sum(map(str.isupper, cased)) > sum(map(str.islower, cased))


def in_capitals(text: str) -> bool:
    """Whether a text of several words is written in capitals, as headings are."""
    cased = [character for character in text if character.lower() != character.upper()]
    return len(cased) >= FEWEST_CASED and sum(map(str.isupper, cased)) >= CAPITALS * len(cased)


def summary(reasons: Iterable[tuple[str, list[str]]], shown: int = 3) -> str:
    """One line of texts, by name, and their reasons; the first few in full."""
    found = [f"{name}: {'; '.join(why)}" for name, why in reasons if why]
    return "; ".join(found[:shown]) + (f"; and {len(found) - shown} more" if len(found) > shown else "")
