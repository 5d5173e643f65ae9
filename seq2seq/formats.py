"""Reads sentence pairs from JSONL, CSV and TSV files, gzipped or not, and from Parquet files.

Why: people's files differ in everything but the two columns that matter, and whoever has to repair
one needs the file and the line. Text formats are parsed here, line by line, because the readers of
`datasets`, which reads Parquet for us, guess types, fill gaps with nulls, end a line at a stray
carriage return and lose the line numbers.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import itertools
import json
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.corpus import Pair
from seq2seq.errors import UserError

KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "tsv",
    ".parquet": "parquet",
}
BATCH = 10_000  # rows held in memory at once
SHOWN = 60  # characters of a faulty row that a message shows
NO_OBJECT = "no JSON object with the columns as keys"
NESTED = "translation"  # the feature under which hub datasets keep a pair, by language
LANGUAGE = re.compile("[a-z]{2}|[A-Z]{2}")  # "de", and "pt", "BR" of pt_BR
HEADINGS = {"source", "target", "src", "trg", "tgt", "original", "translation", "translated", "input"}
HEADINGS |= {"output", "reference", "text", "sentence", "language", "lang", "column"}


class Malformed(NamedTuple):
    """A row that is no pair of texts: where it starts (from 1) and what is wrong with it."""

    line: int
    reason: str


class Table(NamedTuple):
    """A file opened for reading: its two columns' names, how they were found, and its rows."""

    columns: tuple[str, str]
    announcement: str
    unit: str  # what a row's number counts: lines of a text file, rows of a Parquet file
    rows: Iterator[Pair | Malformed]


def kind(path: Path) -> str:
    """jsonl, csv, tsv or parquet, by the file's name; raises UserError for any other."""
    if suffix(path) not in KINDS:
        known = ", ".join(KINDS)
        raise UserError(f"{path}: unknown kind of file; there are {known}, and text also with .gz")
    return KINDS[suffix(path)]


