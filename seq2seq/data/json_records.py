"""Reads JSON that is not one object a line: an array, an array under one key, objects of several lines.

Why: `json.dump`, exports of annotation tools and `jq` write these, and a corpus need not fit in memory.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seq2seq.common.errors import UserError
from seq2seq.data.streams import LONGEST_LINE, Source

WRAPPED = re.compile(r'\s*\{\s*"([^"\\]*)"\s*:\s*\[(?=\s*\{)')  # {"data": [{
ARRAY = re.compile(r"\s*\[")
PRETTY = re.compile(r"\s*\{[ \t\r]*\n")
OPENING = 1000  # characters before the first object, at most
BLANK = re.compile(r"[\s\ufeff]*")


def opening(sample: bytes) -> re.Pattern[str] | None:
    """The pattern of the text before the first object, None if each line is one object."""
    text = sample.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    try:
        value = json.loads(text.split("\n", 1)[0])
    except (ValueError, RecursionError):
        if text.startswith("["):
            return ARRAY
        return WRAPPED if WRAPPED.match(text) else BLANK if PRETTY.match(text) else None
    if isinstance(value, list) and (not value or isinstance(value[0], dict)):
        return ARRAY
    return WRAPPED if isinstance(value, dict) and len(value) == 1 and WRAPPED.match(text) else None


def records(source: Source, before: re.Pattern[str]) -> Iterator[tuple[int, Any]]:
    """Every value with its number in its array, or else with its first line.

    `before` is the result of `opening`. Many programs write an array on a single line.

    Raises UserError for text that is not JSON, that ends too early or that continues after the array.
    """
    text = _Text(source)
    while len(text.buffer) < OPENING and text.fill():
        pass
    start = before.match(text.buffer)
    text.skip(start.end() if start else 0)
    decoder, is_array, number = json.JSONDecoder(), before is not BLANK, 0
    while text.skip_blank(",") != ("]" if is_array else ""):
        number += 1
        place = f"line {text.line}" + f", record {number}" * is_array
        if text.place == len(text.buffer):
            raise UserError(f"{source.path}, {place}: the file ends within its array; is it incomplete?")
        while True:
            try:
                value, end = decoder.raw_decode(text.buffer, text.place)
                break
            except (ValueError, RecursionError) as error:
                if len(text.buffer) - text.place > LONGEST_LINE:
                    message = f"a record of more than {LONGEST_LINE:,} characters, or not valid JSON"
                elif isinstance(error, json.JSONDecodeError) and text.fill():
                    continue
                else:
                    message = f"not valid JSON, or the file is incomplete: {getattr(error, 'msg', error)}"
                raise UserError(f"{source.path}, {place}: {message}") from None
        line = text.line
        text.skip(end)
        yield (number if is_array else line), value
    if is_array:
        _check_end(source.path, text, start[1] if start and start.re is WRAPPED else "")


def _check_end(path: Path, text: _Text, key: str) -> None:
    """Raises UserError if anything follows an array, which may be the value of the only key."""
    text.skip(text.place + 1)
    following = text.skip_blank()
    if key and following != "}":
        raise UserError(
            f"{path} holds more than {key!r}; take the array out: jq -c '.{key}[]' OLD > NEW.jsonl"
        )
    if key:
        text.skip(text.place + 1)
        following = text.skip_blank()
    if following:
        raise UserError(f"{path}, line {text.line}: text follows after the end of the array")


class _Text:
    """The decoded text of a file, as far as it was read; `place` is the position in it, `line` its line."""

    def __init__(self, source: Source) -> None:
        self.buffer, self.place, self.line = "", 0, 1
        self._path, self._pieces = source.path, source.pieces()
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()

    def fill(self) -> bool:
        """Read another piece; false at the end."""
        piece = next(self._pieces, b"")
        try:
            more = self._decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            line = self.line + self.rest().count("\n") + error.object[: error.start].count(b"\n")
            raise UserError(f"{self._path}, line {line}: not valid UTF-8") from None
        self.buffer, self.place = self.rest() + more, 0
        return bool(piece)

    def rest(self) -> str:
        """The text after `place`."""
        return self.buffer[self.place :]

    def skip(self, place: int) -> None:
        """Move to a place of the buffer."""
        self.line += self.buffer.count("\n", self.place, place)
        self.place = place

    def skip_blank(self, more: str = "") -> str:
        """Move to the next character that is neither blank nor one of `more`; empty at the end."""
        while True:
            while self.place < len(self.buffer) and (
                self.buffer[self.place].isspace() or self.buffer[self.place] in f"\ufeff{more}"
            ):
                self.skip(self.place + 1)
            if self.place < len(self.buffer):
                return self.buffer[self.place]
            if not self.fill():
                return ""
