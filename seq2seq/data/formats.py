"""Opens a corpus file by its kind: two columns of text, a translation memory, a file for each language.

Why: corpora come in many formats, and repairs need the file and the line of an error. Text formats are
parsed line by line, because the readers of `datasets` guess types, fill gaps with nulls, end a line at a
stray carriage return and lose the line numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seq2seq.common.errors import UserError
from seq2seq.data import json_records, memories, moses, po, text_records
from seq2seq.data.columnar import NESTED, Columns
from seq2seq.data.corpus import Pair
from seq2seq.data.dialects import ROWS, Dialect, detect
from seq2seq.data.languages import are_headings, is_heading
from seq2seq.data.memories import Languages
from seq2seq.data.rows import MARK, Malformed, Repeated, Table, cut, pair
from seq2seq.data.streams import PACKINGS, Source, unread_kind

KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "tsv",
    ".tmx": "tmx",
    ".xlf": "xliff",
    ".xliff": "xliff",
    ".sdlxliff": "xliff",
    ".mqxliff": "xliff",
    ".po": "po",
    ".pot": "po",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
MEMORIES = ("tmx", "xliff", "po")
NO_OBJECT = "no JSON object with the columns as keys"
BY_COLUMNS = "pandas writes one object a row with to_json(..., orient='records', lines=True)"


def kind(path: Path) -> str:
    """The kind of a file by its name, a value of KINDS, xml or lines; raises UserError for any other."""
    if (found := KINDS.get(suffix(path), "xml" if suffix(path) == ".xml" else None)) is not None:
        return found
    if remedy := unread_kind(suffix(path)):
        raise UserError(f"{path} {remedy}")
    if moses.half(path):
        return "lines"
    known = ", ".join(KINDS)
    raise UserError(
        f"{path}: unknown kind of file; there are {known}, and text also with .gz, .bz2, .xz, .zst"
    )


def suffix(path: Path) -> str:
    """The suffix for a file's kind, without that of a packing: `.tsv` of `train.tsv.gz`."""
    name = Path(path.name.lower())
    return (Path(name.stem) if name.suffix in PACKINGS else name).suffix


def open_table(
    path: Path, source: str | int, target: str | int, languages: Languages = (None, None)
) -> Table:
    """Open a file whose source and target texts are in two columns, given by name or number from 0.

    - CSV follows RFC 4180. TSV has no quoting: a quotation mark is text. If the first lines show
      another separator or quoting, these are used and announced (`dialects`).
    - Blank lines are skipped. Each row must have as many fields as line 1.
    - A column given by name must be in line 1, the header. If both are given by number, line 1 is a
      header if its cells there name languages (`de`, `deu`, `pt_BR`, `German`) or are words such as source,
      target, text, translation; otherwise it is a pair. A repeated header is returned as Repeated.
    - JSON, Parquet and Arrow have names: a number counts the keys of the first row. Columns may also be
      under the feature `translation`. JSON is one object a line, an array of objects, or
      an array that is the value of the only key.
    - In TMX, XLIFF, PO and files of one language each, a column is a language (`memories.choose`).

    Raises UserError if the file cannot be read or lacks a column. A faulty row is returned as Malformed.
    """
    found = kind(path)
    if found in ("parquet", "arrow"):
        return _open_columns(path, source, target, found == "arrow")
    if found == "lines":
        return moses.open_lines(path, source, target, languages)
    file = Source(path, named_xml=found in ("tmx", "xliff"))
    if not file.sample:
        raise UserError(f"{path}: holds no line")
    if file.is_xml or po.is_po(file.sample, found == "po"):
        return memories.open_memory(file, found, source, target, languages)
    if found in (*MEMORIES, "xml"):
        content = "message of gettext (msgid)" if found == "po" else "XML"
        raise UserError(f"{path} begins with no {content}, though its name ends so; name it by its content")
    return (_open_json if found == "jsonl" else _open_delimited)(file, source, target)


def _open_delimited(file: Source, source: str | int, target: str | int) -> Table:
    path = file.path
    dialect = detect(file, kind(path))
    records = text_records.records(file, dialect)
    line, first = _first(path, records)
    named = isinstance(source, str) or isinstance(target, str)
    place, other = _find(path, first, source, target)
    names = first[place], first[other]
    header = named or (
        all(map(is_heading, names)) and are_headings(names, _is_repeated(file, dialect, place, other))
    )
    if header:
        announced = f"line {line} is a header: {', '.join(map(cut, first))}"
    else:
        announced = f"no header: columns are numbered from 0 to {len(first) - 1}"
        if any(map(is_heading, names)) and all(map(_is_short, names)):
            announced += (
                f"; line {line} is taken as a pair, {names[0]} → {names[1]}: if these are headings, set "
                "ingest.source_column and ingest.target_column to them"
            )
        names = str(place), str(other)

    def rows() -> Iterator[Pair | Malformed | Repeated]:
        if not header:
            yield pair(line, names, first[place], first[other])
        for number, fields in records:
            if isinstance(fields, Malformed):
                yield fields
            elif len(fields) != len(first):
                count = f"{len(fields)} field{'s' * (len(fields) != 1)} where line {line} has {len(first)}"
                yield Malformed(number, f"{count}: {cut(' | '.join(fields))}")
            elif header and fields == first:
                yield Repeated(number)
            else:
                source, target = fields[place], fields[other]
                if "\0" in source or "\0" in target:
                    yield pair(number, names, source, target)
                else:
                    yield Pair(source.lstrip(MARK), target.lstrip(MARK))

    return Table(names, "; ".join(filter(None, [file.note, dialect.note, announced])), "line", rows())


