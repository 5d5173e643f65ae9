"""A corpus on disk: one Parquet file a split, read and written in batches.

Why: no stage needs all texts of a large corpus in memory, and the same pairs give the same bytes.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 10_000  # rows held in memory at once

# Unicode's default ignorable code points that are no letters, as the inside of a character class.
# Not part of any spelling: soft hyphen, zero-width space, marks of direction (U+061C too), byte order mark
NEEDLESS = "\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
# Parts of the spelling: (non-)joiners, and variation selectors of Mongolian (with its vowel separator U+180E,
# which gives a final vowel its form), of Han and of emoji, tags of flags
SPELLING = "\u034f\u17b4\u17b5\u180b-\u180f\u200c\u200d\ufe00-\ufe0f"
SPELLING += "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
INVISIBLE = re.compile(f"[{NEEDLESS}{SPELLING}]")

SCHEMA = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("target", pa.string()),
        pa.field("alignment", pa.string()),  # Pharaoh pairs "0-0 1-2" over words; null if unknown
        pa.field("origin", pa.string()),  # the name of its source in `ingest.sources`; null in data/raw
    ]
)


class Pair(NamedTuple):
    """A sentence, its translation and, if known, their word alignment and the source of the corpus."""

    source: str
    target: str
    alignment: str | None = None
    origin: str | None = None


@lru_cache(4096)  # clean needs the form of a text several times
def normalise(text: str) -> str:
    """A form in which equal sentences agree: NFKC, case folded, single spaces, no invisible characters.

    Invisible characters, part of the spelling in some scripts, stay in the text itself; but some programs
    write them and others do not.
    """
    if not text.isascii():
        text = INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return " ".join(text.casefold().split())


def digest(text: str) -> int:
    """A 64-bit hash of the normalised text, the same in every process and version."""
    data = normalise(text).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def split_path(folder: Path, split: str) -> Path:
    """The file of a split."""
    return folder / f"{split}.parquet"


def write_split(folder: Path, split: str, pairs: Iterable[Pair]) -> int:
    """Write a split in batches; returns the number of pairs written."""

    def tables() -> Iterator[pa.Table]:
        rest = iter(pairs)
        while batch := list(islice(rest, BATCH)):
            yield to_table(batch)

    return write_tables(folder, split, tables())


def to_table(pairs: Iterable[Pair]) -> pa.Table:
    """Pairs as an Arrow table."""
    columns = list(zip(*pairs, strict=True)) or [()] * len(SCHEMA)
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=SCHEMA)


def to_pairs(table: pa.Table | pa.RecordBatch) -> Iterator[Pair]:
    """The pairs of a table that has at least the columns of SCHEMA."""
    columns = (table.column(name).to_pylist() for name in SCHEMA.names)
    return map(Pair._make, zip(*columns, strict=True))


def write_tables(folder: Path, split: str, tables: Iterable[pa.Table]) -> int:
    """Write a split from tables of SCHEMA of any size; returns the number of pairs written.

    The bytes depend on the pairs alone: a row group has BATCH of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, rest = 0, to_table(())
    with pq.ParquetWriter(split_path(folder, split), SCHEMA, compression="zstd") as writer:
        for table in tables:
            rest = pa.concat_tables([rest, table])
            while len(rest) >= BATCH:
                writer.write_table(rest.slice(0, BATCH).combine_chunks())
                rest = rest.slice(BATCH)
                rows += BATCH
        if len(rest):
            writer.write_table(rest.combine_chunks())
            rows += len(rest)
    return rows


def read_split(folder: Path, split: str) -> Iterator[Pair]:
    """The pairs of a split, in order, in bounded memory."""
    return read_rows(split_path(folder, split))


def read_rows(path: Path, start: int = 0, stop: int | None = None) -> Iterator[Pair]:
    """The pairs of the rows `start` to `stop` of a split's file, in order, in bounded memory."""
    for table in read_tables(path, start, stop):
        yield from to_pairs(table)


def read_tables(path: Path, start: int = 0, stop: int | None = None) -> Iterator[pa.Table]:
    """The rows `start` to `stop` of a split's file as tables of at most BATCH rows.

    Reads the row groups with these rows, and no other.
    """
    # Buffered ahead, the whole file would come to be in memory.
    with pq.ParquetFile(path, pre_buffer=False) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ends = list(accumulate(sizes))
        stop = min(stop, sum(sizes)) if stop is not None else sum(sizes)
        if start >= stop:
            return
        first, last = bisect_right(ends, start), bisect_left(ends, stop)
        at = ends[first] - sizes[first]
        for batch in file.iter_batches(BATCH, row_groups=list(range(first, last + 1)), columns=SCHEMA.names):
            begin, end = max(start - at, 0), min(stop - at, batch.num_rows)
            if begin < end:
                yield pa.Table.from_batches([batch.slice(begin, end - begin)], SCHEMA)
            at += batch.num_rows


def sample(path: Path, step: int, first: int = 0) -> Iterator[Pair]:
    """Every `step`-th pair of a split's file, from row `first` on."""
    at = 0
    for table in read_tables(path):
        rows = range(first - at, len(table), step)
        first += step * len(rows)
        yield from to_pairs(table.take(pa.array(rows, pa.int64())))
        at += len(table)


def count_pairs(folder: Path, split: str) -> int:
    """The number of pairs of a split, from its metadata."""
    return count_rows(split_path(folder, split))


def evaluation_sets(folder: Path) -> list[str]:
    """The names of the evaluation sets of a corpus: validation, test and then the others, sorted."""
    others = {path.stem for path in folder.glob("*.parquet")} - {"train", "validation", "test"}
    return ["validation", "test", *sorted(others)]


def count_rows(path: Path) -> int:
    """The number of pairs of a split's file, from its metadata."""
    return int(pq.read_metadata(path).num_rows)
