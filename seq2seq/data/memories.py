"""Opens translation memories: TMX, XLIFF and PO as tables of pairs in two languages.

Why: a memory holds several languages, variants of one and units without a translation. The whole file is
read once before the first pair, so that languages, numbers and damage are known before anything is written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from seq2seq.common.errors import UserError
from seq2seq.data import po, xliff
from seq2seq.data.corpus import Pair
from seq2seq.data.languages import language_of
from seq2seq.data.rows import Malformed, Table, cut, pair
from seq2seq.data.streams import Source
from seq2seq.data.tmx import Tmx
from seq2seq.data.xliff import Xliff
from seq2seq.data.xml_stream import Handler, Unit, read

Languages = tuple[str | None, str | None]
MOST = 20  # languages listed in a message
UNSTATED = {*xliff.UNSTATED, *po.UNSTATED, ""}
HTML = "is an HTML page; was a download answered by a page of the server?"


class _Overview(NamedTuple):
    """The texts of each language, in order of their columns, and the units left out, by reason.

    `sets` are the numbers of units by the languages of their texts, of which bit n is the n-th that the file
    names.
    """

    languages: Mapping[str, int]
    left_out: Mapping[str, int]
    units: int
    places: Mapping[str, int]
    sets: Mapping[int, int]

    def without(self, names: tuple[str, str]) -> int:
        """The units that have no text in one of two languages: not translated, or of other languages."""
        both = sum(1 << self.places[name] for name in names)
        return sum(count for languages, count in self.sets.items() if languages & both != both)


def open_memory(
    file: Source, named: str, source: str | int, target: str | int, wanted: Languages = (None, None)
) -> Table:
    """Open a TMX, XLIFF or PO file; `named` is the kind by the file's name, `wanted` are the languages.

    Columns are languages: those wanted, or by number in the order of the file, its source language first.
    """
    found, units = _reader(file)
    about = _overview(file, units)
    names = choose(file.path, about.languages, (source, target), wanted)
    notes = [file.note, f"read as {found}" if found.lower() != named else "", _describe(about, names)]
    tags = tuple(language_of(name) for name in names)
    rows = _rows(units, names)
    return Table(names, "; ".join(filter(None, notes)), "unit", rows, (tags[0], tags[1]))


def _reader(file: Source) -> tuple[str, Callable[[], Iterator[tuple[Unit, str]]]]:
    """The kind of a file and a function that reads it: its units, with the language stated first."""
    if not file.is_xml:
        return "PO", lambda: ((unit, unit.texts[0][0]) for unit in po.units(file))
    root = _root(file)
    if root == "html":
        raise UserError(f"{file.path} {HTML}")
    if root not in ("tmx", "xliff"):
        raise UserError(
            f"{file.path} is XML with the root element {cut(root)}; there are tmx and xliff: export its "
            "sentence pairs as TMX or TSV"
        )

    def units() -> Iterator[tuple[Unit, str]]:
        handler = Tmx(file) if root == "tmx" else Xliff(file)
        return ((unit, handler.first) for unit in read(handler))

    return root.upper(), units


class _RootError(Exception):
    """Carries the name of an XML file's first element; ends the reading."""


class _Root(Handler):
    def start(self, name: str, parent: str, attributes: Mapping[str, str]) -> None:
        raise _RootError(name)


def _root(file: Source) -> str:
    """The name of an XML file's first element."""
    try:
        for _ in read(_Root(file)):
            pass
    except _RootError as found:
        return str(found)
    return ""


def _overview(file: Source, units: Callable[[], Iterator[tuple[Unit, str]]]) -> _Overview:
    counts, left_out, sets = Counter[str](), Counter[str](), Counter[int]()
    places: dict[str, int] = {}
    first, number = "", 0
    for unit, stated in units():
        first, number = stated, unit.number
        counts.update({tag(language) for language, _ in unit.texts})
        for language, _ in unit.texts:
            places.setdefault(tag(language), len(places))
        if unit.left_out:
            left_out[unit.left_out] += 1
        else:
            sets[sum(1 << places[name] for name in {tag(language) for language, _ in _usable(unit)})] += 1
    if not number:
        raise UserError(f"{file.path}: holds no unit (tu, trans-unit, segment or msgid)")
    ordered = sorted(places, key=lambda name: not (first and _matches(tag(first), name)))
    return _Overview({name: counts[name] for name in ordered}, left_out, number, places, sets)


def _describe(about: _Overview, names: tuple[str, str]) -> str:
    count = f"{about.units:,} unit{'s' * (about.units != 1)}"
    parts = [f"{number:,} {reason}" for reason, number in about.left_out.items()]
    if number := about.without(names):
        parts.append(f"{number:,} without a text in {' or '.join(names)}")
    return f"{count}, of which are left out: {', '.join(parts)}" if parts else count