def _is_repeated(file: Source, dialect: Dialect, *places: int) -> bool:
    """Whether one of the first rows has the same text in these columns as the first row."""
    rows = (fields for _, fields in itertools.islice(text_records.records(file, dialect), ROWS + 1))
    cells = (
        [fields[i] for i in places]
        for fields in rows
        if isinstance(fields, list) and len(fields) > max(places)
    )
    return next(cells, []) in cells


def _open_json(file: Source, source: str | int, target: str | int) -> Table:
    before = json_records.opening(file.sample)
    unit = "line" if before in (None, json_records.BLANK) else "record"
    records = text_records.records(file) if before is None else json_records.records(file, before)
    line, first = _first(file.path, records)
    if not isinstance(first, dict):
        raise UserError(f"{file.path}, {unit} {line}: {NO_OBJECT}")
    nested = isinstance(first.get(NESTED), dict) and source not in first
    fields = first[NESTED] if nested else first
    columns = list(fields)
    place, other = _find(file.path, columns, source, target)
    names = columns[place], columns[other]
    if name := next((name for name in names if isinstance(fields[name], list | dict)), None):
        inner = fields[name]
        is_array = isinstance(inner, list) and bool(inner) and isinstance(inner[0], dict)
        remedy = f"take it out: jq -c '.{name}[]' OLD > NEW.jsonl" if is_array else BY_COLUMNS
        raise UserError(f"{file.path}, {unit} {line}: {name} holds many values or an object; {remedy}")

    def rows() -> Iterator[Pair | Malformed]:
        for number, record in itertools.chain([(line, first)], records):
            row = record.get(NESTED) if nested and isinstance(record, dict) else record
            if isinstance(row, dict):
                yield pair(number, names, row.get(names[0]), row.get(names[1]))
            else:
                yield record if isinstance(record, Malformed) else Malformed(number, NO_OBJECT)

    announced = f"columns {', '.join(map(cut, columns))}"
    return Table(names, "; ".join(filter(None, [file.note, announced])), unit, rows())


def _open_columns(path: Path, source: str | int, target: str | int, is_arrow: bool) -> Table:
    columns = Columns(path, is_arrow, [source])
    place, other = _find(path, columns.names, source, target)
    names = columns.names[place], columns.names[other]
    rows = (pair(number, names, *row) for number, row in enumerate(columns.rows(names), 1))
    return Table(names, f"columns {', '.join(columns.names)}", "row", rows)


def _is_short(cell: str) -> bool:
    """Whether a cell is too short for a sentence: it may be a heading of an unknown language."""
    return 0 < len(cell.split()) <= 3 and cell[-1] not in ".!?。！？।"


def _first(path: Path, records: Iterator[tuple[int, Any]]) -> tuple[int, Any]:
    line, first = next(records, (0, None))
    if line == 0:
        raise UserError(f"{path}: holds no line")
    if isinstance(first, Malformed):
        raise UserError(f"{path}, line {line}: {first.reason}")
    return line, first


def _find(path: Path, columns: list[str], source: str | int, target: str | int) -> tuple[int, int]:
    """The indices of two columns given by name or number."""
    places = []
    for key, wanted in (("source_column", source), ("target_column", target)):
        if isinstance(wanted, int) and wanted < len(columns):
            places.append(wanted)
        elif isinstance(wanted, str) and wanted in columns:
            places.append(columns.index(wanted))
        else:
            there = ", ".join(f"{number} {cut(name)!r}" for number, name in enumerate(columns))
            remedy = f"set ingest.{key} to the number of one, or to its name if line 1 is a header"
            if len(columns) == 1:
                remedy = "a pair needs two; two files of one language each: name them NAME.de and NAME.en"
            raise UserError(f"{path} has no column {wanted!r}; its columns are: {there}\n  {remedy}")
    if places[0] == places[1]:
        raise UserError(f"{path}: ingest.source_column and target_column are both {source!r}")
    return places[0], places[1]
