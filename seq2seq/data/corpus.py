"""A corpus on disk: one Parquet file a split, read and written in batches.

Why: no stage needs all texts of a large corpus in memory, and the same pairs give the same bytes.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice
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
    folder.mkdir(parents=True, exist_ok=True)
    rows = 0
    pairs = iter(pairs)
    with pq.ParquetWriter(split_path(folder, split), SCHEMA, compression="zstd") as writer:
        while batch := list(islice(pairs, BATCH)):
            columns = [pa.array(column, pa.string()) for column in zip(*batch, strict=True)]
            writer.write_table(pa.table(columns, schema=SCHEMA))
            rows += len(batch)
    return rows


def read_split(folder: Path, split: str) -> Iterator[Pair]:
    """The pairs of a split, in order, in bounded memory."""
    with pq.ParquetFile(split_path(folder, split)) as file:
        for batch in file.iter_batches(BATCH):
            columns = (batch.column(name).to_pylist() for name in SCHEMA.names)
            yield from map(Pair._make, zip(*columns, strict=True))


def count_pairs(folder: Path, split: str) -> int:
    """The number of pairs of a split, from its metadata."""
    return int(pq.read_metadata(split_path(folder, split)).num_rows)


def evaluation_sets(folder: Path) -> list[str]:
    """The names of the evaluation sets of a corpus: validation, test and then the others, sorted."""
    others = {path.stem for path in folder.glob("*.parquet")} - {"train", "validation", "test"}
    return ["validation", "test", *sorted(others)]
