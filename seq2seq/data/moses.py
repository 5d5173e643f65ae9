"""Reads a corpus of one file for each language, aligned by line: `train.de` and `train.en`.

Why: Moses, OPUS and WMT distribute corpora so. A line that is missing on one side shifts all following ones,
so the lines of both are counted before the first pair.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from seq2seq.common.errors import UserError
from seq2seq.data.corpus import Pair
from seq2seq.data.languages import language_of
from seq2seq.data.memories import Languages, choose, tag
from seq2seq.data.rows import Malformed, Table, pair
from seq2seq.data.streams import PACKINGS, Source, check_line_ends, decode

FARTHEST = 10_000  # lines more on one side up to which the place of the shift is looked for


class Half(NamedTuple):
    """The name of a file of one language: `train` and `de` of train.de.gz."""

    stem: str
    language: str


def half(path: Path) -> Half | None:
    """The parts of such a file's name; None for other names."""
    name = Path(path.stem) if path.suffix.lower() in PACKINGS else Path(path.name)
    language = name.suffix[1:]
    return Half(name.stem, language) if name.stem and language and language_of(language) else None


def beside(path: Path) -> list[Path]:
    """The files of a corpus, one for each language, of which `path` is one or the common stem."""
    of = half(path) if path.is_file() else Half(path.name, "")
    if of is None or not path.parent.is_dir():
        return []
    names = ((other, half(other)) for other in sorted(path.parent.iterdir()) if other.is_file())
    return [other for other, parts in names if parts and parts.stem == of.stem]


def alone(path: Path) -> UserError:
    """The error for a file of one language without the other; names files whose language is not known."""
    of = half(path)
    for other in sorted(path.parent.glob("*")):
        name = Path(other.stem) if other.suffix.lower() in PACKINGS else Path(other.name)
        code = name.suffix[1:]
        if of and other != path and name.stem == of.stem and re.fullmatch("[a-z]{2,3}", code):
            return UserError(
                f"{path} holds one language; {other.name} beside it may be the other one, but {code} is no "
                "code that is known here: join them into a file of two columns:\n"
                f"  paste {path} {other} > {path.with_name(of.stem + '.tsv')}\n"
                "  and name that file in ingest.path, with ingest.source_language and ingest.target_language"
            )
    return UserError(
        f"{path} holds one language; put the file of the other one beside it, of the same name up to the "
        "language"
    )


def check_path(path: Path) -> None:
    """Raises UserError if a path of params.yaml is one file of two: DVC would follow that one alone."""
    if path.is_dir() or (path.is_file() and half(path) is None):
        return
    if len(files := beside(path)) > 1:
        of = half(files[0])
        folder = path.with_name(of.stem if of else path.name)
        moved = " ".join(map(str, files))
        raise UserError(
            f"ingest.path: {path} is a corpus of {len(files)} files, {', '.join(f.name for f in files)}; DVC "
            f"follows one path: put them into a folder: mkdir -p {folder} && mv {moved} {folder}\n"
            f"  and set ingest.path={folder}"
        )


def parts(path: Path) -> list[Path]:
    """All files that are read for a file of a corpus: also that of the other language."""
    return beside(path) if half(path) else [path]


def open_lines(path: Path, source: str | int, target: str | int, wanted: Languages) -> Table:
    """Open a file of one language and that beside it of the other.

    Columns are languages, by number in alphabetical order. Unequal numbers of lines raise UserError at the
    first row.
    """
    files: dict[str, Source] = {}
    for file in beside(path):
        of = half(file)
        name = tag(of.language) if of else ""
        if name in files:
            raise UserError(f"{files[name].path} and {file} are of one language: remove one")
        files[name] = Source(file)
    if len(files) < 2:
        raise alone(path)
    counts = {name: sum(1 for _ in file.lines()) for name, file in files.items()}
    names = choose(path, counts, (source, target), wanted)
    sides = files[names[0]], files[names[1]]
    if not counts[names[0]]:
        raise UserError(f"{path}: holds no line")
    notes = [file.note and f"{file.path.name}: {file.note}" for file in sides]
    announced = f"lines of {sides[0].path.name} and {sides[1].path.name}"
    tags = language_of(names[0]), language_of(names[1])
    return Table(
        names, "; ".join(filter(None, [*notes, announced])), "line", _rows(sides, names, counts), tags
    )


def _rows(
    sides: tuple[Source, Source], names: tuple[str, str], counts: Mapping[str, int]
) -> Iterator[Pair | Malformed]:
    if counts[names[0]] != counts[names[1]]:
        raise UserError(_unequal(sides, (counts[names[0]], counts[names[1]])))
    for number, lines in enumerate(zip(*(side.lines() for side in sides), strict=True), 1):
        texts = []
        for side, line in zip(sides, lines, strict=True):
            if number == 1:
                check_line_ends(side.path, line)
            try:
                texts.append(decode(line).removesuffix("\n").removesuffix("\r"))
            except UnicodeDecodeError:
                texts = [f"{side.path.name} is not valid UTF-8: {line[:60]!r}"]
                break
            except ValueError as error:
                texts = [f"{side.path.name} has {error}"]
                break
        if len(texts) < 2:
            yield Malformed(number, texts[0])
        elif any(texts):
            yield pair(number, names, *texts)


def _unequal(sides: tuple[Source, Source], counts: tuple[int, int]) -> str:
    """The message about unequal numbers of lines, with the place where one has lines more."""
    both = " and ".join(f"{side.path} has {count:,} lines" for side, count in zip(sides, counts, strict=True))
    if counts[0] < counts[1]:
        sides = sides[1], sides[0]
    difference = abs(counts[0] - counts[1])
    place = _shift(sides[0], sides[1], difference) if difference <= FARTHEST and min(counts) else 0
    hint = f"\n  by the lengths of lines, {sides[0].path.name} has lines more near line {place:,}"
    return f"{both}; each line must be the translation of the same line" + hint * bool(place)


def _shift(longer: Source, shorter: Source, difference: int) -> int:
    """The line after which pairs fit better if the longer file is moved up by the difference."""
    sums = [sum(map(len, side.lines())) + 1 for side in (longer, shorter)]
    ratio = sums[0] / sums[1]

    def distance(one: bytes, other: bytes) -> float:
        return abs(math.log((len(one) + 5) / (len(other) * ratio + 5)))

    lines = longer.lines()
    window = deque(islice(lines, difference))
    total = best = 0.0
    place = 0
    for number, line in enumerate(shorter.lines(), 1):
        window.append(next(lines, b""))
        total += distance(window.popleft(), line) - distance(window[-1], line)
        if total < best:
            best, place = total, number
    return place + 1
