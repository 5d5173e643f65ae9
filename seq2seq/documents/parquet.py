"""Parquet: the rows and columns of a file, with new columns at the end.

Why: rows are read by row group, so that memory does not depend on the size of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from seq2seq.common.errors import UserError
from seq2seq.documents.records import Lines, Record, Shard, find_column

TYPES = (pa.string(), pa.float64(), pa.float64())  # of the new columns


class Parquet(Lines):
    """Rows; a null stays null."""

    unit = "row"

    def cut(self, path: Path, size: int) -> tuple[bytes, list[Shard]]:
        """See Lines. A shard has rows of one row group; begin is the number of the group."""
        file = _opened(path)
        schema = file.schema_arrow
        if not self.columns.column:
            raise UserError("a table needs --column: the name of a column")
        kind = schema.field(find_column(self.columns, schema.names)).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UserError(f"--column {self.columns.column}: it has the type {kind}, not text")
        found: list[Shard] = []
        row = 1
        for group in range(file.num_row_groups):
            left = file.metadata.row_group(group).num_rows
            for begin in range(0, left, size):
                count = min(size, left - begin)
                found.append(Shard(len(found), group, begin, row, count))
                row += count
        return b"", found

    def read(self, path: Path, shard: Shard) -> Iterator[tuple[int, Record]]:
        """See Lines."""
        table = _opened(path).read_row_group(shard.begin, columns=[self.columns.column])
        values = table.column(0).slice(shard.end, shard.records).to_pylist()
        for number, text in enumerate(values, shard.first):
            yield number, Record([] if text is None else [text], self._written)

    def _written(self, found: object) -> bytes:
        translations = found if isinstance(found, list) else []
        values = self.columns.values(translations[0]) if translations else [None] * len(self.columns.names)
        return json.dumps(values).encode() + b"\n"

    def join(self, path: Path, header: bytes, parts: Iterator[Path], out: BinaryIO) -> None:
        """See Lines."""
        file = _opened(path)
        schema = file.schema_arrow
        for name, kind in zip(self.columns.names, TYPES, strict=False):
            schema = schema.append(pa.field(name, kind))
        with pq.ParquetWriter(out, schema) as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                rows: list[list[object]] = []
                while len(rows) < len(table):
                    rows += map(json.loads, next(parts).read_bytes().splitlines())
                for column, (name, kind) in enumerate(zip(self.columns.names, TYPES, strict=False)):
                    table = table.append_column(name, pa.array([row[column] for row in rows], kind))
                writer.write_table(table.cast(schema), row_group_size=max(len(table), 1))
            for _ in parts:  # the last results are taken, so that workers end
                pass


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a Parquet file: {error}") from None
