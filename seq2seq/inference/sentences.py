"""Splits a text into sentences and the white space between them, and joins their translations.

Why: the training data are single sentences. The library sentencex has the rules (abbreviations, ordinal
numbers, marks of some 240 languages); this module adds line breaks, and preserves all white space.
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
UNDETERMINED = "und"  # BCP 47's tag of an unknown language; the rules of English then apply
MARK = re.compile(r"[^\w\s,'’\"-]")  # possible ends of sentences, and vowel signs
LINE_BREAK = re.compile(r"(\r\n|[\n\r\x0b\x0c\x85\u2028\u2029])")
STOPS = (".", "。")
FEWEST_LETTERS = 2  # of a sentence: "1." and "M." are beginnings of one


class Sentence(NamedTuple):
    """A sentence without outer space, and the space before it."""

    before: str
    text: str
    is_cut: bool = False  # it is the first part of a divided sentence


class Sentences(NamedTuple):
    """A text of several sentences: its parts and `after`, concatenated, are the text."""

    parts: list[Sentence]
    after: str  # the space after the last one


def name_and_version() -> str:
    """The library and its version, for model folders: another version may split differently."""
    return f"{SPLITTER} {version(SPLITTER)}"


def split(text: str, language: str | None) -> Sentences | None:
    """The sentences of a text; None if it has fewer than two.

    `language` is a BCP 47 tag, of which the first subtag is used, or None. A line break ends a sentence.
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

    A single space, or none, follows the target's script: none beside Han and kana, else one. A full stop
    that a model adds to a part of a sentence is removed.
    """
    joined = ""
    for number, (sentence, translation) in enumerate(zip(found.parts, translations, strict=True)):
        if sentence.is_cut and not sentence.text.endswith(STOPS):
            translation = translation.removesuffix("。").removesuffix(".").rstrip()
        space = sentence.before
        if number and space in ("", " ", "\u3000"):
            around = _first_letter(reversed(joined)), _first_letter(translation)
            space = "" if any(map(is_east_asian, around)) else " "
        joined += space + translation
    return joined + found.after


def _first_letter(characters: Iterable[str]) -> str:
    return next(filter(str.isalpha, characters), "")


def _has_inner_mark(text: str) -> bool:
    """Whether a mark is followed by more text; without one the library is not called."""
    end = next((i for i in range(len(text) - 1, -1, -1) if text[i].isalnum()), 0)
    return any(not unicodedata.category(mark).startswith("M") for mark in MARK.findall(text, 0, end))


def _pieces(text: str, language: str) -> list[str]:
    """Sentences with the space around them, and line breaks; concatenated they are the text."""
    pieces: list[str] = []
    for line in LINE_BREAK.split(text):
        if _has_inner_mark(line):
            pieces += _joined(sentencex.segment(language, line), line)
        else:
            pieces.append(line)
    return pieces


def _joined(found: list[str], line: str) -> list[str]:
    """The library's sentences; a part with too few letters is joined to the next one."""
    if "".join(found) != line:  # contrary to the library's promise
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
