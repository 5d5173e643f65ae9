"""Reads columns of Parquet and Arrow files in bounded memory.

Why: datasets are distributed in these formats, flat or with pairs nested under `translation`, and values
that are not UTF-8 are reported row by row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seq2seq.common.errors import UserError
from seq2seq.data.streams import EXPANDED, RATIO, unreadable

BATCH = 10_000  # rows held in memory at once
NESTED = "translation"  # the feature of hub datasets that contains a pair, by language


class Columns:
    """A Parquet or Arrow file: `names` of its columns, or of those nested under `translation`.

    `outer` are names of top-level columns: if one exists, `translation` is not used.
    """

    def __init__(self, path: Path, is_arrow: bool, outer: Sequence[Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path, self.is_arrow = path, is_arrow
        try:
            schema = _arrow(path)[0] if is_arrow else pq.read_schema(path)
        except (pa.ArrowException, ValueError) as error:
            kind = "an Arrow" if is_arrow else "a Parquet"
            raise UserError(f"{path}: not {kind} file: {error}") from None
        self.is_nested = (
            NESTED in schema.names
            and not any(name in schema.names for name in outer)
            and pa.types.is_struct(schema.field(NESTED).type)
        )
        self.names: list[str] = (
            [field.name for field in schema.field(NESTED).type] if self.is_nested else schema.names
        )

    def rows(self, names: tuple[str, str]) -> Iterator[tuple[Any, Any]]:
        """The values of two columns, row by row; those that are not UTF-8 are bytes."""
        import pyarrow as pa

        wanted = [NESTED] if self.is_nested else list(dict.fromkeys(names))
        tables = _arrow(self.path)[1] if self.is_arrow else _parquet(self.path, wanted)
        for table in tables:
            if self.is_nested:
                table = pa.Table.from_struct_array(table.column(NESTED))
            source, target = (_values(table.column(name)) for name in names)
            yield from zip(source, target, strict=True)


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


def _arrow(path: Path) -> tuple[Any, Iterator[Any]]:
    """Schema and tables of an Arrow file or stream, which `Dataset.save_to_disk` writes; memory-mapped."""
    import pyarrow as pa

    def tables() -> Iterator[Any]:
        batches = (
            (reader.get_batch(number) for number in range(reader.num_record_batches)) if is_file else reader
        )
        try:
            for batch in batches:
                for start in range(0, batch.num_rows, BATCH):
                    yield pa.Table.from_batches([batch.slice(start, BATCH)])
        except (OSError, ValueError) as error:  # Arrow's errors are ValueErrors
            raise unreadable(path, error) from None

    file = pa.memory_map(str(path))
    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
    return reader.schema, tables()


def _parquet(path: Path, columns: list[str]) -> Iterator[Any]:
    """Columns of a Parquet file as Arrow tables, in bounded memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_size(path)
    try:
        # Buffered ahead, as `datasets` does, the whole file would come to be in memory.
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(BATCH, columns=columns):
                yield pa.Table.from_batches([batch])
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def _check_size(path: Path) -> None:
    """Raises UserError if row groups expand more than text does."""
    import pyarrow.parquet as pq

    about = pq.read_metadata(path)
    sizes = [about.row_group(number).total_byte_size for number in range(about.num_row_groups)]
    if sum(sizes) > max(EXPANDED, RATIO * path.stat().st_size):
        raise UserError(
            f"{path} expands to more than {EXPANDED:,} bytes and {RATIO} times its size; text does not"
        )