def suffix(path: Path) -> str:
    """What a file's name says of its kind, whether gzipped or not: `.tsv` of `train.tsv.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def open_table(path: Path, source: str | int, target: str | int) -> Table:
    """Open a file whose source and target texts lie in two columns, given by name or number from 0.

    - CSV follows RFC 4180. TSV has no quoting: a quotation mark is text.
    - Blank lines are skipped. Each row must have as many fields as line 1.
    - A column given by name must stand in line 1, the header. If both are given by number, line 1 is
      a header if its cells there are made of language codes (`de`, `pt_BR`) and words such as source,
      target, text, translation; otherwise it is a pair.
    - JSONL and Parquet have names: a number counts the keys of the first row. Columns may also lie
      under the feature `translation`.

    Raises UserError if the file cannot be read or lacks a column. What is wrong with a single row
    comes as Malformed in its place.
    """
    opener = {"parquet": _open_parquet, "jsonl": _open_jsonl}.get(kind(path), _open_delimited)
    return opener(path, source, target)


def _open_delimited(path: Path, source: str | int, target: str | int) -> Table:
    records = _records(path)
    line, first = next(records, (0, None))
    if first is None:
        raise UserError(f"{path}: holds no line")
    if isinstance(first, Malformed):
        raise UserError(f"{path}, line {line}: {first.reason}")
    named = isinstance(source, str) or isinstance(target, str)
    numbers = _find(path, first, source, target)
    header = named or (first[numbers[0]] != first[numbers[1]] and all(_is_heading(first[n]) for n in numbers))
    if header:
        said = f"line {line} is a header: {', '.join(first)}"
        names = first[numbers[0]], first[numbers[1]]
    else:
        said = f"no header: columns are numbered from 0 to {len(first) - 1}"
        names = str(numbers[0]), str(numbers[1])

    def rows() -> Iterator[Pair | Malformed]:
        if not header:
            yield Pair(first[numbers[0]], first[numbers[1]])
        for line, fields in records:
            if isinstance(fields, Malformed):
                yield fields
            elif len(fields) != len(first):
                count = f"{len(fields)} field{'s' * (len(fields) != 1)} where line 1 has {len(first)}"
                yield Malformed(line, f"{count}: {_cut(' | '.join(fields))}")
            else:
                yield Pair(fields[numbers[0]], fields[numbers[1]])

    return Table(names, said, "line", rows())


def _open_jsonl(path: Path, source: str | int, target: str | int) -> Table:
    records = _records(path)
    line, first = next(records, (0, None))
    if first is None:
        raise UserError(f"{path}: holds no line")
    if not isinstance(first, dict):
        reason = first.reason if isinstance(first, Malformed) else NO_OBJECT
        raise UserError(f"{path}, line {line}: {reason}")
    nested = isinstance(first.get(NESTED), dict) and source not in first
    columns = list(first[NESTED] if nested else first)
    place, other = _find(path, columns, source, target)
    names = columns[place], columns[other]

    def rows() -> Iterator[Pair | Malformed]:
        for number, record in itertools.chain([(line, first)], records):
            fields = record.get(NESTED) if nested and isinstance(record, dict) else record
            if isinstance(fields, dict):
                yield _pair(number, names, fields.get(names[0]), fields.get(names[1]))
            else:
                yield record if isinstance(record, Malformed) else Malformed(number, NO_OBJECT)

    return Table(names, f"columns {', '.join(columns)}", "line", rows())


def _open_parquet(path: Path, source: str | int, target: str | int) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except pa.ArrowException as error:
        raise UserError(f"{path}: not a Parquet file: {error}") from None
    nested = (
        NESTED in schema.names
        and source not in schema.names
        and pa.types.is_struct(schema.field(NESTED).type)
    )
    columns = [field.name for field in schema.field(NESTED).type] if nested else schema.names
    place, other = _find(path, columns, source, target)
    names = columns[place], columns[other]

    def rows() -> Iterator[Pair | Malformed]:
        number = 0
        wanted = [NESTED] if nested else list(dict.fromkeys(names))
        for table in _tables(path, wanted):
            if nested:
                table = pa.Table.from_struct_array(table.column(NESTED))
            for row in zip(*(_values(table.column(name)) for name in names), strict=True):
                number += 1
                yield _pair(number, names, *row)

    return Table(names, f"columns {', '.join(columns)}", "row", rows())


def _is_heading(cell: str) -> bool:
    """Whether a cell is made of language codes and words such as source: de, tgt_pt-BR, Text 1."""
    parts = [part for part in re.split(r"[_\-\d]+", cell.strip()) if part]
    return bool(parts) and all(
        LANGUAGE.fullmatch(part) or HEADINGS.issuperset(part.lower().split()) for part in parts
    )


def _find(path: Path, columns: list[str], source: str | int, target: str | int) -> tuple[int, int]:
    """The places of two columns given by name or number."""
    places = []
    for key, wanted in (("source_column", source), ("target_column", target)):
        if isinstance(wanted, int) and wanted < len(columns):
            places.append(wanted)
        elif isinstance(wanted, str) and wanted in columns:
            places.append(columns.index(wanted))
        else:
            there = ", ".join(f"{number} {_cut(name)!r}" for number, name in enumerate(columns))
            raise UserError(
                f"{path} has no column {wanted!r}; its columns are: {there}\n"
                f"  set ingest.{key} to the number of one, or to its name if line 1 is a header"
            )
    if places[0] == places[1]:
        raise UserError(f"{path}: ingest.source_column and target_column are both {source!r}")
    return places[0], places[1]


def _pair(line: int, names: tuple[str, str], source: Any, target: Any) -> Pair | Malformed:
    """The row as a Pair if both values are text."""
    for name, value in zip(names, (source, target), strict=True):
        if value is None:
            return Malformed(line, f"{name} is null or missing")
        if isinstance(value, bytes):
            return Malformed(line, f"{name} is not valid UTF-8: {_cut(repr(value))}")
        if not isinstance(value, str):
            return Malformed(line, f"{name} is no text: {_cut(repr(value))}")
        if not value.isascii() and re.search("[\ud800-\udfff]", value):
            return Malformed(line, f"{name} holds half a surrogate pair: {_cut(ascii(value))}")
    return Pair(source, target)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


class _Lines:
    """The decoded lines of a file; `number` is the last one's. Goes on after a UnicodeDecodeError.

    With `errors` as bytes.decode has it: a record of several lines is judged when it is whole.
    """

    def __init__(self, path: Path, errors: str) -> None:
        self.number, self._path, self._errors = 0, path, errors
        self._lines = _raw_lines(path)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        data = next(self._lines)
        self.number += 1
        if self.number == 1 and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UserError(f"{self._path} is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW")
        if self.number == 1 and data.count(b"\r") > 1 and not data.endswith(b"\n"):
            raise UserError(f"{self._path} has carriage returns for line ends; convert it: tr '\\r' '\\n'")
        return data.decode("utf-8-sig" if self.number == 1 else "utf-8", self._errors)


def _raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, gzipped or not, with their ends; raises UserError for a damaged archive."""
    packed = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read: {error}; is it damaged or incomplete?")


