"""Tables of text: TSV and CSV, each record a row whose own bytes stay.

Why: a row is not written anew, since its quotes and blanks belong to the file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from seq2seq.common.errors import UserError
from seq2seq.data.streams import LONGEST_LINE
from seq2seq.documents.records import (
    Columns,
    JsonLines,
    Lines,
    Record,
    find_column,
    not_utf8,
    tab_separated,
    without_end,
)
from seq2seq.inference.translation import Translation


class Tsv(Lines):
    """Lines of fields between tabs; the new ones are added at the end."""

    header = True

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns)
        if not columns.column:
            raise UserError("a table needs --column: a name, or a number if it has no header")
        self.index = int(columns.column) - 1 if columns.column.isdecimal() else -1
        self.header = self.index < 0
        self.separator = "\t"

    def begin(self, first: bytes) -> bytes:
        """See Lines."""
        line, end = without_end(first)
        try:
            names = self.fields(line.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise UserError(f"the header: {not_utf8(error)}") from None
        self.index = find_column(self.columns, names)
        return line + self.joined(self.columns.names) + (end or b"\n")

    def fields(self, line: str) -> list[str]:
        """The fields of a record."""
        return line.split(self.separator)

    def joined(self, values: Sequence[Any]) -> bytes:
        """New fields, with a separator before each."""
        return tab_separated(values)

    def record(self, data: bytes) -> Record:
        """See Lines."""
        line, end = without_end(data)
        empty = line + self.joined(self.columns.values(None)) + end
        try:
            fields = self.fields(line.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            return Record([], lambda _: empty, not_utf8(error))
        except csv.Error as error:
            return Record([], lambda _: empty, f"not valid CSV: {error}")
        if not line:
            return Record([], lambda _: data)
        if len(fields) <= self.index:
            return Record([], lambda _: empty, f"{len(fields)} fields, none in column {self.index + 1}")

        def write(found: Sequence[Translation] | None) -> bytes:
            return empty if found is None else line + self.joined(self.columns.values(found[0])) + end

        return Record([fields[self.index]], write)


class Csv(Tsv):
    """Records of fields between commas or semicolons, which quotes may hold together over several lines."""

    def begin(self, first: bytes) -> bytes:
        """See Lines."""
        text = first.decode("utf-8", "replace")
        self.separator = max(",;", key=text.count)
        return super().begin(first)

    def split(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """See Lines."""
        record = b""
        for line in lines:
            record += line
            if record.count(b'"') % 2 == 0:
                yield record
                record = b""
            elif len(record) > LONGEST_LINE:
                raise UserError(f"a record of more than {LONGEST_LINE:,} bytes: is a quote not closed?")
        if record:
            yield record

    def fields(self, line: str) -> list[str]:
        """See Tsv."""
        rows = list(csv.reader(io.StringIO(line, newline=""), delimiter=self.separator, strict=True))
        return rows[0] if rows else []

    def joined(self, values: Sequence[Any]) -> bytes:
        """See Tsv."""
        written = io.StringIO()
        writer = csv.writer(written, delimiter=self.separator, lineterminator="")
        writer.writerow(["", *values])
        return written.getvalue().encode()


BY_FORMAT: dict[str, type[Lines]] = {"txt": Lines, "tsv": Tsv, "csv": Csv, "jsonl": JsonLines}
