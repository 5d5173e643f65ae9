"""A text as its sentences, and the blank space between them.

Why: the model learnt from single sentences. The rules (abbreviations, ordinal numbers, marks of some 240
languages) are those of the library sentencex; this module adds line breaks, and keeps every space.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from importlib.metadata import version
from typing import NamedTuple

import sentencex

from seq2seq.data.words import is_east_asian

SPLITTER = "sentencex"
UNDETERMINED = "und"  # BCP 47: the language is not known; the rules of English then apply
MARK = re.compile(r"[^\w\s,'’\"-]")  # what could end a sentence, or a vowel sign
LINE_BREAK = re.compile(r"(\r\n|[\n\r\x0b\x0c\x85\u2028\u2029])")
FEWEST_LETTERS = 2  # "1." and "M." begin a sentence, and are none


class Sentence(NamedTuple):
    """A sentence without outer space, and the space that stands before it."""

    before: str
    text: str


class Sentences(NamedTuple):
    """A text of several sentences: all their parts, in order, make the text again."""

    parts: list[Sentence]
    after: str  # the space behind the last one


def name_and_version() -> str:
    """The library and its version, as a model folder keeps it: another version may split otherwise."""
    return f"{SPLITTER} {version(SPLITTER)}"


def split(text: str, language: str | None) -> Sentences | None:
    """The sentences of a text; None for a text that has but one, or none.

    `language` is a BCP 47 tag, of which the first subtag decides, or None. A line break ends a sentence.
    """
    if not LINE_BREAK.search(text.strip()) and not _has_inner_mark(text):
        return None
    parts: list[Sentence] = []
    space = ""
    for piece in _pieces(text, (language or UNDETERMINED).partition("-")[0].lower()):
        sentence = piece.strip()
        begin = piece.index(sentence)
        space += piece[:begin]
        if sentence:
            parts.append(Sentence(space, sentence))
            space = ""
        space += piece[begin + len(sentence) :]
    return Sentences(parts, space) if len(parts) > 1 else None


def join(found: Sentences, translations: list[str]) -> str:
    """The translations with the space of the source between them.

    A single space, or none, becomes what the target's script has there: none for Han and kana, else one.
    """
    joined = ""
    for number, (sentence, translation) in enumerate(zip(found.parts, translations, strict=True)):
        space = sentence.before
        if number and space in ("", " ", "\u3000"):
            around = _first_letter(reversed(joined)), _first_letter(translation)
            space = "" if any(map(is_east_asian, around)) else " "
        joined += space + translation
    return joined + found.after


def _first_letter(characters: Iterable[str]) -> str:
    return next(filter(str.isalpha, characters), "")


def _has_inner_mark(text: str) -> bool:
    """Whether a mark is followed by more text; without one the library is not asked."""
    end = next((i for i in range(len(text) - 1, -1, -1) if text[i].isalnum()), 0)
    return any(not unicodedata.category(mark).startswith("M") for mark in MARK.findall(text, 0, end))


def _pieces(text: str, language: str) -> list[str]:
    """Sentences with the space around them, and line breaks; together they are the text."""
    pieces: list[str] = []
    for line in LINE_BREAK.split(text):
        if _has_inner_mark(line):
            pieces += _joined(sentencex.segment(language, line), line)
        else:
            pieces.append(line)
    return pieces


def _joined(found: list[str], line: str) -> list[str]:
    """What the library found, a part of hardly any letters joined to the part after it."""
    if "".join(found) != line:  # the library promises it
        return [line]
    joined = [""]
    for part in found:
        if sum(map(str.isalpha, joined[-1])) < FEWEST_LETTERS:
            joined[-1] += part
        else:
            joined.append(part)
    if len(joined) > 1 and not any(map(str.isalpha, joined[-1])):
        last = joined.pop()
        joined[-1] += last
    return joined
