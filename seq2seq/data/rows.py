"""The rows of a corpus file as the readers return them: pairs, malformed rows, repeated headers.

Why: all readers report a fault in the same form, with a place in the file and a reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from seq2seq.data.corpus import Pair
from seq2seq.data.streams import LONGEST_LINE

MARK = "\ufeff"  # the byte order mark, at the start of lines in files joined by `cat`
SHOWN = 60  # characters of a faulty row in a message


class Malformed(NamedTuple):
    """A row that is not a pair of texts: its first line (from 1) and the reason."""

    line: int
    reason: str


class Repeated(NamedTuple):
    """A row that repeats the header, as in files joined by `cat`."""

    line: int


class Table(NamedTuple):
    """An open file: the names of its two columns, an announcement about them, and its rows."""

    columns: tuple[str, str]
    announcement: str
    unit: str  # of row numbers: line of text, record of a JSON array, row of Parquet or Arrow, unit of XML
    rows: Iterator[Pair | Malformed | Repeated]
    languages: tuple[str | None, str | None] = (None, None)  # that the file itself states


def pair(line: int, names: tuple[str, str], source: Any, target: Any) -> Pair | Malformed:
    """The row as a Pair if both values are texts, without leading byte order marks; else Malformed."""
    for name, value in zip(names, (source, target), strict=True):
        if value is None:
            return Malformed(line, f"{name} is null or missing")
        if isinstance(value, bytes):
            return Malformed(line, f"{name} is not valid UTF-8: {cut(repr(value))}")
        if not isinstance(value, str):
            return Malformed(line, f"{name} is no text: {cut(repr(value))}")
        if len(value) > LONGEST_LINE:
            return Malformed(line, f"{name} has {len(value):,} characters: {cut(value)}")
        if "\0" in value:
            return Malformed(line, f"{name} holds a NUL character: {cut(value)}")
        if not value.isascii() and re.search("[\ud800-\udfff]", value):
            return Malformed(line, f"{name} holds half a surrogate pair: {cut(ascii(value))}")
    return Pair(source.lstrip(MARK), target.lstrip(MARK))


def cut(text: str, most: int = SHOWN) -> str:
    """The first characters of a text for messages, with control characters escaped."""
    shown = text if len(text) <= most else text[:most] + "…"
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", shown)