def _usable(unit: Unit) -> list[tuple[str, str]]:
    """The texts of a unit that are not empty, all of one with a fault, which may have lost its text."""
    return [one for one in unit.texts if one[1] or unit.fault]


def _rows(
    units: Callable[[], Iterator[tuple[Unit, str]]], names: tuple[str, str]
) -> Iterator[Pair | Malformed]:
    for unit, _ in units():
        if unit.left_out:
            continue
        texts: dict[str, list[str]] = {name: [] for name in names}
        for language, text in _usable(unit):
            if (name := tag(language)) in texts:
                texts[name].append(text)
        if not all(texts.values()):
            continue  # counted as `_Overview.without`
        reason = unit.fault or next(filter(None, (_fault(texts[name], name) for name in names)), "")
        if reason:
            yield Malformed(unit.number, f"{unit.place}: {reason}")
        else:
            row = pair(unit.number, names, texts[names[0]][0], texts[names[1]][0])
            yield row if isinstance(row, Pair) else Malformed(row.line, f"{unit.place}: {row.reason}")


def _fault(texts: list[str], name: str) -> str:
    """The reason for which the texts of a language cannot be used; empty if there is one."""
    return f"{len(texts)} texts in {name}: remove all but one" if len(texts) > 1 else ""


@lru_cache(1000)
def tag(language: str) -> str:
    """A language of a file in one case: de-DE of DE-DE and de_de; unknown names stay as they are."""
    first, *parts = re.split("[-_]", language.strip())
    others = (part.title() if len(part) == 4 else part.upper() for part in parts)
    written = "-".join([first.lower(), *others])
    return language_of(written) or (written if parts else language.strip())


def choose(
    path: Path, counts: Mapping[str, int], columns: tuple[str | int, str | int], wanted: Languages
) -> tuple[str, str]:
    """The names of the source and target language among those of a file; raises UserError in doubt.

    A language wanted, or a column given by name, matches that language or its only variant in the file.
    """
    names = list(counts)
    asked = [
        language or (column if isinstance(column, str) else None)
        for column, language in zip(columns, wanted, strict=True)
    ]
    if UNSTATED.issuperset(names):  # then the order is all that the file states
        asked = [None if name not in names else name for name in asked]
    chosen = [name and _match(path, counts, name) for name in asked]
    for side, other in ((0, 1), (1, 0)):
        rest = [name for name in names if name != chosen[other]]
        unstated = [name for name in rest if name in UNSTATED]
        if chosen[side] is None and asked[side] and len(unstated) == 1:
            chosen[side] = unstated[0]  # the file does not state this side's language
        elif chosen[side] is None and not asked[side] and chosen[other] is not None and len(rest) == 1:
            chosen[side] = rest[0]
    for side, name in enumerate(asked):
        number = columns[side]
        if chosen[side] is None and not name and isinstance(number, int) and len(names) == 2:
            chosen[side] = names[number] if number < 2 else None
    source, target = chosen
    if source is None or target is None or source == target:
        raise UserError(_undecided(path, counts, asked))
    return source, target


def _match(path: Path, counts: Mapping[str, int], wanted: str) -> str | None:
    """The name of a wanted language in a file; None if there is none, UserError if there are several."""
    if (exact := tag(wanted)) in counts:
        return exact
    variants = [name for name in counts if _matches(exact, name)]
    if len(variants) > 1:
        raise UserError(
            f"{path} holds several variants of {wanted}: {_listed({name: counts[name] for name in variants})}"
            "\n  set ingest.source_language or ingest.target_language to one of them"
        )
    return variants[0] if variants else None


def _matches(tag_: str, name: str) -> bool:
    """Whether one of two languages is the other with a script or region: de and de-DE."""
    return name == tag_ or name.startswith(f"{tag_}-") or tag_.startswith(f"{name}-")


def _undecided(path: Path, counts: Mapping[str, int], asked: list[str | None]) -> str:
    missing = [name for name in asked if name and not any(_matches(tag(name), one) for one in counts)]
    listed = f"its languages are: {_listed(counts)}"
    remedy = "set ingest.source_language and ingest.target_language to two of them"
    if missing:
        return f"{path} has no language {' or '.join(missing)}; {listed}\n  {remedy}"
    if len(counts) < 2:
        return f"{path} holds one language; a pair needs two: {_listed(counts)}"
    return f"{path}: which language is the source, which the target? {listed}\n  {remedy}"


def _listed(counts: Mapping[str, int]) -> str:
    """Languages with their numbers of texts, the most frequent first."""
    frequent = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{cut(name) or 'not stated'} ({count:,})" for name, count in frequent[:MOST])
    return shown + ", …" * (len(frequent) > MOST)
