"""Reads the files of a source in order: its pairs, malformed rows, repeated headers and printed samples.

Why: samples reveal swapped columns and shifted files before hours of training, and a few malformed rows of a
large corpus may be left out by a decision, never silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from seq2seq.common.errors import UserError
from seq2seq.common.progress import Progress
from seq2seq.common.schema import Source
from seq2seq.data import formats
from seq2seq.data.corpus import Pair
from seq2seq.data.rows import Malformed, Repeated, Table, cut
from seq2seq.data.splits import File

SAMPLE = 200  # characters of a side that a printed sample shows
LISTED = 5  # malformed rows named in the error
PATIENCE = 100  # malformed rows more than allowed after which reading stops


class Reader:
    """Reads files in order, and counts malformed rows and repeated headers of all of them."""

    def __init__(self, source: Source, allowed: int, progress: Progress) -> None:
        self.source, self.allowed, self.progress = source, allowed, progress
        self.columns = ("", "")
        self.malformed: list[str] = []
        self.repeated, self._first_repeated = 0, ""
        self._announced = ""

    def pairs(self, files: Iterable[File]) -> Iterator[Pair]:
        """The pairs of the files; raises UserError as `check` does."""
        for file in files:
            columns = self.source.source_column, self.source.target_column
            languages = self.source.source_language, self.source.target_language
            table = formats.open_table(file.path, *columns, languages)
            self._announce(file, table)
            for row in table.rows:
                self.progress.advance()
                if isinstance(row, Malformed):
                    self.malformed.append(f"{file.path}, {table.unit} {row.line}: {row.reason}")
                    self.check()
                elif isinstance(row, Repeated):
                    self.repeated += 1
                    self._first_repeated = self._first_repeated or f"{file.path}, {table.unit} {row.line}"
                else:
                    yield row

    def check(self, final: bool = False) -> None:
        """Raises UserError, naming rows, if too many are malformed: at the end, or if far too many."""
        if final and self.repeated:
            times = f"{self.repeated:,} time{'s' * (self.repeated > 1)}"
            print(f"ingest: the header is repeated {times} and left out, first in {self._first_repeated}")
        count, allowed = len(self.malformed), self.allowed
        if count <= allowed + (0 if final else PATIENCE):
            if final and count:
                listed = "".join(f"\n  {text}" for text in self.malformed[:LISTED])
                print(f"ingest: {count:,} malformed rows left out, {allowed:,} are allowed:{listed}")
            return
        rows = "1 malformed row" if count == 1 else f"{count:,} malformed rows"
        listed = "\n  ".join(self.malformed[:LISTED] + ["…"] * (count > LISTED))
        raise UserError(
            f"{rows}{'' if final else ' so far'}:\n  {listed}\n"
            f"  repair them, or leave them out with ingest.max_malformed_rows (now {allowed:,})"
        )

    def named_columns(self) -> dict[str, str]:
        """The names of the columns read."""
        return {"source": self.columns[0], "target": self.columns[1]}

    def _announce(self, file: File, table: Table) -> None:
        self.columns = table.columns
        if table.announcement != self._announced:
            self._announced = table.announcement
            source, target = table.columns
            self.progress.write(
                f"ingest: {file.name}: {self._announced}; source is {source}, target is {target}"
            )
            if any(table.languages) and not (self.source.source_language or self.source.target_language):
                keys = zip(("source_language", "target_language"), table.languages, strict=True)
                stated = ", ".join(f"{key}={language}" for key, language in keys if language)
                self.progress.write(
                    f"  the languages are not set; the file states {stated}: set them with seq2seq use --set"
                )


def sampled(pairs: Iterator[Pair], progress: Progress) -> Iterator[Pair]:
    """Yield pairs unchanged; print the first two, and at the end one from the middle third.

    The first ones reveal swapped columns, a column of ids or a header, the middle one files that differ.
    """
    number, later, kept = 0, 3, [(0, Pair("", ""))] * 2
    for pair in pairs:
        number += 1
        if number <= 2:
            show(number, pair, progress)
        elif number == later:  # each number kept is 1.5 times the previous one
            kept = [kept[1], (number, pair)]
            later += (number + 1) // 2
        yield pair
    middle = min(kept, key=lambda one: abs(one[0] - number / 2))
    if middle[0]:
        show(*middle, progress)


def show(number: int, pair: Any, progress: Progress | None = None) -> None:
    """Print a pair of the training split as a sample, with its number unless it is one of the first."""
    print_line = progress.write if progress else print
    place = f"pair {number:,}: " if number > 2 else ""
    print_line(f"  {place}{cut(pair[0], SAMPLE)} → {cut(pair[1], SAMPLE)}")
