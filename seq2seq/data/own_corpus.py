"""Derives the languages of a user's corpus and a registered name of its own for its models.

Why: a model of another corpus, or of the other direction, must neither compete with a recipe's model nor be
scored as if its target were the recipe's language.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Set
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from seq2seq.common.errors import UserError
from seq2seq.common.params import ParamsError, read_document
from seq2seq.data import languages, moses
from seq2seq.data.memories import Languages

COLUMNS = ("source_column", "target_column")
LANGUAGES = ("source_language", "target_language")
ROWS = 50  # of a file that are inspected
OWN = {"ingest.path", *(f"ingest.{key}" for key in COLUMNS)}  # parameters that change the corpus


def complete(assigned: Set[str], before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str | None]:
    """Languages and name of a corpus whose path or columns were just assigned, for `recipes.apply`.

    Languages come from the columns' names, the header, the file's name or the folder's, or else are null.
    They stay unchanged if path and columns do.
    """
    if not assigned & OWN:
        return {}
    ingest, earlier = now["ingest"], before["ingest"]
    if all(ingest[key] == earlier[key] for key in ("path", *COLUMNS)):
        kept = {f"ingest.{key}": earlier[key] for key in LANGUAGES}
        return kept | {"register.name": before["register"]["name"]}
    moses.check_path(Path(ingest["path"]))
    asked = [ingest[key] if f"ingest.{key}" in assigned else None for key in LANGUAGES]
    found = _swapped(earlier, ingest) or _languages(ingest, (asked[0], asked[1]))
    given = [
        ingest[key] if f"ingest.{key}" in assigned else value
        for key, value in zip(LANGUAGES, found, strict=True)
    ]
    values = {f"ingest.{key}": value for key, value in zip(LANGUAGES, found, strict=True)}
    return values | {"register.name": _name(ingest, *given)}


def _swapped(before: Mapping[str, Any], now: Mapping[str, Any]) -> Languages | None:
    """The languages of a corpus whose columns were just swapped; None if they were not."""
    if before["path"] != now["path"] or [now[key] for key in COLUMNS] != [
        before[key] for key in COLUMNS[::-1]
    ]:
        return None
    return before["target_language"], before["source_language"]


def _languages(ingest: Mapping[str, Any], asked: Languages) -> Languages:
    """The languages of a corpus; `asked` are those just set, which decide between more than two in a file."""
    path = Path(ingest["path"])
    source, target = (ingest[key] for key in COLUMNS)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        with suppress(ParamsError):  # `ingest` reports its errors
            document = read_document(path)
            if "rules" in document:  # a grammar names its languages
                return document.get("source_language"), document.get("target_language")
    columns, stated = _columns(path, source, target, asked)
    if any(stated):
        return stated
    # A column `id` of numbers is not Indonesian.
    by_column = tuple(languages.language_of(name) if has_letters else None for name, has_letters in columns)
    if None not in by_column and by_column[0] != by_column[1]:
        return by_column  # type: ignore[return-value]
    if isinstance(source, int) and isinstance(target, int):  # then the order is that of the name
        for name in (path.name, path.parent.name):
            if pair := languages.languages_of_name(name):
                return pair if source < target else pair[::-1]
    return None, None


def _columns(
    path: Path, source: str | int, target: str | int, asked: Languages
) -> tuple[list[tuple[str, bool]], Languages]:
    """The names of the two columns, by the header if given by number, and whether their rows have letters.

    And the languages that the file states. A file that cannot be read counts as text: `ingest` reports its
    errors.
    """
    from seq2seq.data import formats
    from seq2seq.data.corpus import Pair

    names = str(source), str(target)
    rows: list[Pair] = []
    stated: Languages = (None, None)
    if path.is_dir():  # its splits have the same columns
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        of_train = (file for file in files if file.name.startswith("train") or file.suffix == ".arrow")
        memories = (file for file in files if formats.KINDS.get(formats.suffix(file)) in formats.MEMORIES)
        pairs = (file for file in files if len(moses.parts(file)) > 1)
        path = next(of_train, None) or next(memories, None) or next(pairs, path)
    if path.is_file() and path.suffix not in (".yaml", ".yml"):
        with suppress(UserError, OSError):
            table = formats.open_table(path, source, target, asked)
            names, stated = table.columns, table.languages
            rows = [row for row in islice(table.rows, ROWS) if isinstance(row, Pair)]
    sides = zip(*(row[:2] for row in rows), strict=True) if rows else ((), ())
    letters = [sum(any(map(str.isalpha, text)) for text in side) for side in sides]
    return [(name, 2 * count >= len(rows)) for name, count in zip(names, letters, strict=True)], stated


def _name(ingest: Mapping[str, Any], source: str | None, target: str | None) -> str:
    """Folder, file and direction: `news-train-de-en`, or by the columns where a language is unknown."""
    path = Path(ingest["path"])
    stem = "-".join(filter(None, (path.parent.name, path.name.split(".")[0])))
    direction = f"{source}-{target}" if source and target else "-".join(str(ingest[key]) for key in COLUMNS)
    return _registrable(stem if f"-{direction}-" in f"-{stem}-" else f"{stem}-{direction}")


def _registrable(name: str) -> str:
    """A name that registry and URLs accept; a hash replaces letters that they do not."""
    name = unicodedata.normalize("NFC", name)  # some file systems decompose names
    kept = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")
    if re.search(r"[^\W_]", re.sub(r"[A-Za-z0-9_-]", "", name)):
        kept = f"{kept or 'corpus'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return kept or "local"
