"""Derives the languages of a user's corpus and a registered name of its own for its models.

Why: a model of another corpus, or of the other direction, must neither compete with a recipe's model nor be
scored as if its target were the recipe's language.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import Any

from seq2seq.common.errors import UserError
from seq2seq.common.params import ParamsError, read_document
from seq2seq.common.schema import UNKNOWN_LICENCE, Source
from seq2seq.data import languages, moses
from seq2seq.data.memories import Languages

COLUMNS = ("source_column", "target_column")
LANGUAGES = ("source_language", "target_language")
ROWS = 50  # of a file that are inspected
DERIVED = (*LANGUAGES, "licence", "attribution")  # of a corpus
EVALUATION = "evaluation"  # a role
OWN = {"path", *COLUMNS}  # keys of a source that change its corpus


def complete(
    assigned: Mapping[str, str], before: Mapping[str, Any], now: Mapping[str, Any]
) -> dict[str, Any]:
    """The values that `recipes.apply` adds for sources whose path or columns were just assigned.

    Languages come from the columns' names, the header, the file's name or the folder's, or else are those
    of the other sources, or null. A new source has an unknown licence. A path assigned without the name of
    its source (`ingest.path`) names the source after its file, and the model after its corpus. If path and
    columns are those before, so are languages, licence and names. Weights and filters of sources that are
    gone are removed. `assigned` are the keys as given, and in full.
    """
    given_names = now["ingest"]["sources"]
    short = assigned.get("ingest.path", "..").split(".")[2]  # the source that `ingest.path` means
    alone = sum(one.get("role") != EVALUATION for one in given_names.values()) == 1
    sources: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for name, source in given_names.items():
        given = {key for key in Source.model_fields if f"ingest.sources.{name}.{key}" in assigned}
        if not given.intersection(OWN) or not source.get("path"):
            sources[name] = source
            continue
        names_model = name == short or (alone and source.get("role") != EVALUATION)
        others = [one for other, one in given_names.items() if other != name]
        new, same = _completed(
            source, given, before["ingest"]["sources"], name, [] if names_model else others
        )
        if names_model:
            values["register.name"] = _model_name(new) if same is None else before["register"]["name"]
        if name == short:
            name = _free(same or _source_name(source["path"]), given_names.keys() - {name})
        sources[name] = new
    if sources != given_names:
        values["ingest.sources"] = sources
    for section, key in (("mix", "weights"), ("clean", "by_source")):
        kept = {name: value for name, value in now[section][key].items() if name in sources}
        if kept != now[section][key] and before[section][key] == now[section][key]:
            values[f"{section}.{key}"] = kept
    return values


def _completed(
    source: Mapping[str, Any],
    given: Set[str],
    earlier: Mapping[str, Mapping[str, Any]],
    name: str,
    others: Iterable[Mapping[str, Any]],
) -> tuple[dict[str, Any], str | None]:
    """A source with the values of its corpus, and the name of the same corpus before, or None."""
    alike = (_corpus_of(source), source.get("role"))
    same = next((n for n, one in earlier.items() if (_corpus_of(one), one.get("role")) == alike), None)
    if same is None:
        return _derived(source, earlier.get(name, {}), given, others), None
    kept = {key: earlier[same][key] for key in DERIVED if key in earlier[same] and key not in given}
    return {key: value for key, value in source.items() if key not in DERIVED or key in given} | kept, same


def _free(name: str, taken: Set[str]) -> str:
    """The name, with a number if it is taken."""
    numbered = (f"{name}-{number}" for number in count(2))
    return name if name not in taken else next(one for one in numbered if one not in taken)


def _derived(
    source: Mapping[str, Any], before: Mapping[str, Any], given: Set[str], others: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """A source of another corpus than before; keys that were `given` stay."""
    moses.check_path(Path(source["path"]))
    asked = [source.get(key) if key in given else None for key in LANGUAGES]
    found = _swapped(before, source) or _languages(source, (asked[0], asked[1]))
    if not any(found):
        found = next(((one.get(LANGUAGES[0]), one.get(LANGUAGES[1])) for one in others), found)
    new = {"licence": UNKNOWN_LICENCE, **dict(zip(LANGUAGES, found, strict=True))}
    if before and before["path"] == source["path"]:  # other columns
        new |= {key: before[key] for key in ("licence", "attribution") if key in before}
    kept = {key: value for key, value in source.items() if key not in DERIVED or key in given}
    ordered = {**new, **kept}
    return {key: ordered[key] for key in Source.model_fields if key in ordered} | kept


def _corpus_of(source: Mapping[str, Any]) -> tuple[Any, ...]:
    """Path and columns of a source."""
    return source.get("path"), *(_column(source, key) for key in COLUMNS)


def _column(source: Mapping[str, Any], key: str) -> Any:
    return source.get(key, Source.model_fields[key].default)


def _source_name(path: str) -> str:
    """A name for the source at a path: that of its file or folder."""
    return re.sub(r"^[^A-Za-z0-9]+", "", _registrable(Path(path).name.split(".")[0])) or "corpus"


def _model_name(source: Mapping[str, Any]) -> str:
    return _name(source, *(source.get(key) for key in LANGUAGES))


def _swapped(before: Mapping[str, Any], now: Mapping[str, Any]) -> Languages | None:
    """The languages of a corpus whose columns were just swapped; None if they were not."""
    if before.get("path") != now["path"] or [_column(now, key) for key in COLUMNS] != [
        _column(before, key) for key in COLUMNS[::-1]
    ]:
        return None
    return before.get("target_language"), before.get("source_language")


def _languages(settings: Mapping[str, Any], asked: Languages) -> Languages:
    """The languages of a source; `asked` are those just set, which decide between more than two in a file."""
    path = Path(settings["path"])
    source, target = (_column(settings, key) for key in COLUMNS)
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
    # One known language, `en` beside `creole`, counts unless its code is also a word.
    if by_column.count(None) == 1 and not {name.casefold() for name, _ in columns} & languages.WORDS:
        return by_column  # type: ignore[return-value]
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


def _name(settings: Mapping[str, Any], source: str | None, target: str | None) -> str:
    """Folder, file and direction: `news-train-de-en`, or by the columns where a language is unknown."""
    path = Path(settings["path"])
    stem = "-".join(filter(None, (path.parent.name, path.name.split(".")[0])))
    direction = (
        f"{source}-{target}"
        if source and target
        else "-".join(str(_column(settings, key)) for key in COLUMNS)
    )
    return _registrable(stem if f"-{direction}-" in f"-{stem}-" else f"{stem}-{direction}")


def _registrable(name: str) -> str:
    """A name that registry and URLs accept; a hash replaces letters that they do not."""
    name = unicodedata.normalize("NFC", name)  # some file systems decompose names
    kept = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")
    if re.search(r"[^\W_]", re.sub(r"[A-Za-z0-9_-]", "", name)):
        kept = f"{kept or 'corpus'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return kept or "local"