def _fields(line: str) -> list[str]:
    text = line.removesuffix("\n").removesuffix("\r")
    return text.split("\t") if text else []


def _object(line: str) -> Any:
    if line.isspace():
        return []
    record = json.loads(line)
    return record if record != [] else None


# `map` goes on after an error, a generator would not
PARSERS: dict[str, Callable[[Iterator[str]], Iterator[Any]]] = {
    "csv": partial(csv.reader, strict=True),
    "tsv": partial(map, _fields),
    "jsonl": partial(map, _object),
}


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    """Every record that is not blank, or Malformed in its place, with the line on which it starts.

    A record that cannot be read is Malformed once for each line that it took.
    """
    parser = kind(path)
    lines = _Lines(path, "surrogateescape" if parser == "csv" else "strict")
    records = PARSERS[parser](lines)
    while True:
        start = lines.number + 1
        try:
            record = next(records)
        except StopIteration:
            return
        except UnicodeDecodeError as error:
            shown = _cut(repr(error.object[max(0, error.start - 20) : error.start + 20]))
            yield lines.number, Malformed(lines.number, f"not valid UTF-8: {shown}")
        except UserError:  # of the file, not of this row
            raise
        except csv.Error as error:
            reason = f"not valid CSV: {error}; is a quote not closed or not doubled?"
            yield from ((line, Malformed(line, reason)) for line in range(start, lines.number + 1))
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            yield start, Malformed(start, f"not valid JSON: {reason}")
        else:
            if parser == "csv" and (bad := next(filter(_is_escaped, record), None)):
                shown = _cut(repr(bad.encode("utf-8", "surrogateescape")))
                yield start, Malformed(start, f"not valid UTF-8: {shown}")
            elif record != []:
                yield start, record


def _is_escaped(field: str) -> bool:
    """Whether a field holds bytes that are not UTF-8, as `surrogateescape` keeps them."""
    return not field.isascii() and re.search("[\udc80-\udcff]", field) is not None


def _values(column: Any) -> list[Any]:
    """The Python values of an Arrow column; those that are not UTF-8 stay bytes."""
    import pyarrow as pa

    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pa.large_binary()).to_pylist()
        for index, value in enumerate(values):
            if value is not None:
                try:
                    values[index] = value.decode("utf-8")
                except UnicodeDecodeError:
                    continue
    return values


def _tables(path: Path, columns: list[str]) -> Iterator[Any]:
    """Columns of a Parquet file as Arrow tables, streamed by `datasets` in bounded memory."""
    import datasets

    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it logs, it also raises
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch, "corpus.parquet")  # a path in which the library finds no wildcard
        place.symlink_to(path.resolve())
        options = {"data_files": str(place), "columns": columns, "batch_size": BATCH, "cache_dir": scratch}
        try:
            stream = datasets.load_dataset("parquet", split="train", streaming=True, **options)
            yield from stream.with_format("arrow").iter(BATCH)
        except (OSError, ValueError) as error:  # Arrow's errors are ValueErrors
            raise _unreadable(path, error) from None
