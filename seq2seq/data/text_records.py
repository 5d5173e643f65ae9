"""Reads the records of text files: rows of CSV and TSV, or one JSON object a line.

Why: a faulty record costs no other one, and each has the number of its first line.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from seq2seq.common.errors import UserError
from seq2seq.data.dialects import Dialect
from seq2seq.data.rows import Malformed, cut
from seq2seq.data.streams import Source, TooLongError, check_line_ends, decode


class _Lines:
    """The decoded lines of a file; `number` is that of the last one. Can continue after a ValueError.

    `errors` is that of bytes.decode, since a record of several lines is checked as a whole.
    """

    def __init__(self, file: Source, errors: str) -> None:
        self.number, self._path, self._errors = 0, file.path, errors
        self._lines = file.lines()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        data = next(self._lines)
        self.number += 1
        if self.number == 1:
            check_line_ends(self._path, data)
        return decode(data, self._errors)


def _split(line: str, separator: str) -> list[str]:
    text = line.removesuffix("\n").removesuffix("\r")
    return text.split(separator) if text else []


def _object(line: str) -> Any:
    if line.isspace():
        return []
    record = json.loads(line)
    return record if record != [] else None


def _parser(dialect: Dialect | None) -> Callable[[Iterator[str]], Iterator[Any]]:
    # Unlike a generator, `map` can continue after an error.
    if dialect is None:
        return partial(map, _object)
    if dialect.quoted:
        return partial(csv.reader, delimiter=dialect.separator, strict=True)
    return partial(map, partial(_split, separator=dialect.separator))


def records(file: Source, dialect: Dialect | None = None) -> Iterator[tuple[int, Any]]:
    """Every record that is not blank, or Malformed instead, with its first line.

    A record that cannot be read gives one Malformed for each of its lines. Without a dialect records are
    JSON, one a line.
    """
    quoted = dialect is not None and dialect.quoted
    lines = _Lines(file, "surrogateescape" if quoted else "strict")
    for _ in range(dialect.skipped if dialect else 0):
        next(lines)
    parsed = _parser(dialect)(lines)
    while True:
        start = lines.number + 1
        try:
            record = next(parsed)
        except StopIteration:
            return
        except UnicodeDecodeError as error:
            shown = cut(repr(error.object[max(0, error.start - 20) : error.start + 20]))
            yield lines.number, Malformed(lines.number, f"not valid UTF-8: {shown}")
        except TooLongError as error:
            yield lines.number, Malformed(lines.number, str(error))
        except UserError:  # about the file, not this row
            raise
        except csv.Error as error:
            reason = _csv_fault(error)
            yield from ((line, Malformed(line, reason)) for line in range(start, lines.number + 1))
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            yield start, Malformed(start, f"not valid JSON: {reason}")
        else:
            if quoted and (bad := next(filter(_is_escaped, record), None)):
                shown = cut(repr(bad.encode("utf-8", "surrogateescape")))
                yield start, Malformed(start, f"not valid UTF-8: {shown}")
            elif record != []:
                yield start, record


def _csv_fault(error: csv.Error) -> str:
    if "new-line character" in str(error):
        return "a carriage return inside a field that is not quoted; replace it: tr '\\r' ' ' < OLD > NEW"
    return f"not valid CSV: {error}; is a quote not closed or not doubled?"


def _is_escaped(field: str) -> bool:
    """Whether a field has bytes that are not UTF-8, decoded by `surrogateescape`."""
    return not field.isascii() and re.search("[\udc80-\udcff]", field) is not None
