"""Divides a sentence that is too long for the model at the best place near its middle.

Why: a model reads a limited number of tokens and writes a limited number. A divided sentence loses some
context; a refused one loses its translation, and one that is cut loses its end.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from seq2seq.data.words import is_unspaced
from seq2seq.inference.sentences import Sentence

MARGIN = 0.2  # of the length, at either end, where a sentence is not divided at a mark or conjunction
STRONG = re.compile(r"[;:\u2013\u2014](?=\s)|[；：]|\.{3}(?=\s)|…")
WEAK = re.compile(r"[,)\]»”](?=\s)|[，、,]")
BLANK = re.compile(r"\s+")
# Conjunctions of frequent languages: the second part begins with one.
CONJUNCTIONS = frozenset(
    """and or but because which while although when if that so
    und oder aber denn weil dass wenn obwohl sondern während damit
    et ou mais car que qui parce lorsque y o pero porque aunque cuando
    e ma perché quando mas quando en of maar omdat dat terwijl och eller men att som
    i a ale lub że bo który и а но или что если потому когда""".split()
)


def divide(text: str) -> tuple[Sentence, Sentence] | None:
    """Two parts of a sentence with the space between them; None if it has one character.

    The place is, in this order, nearest to the middle: after a semicolon, colon or dash; after a comma or a
    closing bracket; before a conjunction; at a blank; between two letters.
    """
    middle, first, last = len(text) / 2, len(text) * MARGIN, len(text) * (1 - MARGIN)
    for places in (_after(STRONG, text), _after(WEAK, text), _conjunctions(text)):
        inside = [place for place in places if first <= place <= last]
        if inside:
            return _at(text, min(inside, key=lambda place: abs(place - middle)))
    blanks = [found.end() for found in BLANK.finditer(text.rstrip()) if found.start()]
    if blanks:
        return _at(text, min(blanks, key=lambda place: abs(place - middle)))
    letters = [place for place in range(1, len(text)) if not _is_joined(text, place)]
    if not letters:
        return None
    return _at(text, min(letters, key=lambda place: abs(place - middle)))


def _at(text: str, place: int) -> tuple[Sentence, Sentence]:
    left, right = text[:place], text[place:]
    before, after = left.rstrip(), right.lstrip()
    space = left[len(before) :] + right[: len(right) - len(after)]
    return Sentence("", before, True), Sentence(space, after)


def _after(mark: re.Pattern[str], text: str) -> Iterator[int]:
    """The places after a mark that have text on both sides; a mark between digits is part of a number."""
    for found in mark.finditer(text):
        before, after = text[: found.start()], text[found.end() :]
        if before.strip() and after.strip() and not (after[0].isdigit() and before[-1].isdigit()):
            yield found.end()


def _conjunctions(text: str) -> Iterator[int]:
    for found in BLANK.finditer(text):
        word = re.match(r"\w+", text[found.end() :])
        if word and word[0].casefold() in CONJUNCTIONS and text[: found.start()].strip():
            yield found.end()


def _is_joined(text: str, place: int) -> bool:
    """Whether a character belongs to the one before it: a mark, a joiner, or one after a joiner."""
    here, before = text[place], text[place - 1]
    return (
        unicodedata.category(here).startswith("M")
        or "\u200d" in (here, before)
        or (is_unspaced(here) and unicodedata.category(here) == "Lm")
    )
