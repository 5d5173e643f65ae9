"""How a delimited text file separates and quotes its fields, by its first lines.

Why: spreadsheets, pandas and R write other separators and quotation marks than the file's name suggests,
and these would otherwise become part of the texts.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from seq2seq.common.errors import UserError
from seq2seq.data.languages import is_heading
from seq2seq.data.streams import Source

SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "|"}
ROWS = 1000  # inspected
FEWEST = 3  # rows needed to recognise another separator than the name's
AGREEING = 0.9  # of the rows have as many fields as the first
UNCLOSED = 10_000  # characters of a quoted field that the sample may cut
DOUBLED, BACKSLASHED = r'[^"]*(?:""[^"]*)*', r'[^"\\]*(?:\\.[^"\\]*)*'  # text with quotation marks in quotes
DOUBLED_INSIDE = r'[^"\t\n]*(?:""[^"\t\n]*)+'
BARS = " ||| "  # of Moses and fast_align


Rows = list[list[tuple[bool, str]]]  # of each row the fields as written, and whether each is quoted


class Dialect(NamedTuple):
    """Separator and quoting of a file; `note` describes them if they differ from those of its name."""

    separator: str
    quoted: bool
    note: str = ""
    skipped: int = 0  # lines before the first row: `sep=;` of a spreadsheet


def detect(file: Source, kind: str) -> Dialect:
    """The dialect of a file of kind `csv` or `tsv`; raises UserError in doubt.

    The name's dialect is used unless rows of another, constant width contradict it. In TSV a quotation mark
    is text, unless all fields of the sample follow the rules of quoting and some need them.
    """
    path, text = file.path, _decode(file.sample)
    text = text[: text.rfind("\n") + 1] or text
    if declared := re.match(r"sep=(.)\r?\n", text):
        separator = declared[1]
        return Dialect(separator, True, f"line 1 names the separator {separator!r}", skipped=1)
    own = "," if kind == "csv" else "\t"
    separator = _separator(path, text, own, kind)
    quoted, note = True, ""
    if separator in "\t|":  # quotation marks may be rare
        marked = _decode(file.lines_with(b'"'))
        quoted, note = _quoting(path, text, marked, separator, kind)
    if separator != own:
        note = "; ".join(filter(None, [f"fields are separated by {SEPARATORS[separator]}", note]))
    if _lacks_a_name(text, separator, quoted):
        raise UserError(
            f"{path}: line 1 has one field less than the others, as R writes row names; write it with "
            "row.names = FALSE"
        )
    return Dialect(separator, quoted, note)


def _separator(path: Path, text: str, own: str, kind: str) -> str:
    is_own = _agreement(text, own, kind == "csv") >= AGREEING
    if is_own and not _is_punctuation(text, own):
        return own
    rows = [line for line in islice(text.splitlines(), ROWS) if line]
    enough = len(rows) >= FEWEST
    if enough and sum(BARS in row for row in rows) >= AGREEING * len(rows):
        raise UserError(
            f"{path}: fields are separated by |||; convert it: sed 's/ *||| */\\t/' OLD > NEW, named .tsv"
        )
    others = [
        other
        for other in SEPARATORS
        if other != own
        and (enough or (rows and all(map(is_heading, rows[0].split(other)))))
        and not _is_punctuation(text, other)
        and max(_agreement(text, other, quoted) for quoted in (True, False)) >= AGREEING
    ]
    if "\t" in others:  # sentences hold none
        return "\t"
    if len(others) > 1 and not is_own:
        raise UserError(
            f"{path}: it is not clear whether fields are separated by {' or '.join(map(repr, others))}; "
            "convert it to TSV, or quote the fields as CSV does"
        )
    return others[0] if len(others) == 1 else own


def _agreement(text: str, separator: str, quoted: bool) -> float:
    """The share of rows with as many fields as the first, if that has at least two."""
    widths = list(_widths(text, separator, quoted))
    return widths.count(widths[0]) / len(widths) if widths and widths[0] > 1 else 0.0


def _widths(text: str, separator: str, quoted: bool) -> Iterator[int]:
    """The number of fields of each row that is not blank, 0 if it cannot be parsed."""
    if not quoted:
        lines = re.split(r"\r?\n", text)
        yield from islice((len(line.split(separator)) for line in lines if line), ROWS)
        return
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    for _ in range(ROWS):
        try:
            if row := next(rows):
                yield len(row)
        except StopIteration:
            return
        except csv.Error:
            yield 0


def _is_punctuation(text: str, mark: str) -> bool:
    """Whether most of these marks outside quotes precede a blank, as in sentences."""
    text = re.sub('"[^"]*"', "", text)
    return mark != "\t" and 2 * len(re.findall(rf"{re.escape(mark)} ", text)) > text.count(mark)


def _decode(sample: bytes) -> str:
    return sample.decode("utf-8", "replace").replace("\ufeff", "")


def _quoting(path: Path, text: str, marked: str, separator: str, kind: str) -> tuple[bool, str]:
    """Whether fields are quoted, and a note on it, from the first lines and those with quotes."""
    rows = _parse(marked, separator)
    if rows is None:
        if re.match(r'"[^"\t\n]*"\t', text) and _parse(marked, separator, BACKSLASHED):
            raise UserError(
                f"{path}: quotation marks inside fields have a backslash, as R writes them; write it with "
                'qmethod = "double", or with quote = FALSE'
            )
        if re.search(
            rf'(^|{re.escape(separator)})"{DOUBLED_INSIDE}"({re.escape(separator)}|\r?$)', marked, re.M
        ):
            return False, "quotation marks are text, though some fields are quoted as in CSV: check them"
        return False, "quotation marks are text" if kind == "csv" else ""
    if kind == "csv":
        return True, ""
    if _has_program_quotes(rows, marked, separator):
        return True, "fields are quoted as in CSV"
    first_rows = _parse(text, separator) or []
    if _has_quoted_cells(first_rows):
        return True, "fields are quoted as in CSV"
    if len(first_rows) >= FEWEST and all(quoted for row in first_rows for quoted, _ in row):
        return (
            False,
            "every field has quotation marks, read as text; if they are not, name the file .csv",
        )
    return False, ""


def _has_program_quotes(rows: Rows, marked: str, separator: str) -> bool:
    """Whether rows with quotation marks, which follow the rules of quoting, were quoted by a program.

    Marks in a text follow the rules too, if a whole sentence is speech. A program doubles inner marks, and
    quotes fields with separators and line ends: rows then have one width only if read as quoted.
    """
    widths = [len(row) for row in rows]
    if not rows or widths.count(widths[0]) < AGREEING * len(widths):
        return False
    quoted = [value for row in rows for is_quoted, value in row if is_quoted]
    if any('""' in value for value in quoted):
        return True
    is_apart = any(separator in value or "\n" in value for value in quoted)
    return is_apart and len(set(widths)) == 1 < len(set(_widths(marked, separator, quoted=False)))


def _has_quoted_cells(rows: Rows) -> bool:
    """Whether the first rows have quoted headings, or marks around the fields with commas alone (Excel)."""
    if rows and all(is_quoted and is_heading(value) for is_quoted, value in rows[0]):
        return True
    cells = [cell for row in rows for cell in row]
    commas = all(is_quoted == ("," in value) for is_quoted, value in cells)
    return commas and sum(is_quoted for is_quoted, _ in cells) >= FEWEST


def _parse(text: str, separator: str, inside: str = DOUBLED) -> Rows | None:
    """The fields of each row, whether quoted and as written; None if one breaks the rules of quoting.

    A field with a quotation mark is quoted; `inside` is the pattern of the text in the marks.
    """
    apart = re.escape(separator)
    field = re.compile(rf'(?:"({inside})"|([^"{apart}\r\n]*))({apart}|\r?\n|\Z)')
    rows: Rows = [[]]
    place = 0
    while place < len(text) and len(rows) <= ROWS:
        found = field.match(text, place)
        if found is None:
            cut = text[place] == '"' and len(text) - place < UNCLOSED and place > UNCLOSED
            return rows[:-1] if cut and text.count('"', place) % 2 else None
        is_quoted = found[1] is not None
        rows[-1].append((is_quoted, found[1] if is_quoted else found[2]))
        if found[3] != separator:
            rows.append([])
        place = found.end()
    return [row for row in rows if row and row != [(False, "")]]


def _lacks_a_name(text: str, separator: str, quoted: bool) -> bool:
    """Whether the first row has headings, one fewer than each of the others has fields."""
    first, *others = list(_widths(text, separator, quoted)) or [0]
    if len(others) < FEWEST or set(others) != {first + 1}:
        return False
    return all(is_heading(cell.strip('"\r')) for cell in text.split("\n")[0].split(separator))
