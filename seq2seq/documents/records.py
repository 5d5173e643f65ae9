"""Files of records: lines of text, TSV, CSV and JSON lines, each record translated by itself.

Why: such files have millions of records. A record that cannot be read or translated costs no other one, and
every byte of the others stays.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from seq2seq.common.errors import UserError
from seq2seq.inference import document
from seq2seq.inference.translation import Translation

BOM = "\ufeff"


class Columns(NamedTuple):
    """The column to translate, by name or number, and the added ones."""

    column: str | None = None  # a number, counted from 1, belongs to a table without a header
    into: str = "translation"
    confidence: bool = False

    @property
    def names(self) -> list[str]:
        """The added columns."""
        return [self.into, *(["confidence", "score"] if self.confidence else [])]

    def values(self, found: Translation | None) -> list[Any]:
        """Those of a translation; of a record that has none, an empty text and nulls."""
        if found is None:
            return ["", None, None][: len(self.names)]
        confidence = None if found.confidence is None else round(found.confidence, 4)
        return [found.text, confidence, round(found.score, 4)][: len(self.names)]


class Record(NamedTuple):
    """The texts of a record, and how it is written with their translations, or without."""

    texts: list[str]
    write: Callable[[Sequence[Translation] | None], bytes]
    problem: str = ""


class Shard(NamedTuple):
    """Consecutive records: bytes from begin to end; `first` is the number of the first line."""

    number: int
    begin: int
    end: int
    first: int
    records: int


class Lines:
    """Lines of text: indentation, list marks, blanks and line ends stay."""

    header = False
    unit = "line"

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    def cut(self, path: Path, size: int) -> tuple[bytes, list[Shard]]:
        """The header to write, and the file as shards of `size` records."""
        found: list[Shard] = []
        with path.open("rb") as file:
            records = self.split(iter(file))
            place, count, line, header = 0, 0, 1, b""
            if self.header and (first := next(records, b"")):
                header = self.begin(first)
                place, line = len(first), line + first.count(b"\n")
            begin, first_line = place, line
            for record in records:
                place, count, line = place + len(record), count + 1, line + record.count(b"\n")
                if count == size:
                    found.append(Shard(len(found), begin, place, first_line, count))
                    begin, first_line, count = place, line, 0
            if count:
                found.append(Shard(len(found), begin, place, first_line, count))
        return header, found

    def read(self, path: Path, shard: Shard) -> Iterator[tuple[int, Record]]:
        """The records of a shard, each with the number of its line."""
        with path.open("rb") as file:
            file.seek(shard.begin)
            data = file.read(shard.end - shard.begin)
        number = shard.first
        for raw in self.split(_lines(data)):
            yield number, self.record(raw)
            number += raw.count(b"\n")

    def join(self, path: Path, header: bytes, parts: Iterator[Path], out: BinaryIO) -> None:
        """Write the header and the translated parts."""
        out.write(header)
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, out)
            out.flush()

    def begin(self, first: bytes) -> bytes:
        """Read the header; returns it with the new columns. Raises UserError without the column."""
        return b""

    def split(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """The records of lines."""
        return lines

    def record(self, data: bytes) -> Record:
        """A record to translate."""
        line, end = without_end(data)
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            return Record([], lambda _: end, not_utf8(error))
        head = BOM if text.startswith(BOM) else ""
        pieces = list(document.parse(text.removeprefix(BOM), join_lines=False))

        def write(found: Sequence[Translation] | None) -> bytes:
            if found is None:
                return end
            rest = iter(found)
            written = (next(rest).text if isinstance(p, document.Segment) else p for p in pieces)
            columns = tab_separated(self._figures(found))
            return (head + "".join(written)).encode() + columns + end

        return Record([p.text for p in pieces if isinstance(p, document.Segment)], write)

    def _figures(self, found: Sequence[Translation]) -> list[Any]:
        if not self.columns.confidence:
            return []
        least = min(found, key=lambda t: t.score, default=None)
        return self.columns.values(least)[1:] if least else [None, None]


class JsonLines(Lines):
    """An object a line; the new fields are added at its end."""

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns)
        if not columns.column:
            raise UserError("JSON lines need --column: the name of a field")

    def record(self, data: bytes) -> Record:
        """See Lines."""
        line, end = without_end(data)
        if not line.strip():
            return Record([], lambda _: data)
        try:
            found = json.loads(line)
        except UnicodeDecodeError as error:
            return Record([], lambda _: data, not_utf8(error))
        except (ValueError, RecursionError) as error:
            return Record([], lambda _: data, f"not valid JSON: {error}")
        value = found.get(self.columns.column) if isinstance(found, dict) else None
        taken = [name for name in self.columns.names if isinstance(found, dict) and name in found]
        if taken:
            return Record([], lambda _: data, f"it has a field {taken[0]}: name another by --into")
        if not isinstance(value, str):
            return Record([], lambda _: data, f"no text in field {self.columns.column}")

        def write(translations: Sequence[Translation] | None) -> bytes:
            values = self.columns.values(translations[0] if translations else None)
            added = json.dumps(dict(zip(self.columns.names, values, strict=True)), ensure_ascii=False)
            body = line.rstrip()
            return body[:-1].rstrip() + b", " + added[1:].encode() + line[len(body) :] + end

        return Record([value], write)


def not_utf8(error: UnicodeDecodeError) -> str:
    """The reason, and the remedy."""
    return (
        f"byte 0x{error.object[error.start]:02x} at position {error.start} is not UTF-8: convert it first, "
        "e.g. `iconv -f LATIN1 -t UTF-8`"
    )


def _lines(data: bytes) -> Iterator[bytes]:
    """Lines with their ends, which are line feeds alone."""
    lines = data.split(b"\n")
    yield from (line + b"\n" for line in lines[:-1])
    if lines[-1]:
        yield lines[-1]


def find_column(columns: Columns, names: Sequence[str]) -> int:
    """The place of the column to translate; raises UserError without it, or if a new one exists."""
    if columns.column not in names:
        raise UserError(f"--column {columns.column}: there are {', '.join(names)}")
    if taken := [name for name in columns.names if name in names]:
        raise UserError(f"there is a column {taken[0]}: name another by --into")
    return names.index(columns.column)


def without_end(data: bytes) -> tuple[bytes, bytes]:
    """A line and its end."""
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    return line, data[len(line) :]


def tab_separated(values: Sequence[Any]) -> bytes:
    """Fields without tabs and line ends, each with a tab before it."""
    return "".join("\t" + " ".join(str("" if v is None else v).split()) for v in values).encode()
