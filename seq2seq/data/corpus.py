"""A corpus on disk: one Parquet file a split, read and written in batches.

Why: no stage needs all texts of a large corpus in memory, and the same pairs give the same bytes.
"""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import accumulate, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
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


def normalise(text: str) -> str:
    """A form in which equal sentences agree: NFKC, case folded, single spaces, no invisible characters.

    Invisible characters, part of the spelling in some scripts, stay in the text itself; but some programs
    write them and others do not.
    """
    return normalise_all([text])[0]


def normalise_all(texts: Sequence[str]) -> list[str]:
    """The normalised form of each text; together, those that are not ASCII take half of the time."""
    folded = iter(_folded([text for text in texts if not text.isascii()]))
    return [single_spaced(text.lower() if text.isascii() else next(folded)) for text in texts]


def _folded(texts: Sequence[str]) -> list[str]:
    """Texts in NFKC, case folded, without invisible characters."""
    if not texts:
        return []
    joined = compatible(lines(texts))
    if _invisible().take(code_points(joined)).any():
        joined = INVISIBLE.sub("", joined)
    return joined.casefold().split("\n")


def compatible(text: str) -> str:
    """A text in NFKC; of one that is not, only the lines that are not are written again."""
    if unicodedata.is_normalized("NFKC", text):
        return text
    return "\n".join([unicodedata.normalize("NFKC", line) for line in text.split("\n")])


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


class LetterTable:
    """A number for each code point, computed when a text has it for the first time; `NEW` is no number."""

    NEW = -1

    def __init__(self, number: Callable[[str], int]) -> None:
        self._number = number
        self._found = np.full(sys.maxunicode + 1, self.NEW, np.int64)

    def look_up(self, codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        """The number of each code point."""
        found: npt.NDArray[np.int64] = self._found.take(codes)
        if (new := codes[found == self.NEW]).size:
            for code in set(new.tolist()):
                self._found[code] = self._number(chr(code))
            found = self._found.take(codes)
        return found


@cache
def _invisible() -> npt.NDArray[np.bool_]:
    """Whether INVISIBLE has each code point: looked up faster than searched for."""
    found = np.zeros(sys.maxunicode + 1, np.bool_)
    found[[match.start() for match in INVISIBLE.finditer("".join(map(chr, range(sys.maxunicode + 1))))]] = (
        True
    )
    return found


def single_spaced(text: str) -> str:
    """A text with one blank between two words, and nowhere else."""
    if text.isprintable() and "  " not in text and text.strip(" ") == text:
        return text  # most texts: a blank is the only white space that is printable
    return " ".join(text.split())


def lines(texts: Sequence[str]) -> str:
    """Texts as one, each of them a line; ends of lines inside them become blanks."""
    joined = "\n".join(texts)
    if joined.count("\n") >= len(texts):
        joined = "\n".join(text.replace("\n", " ") for text in texts)
    return joined


def digest(text: str) -> int:
    """A 64-bit hash of the normalised text, the same in every process and version."""
    return int(digests([normalise(text)])[0])


def digests(normalised: Sequence[str]) -> npt.NDArray[np.uint64]:
    """The digest of each text, by its normalised form."""
    blake2b = hashlib.blake2b
    data = b"".join(
        blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in normalised
    )
    return np.frombuffer(data, ">u8").astype(np.uint64)


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


def normalised(pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs with both sides in normalised form."""
    sides = (normalise_all([pair[side] or "" for pair in pairs]) for side in (0, 1))
    return list(map(Pair, *sides))


def to_pairs(table: pa.Table | pa.RecordBatch) -> Iterator[Pair]:
    """The pairs of a table that has at least the columns of SCHEMA."""
    columns = (table.column(name).to_pylist() for name in SCHEMA.names)
    return map(Pair._make, zip(*columns, strict=True))


def write_tables(folder: Path, split: str, tables: Iterable[pa.Table]) -> int:
    """Write a split from tables of SCHEMA of any size; returns the number of pairs written.

    The bytes depend on the pairs alone: a row group has BATCH of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = 0
    with (
        pq.ParquetWriter(split_path(folder, split), SCHEMA, compression="zstd") as writer,
        ThreadPoolExecutor(1) as thread,  # compresses a row group while the next is made
    ):
        written = thread.submit(len, ())
        for group in _row_groups(tables):
            written.result()
            written = thread.submit(writer.write_table, group)
            rows += len(group)
        written.result()
    return rows


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    rest = to_table(())
    for table in tables:
        rest = pa.concat_tables([rest, table])
        while len(rest) >= BATCH:
            yield rest.slice(0, BATCH).combine_chunks()
            rest = rest.slice(BATCH)
    if len(rest):
        yield rest.combine_chunks()


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
