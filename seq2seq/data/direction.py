"""Source and target languages and scripts of a corpus, vocabulary or model: its `languages.json`.

Why: metrics, sentence splitting and the gate depend on the language. The file accompanies the data, so that
no stage has to detect it again. Imports are light, since registered models use this module too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

FILE = "languages.json"
UNKNOWN = "unknown"  # in a tag
SIDES = ("source", "target")
SYNTHETIC, NATURAL = "synthetic", "natural"  # kinds of corpora: written by a grammar, or by people


class Side(NamedTuple):
    """One side: a BCP 47 tag and the script of most of its letters; None if unknown."""

    language: str | None = None
    script: str | None = None  # as returned by `words.main_script`: Latin, Han, Japanese ...

    def __str__(self) -> str:
        return self.language or (f"unknown ({self.script})" if self.script else "unknown")


class Direction(NamedTuple):
    """Source and target side."""

    source: Side = Side()
    target: Side = Side()

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


def write(folder: Path, direction: Direction) -> None:
    """Write a folder's languages.json; creates a missing folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sides = {"source": direction.source._asdict(), "target": direction.target._asdict()}
    (folder / FILE).write_text(json.dumps(sides, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(folder: Path) -> Direction:
    """The direction of a folder; unknown on both sides if the file is missing, as in older folders."""
    path = folder / FILE
    if not path.is_file():
        return Direction()
    sides = json.loads(path.read_text(encoding="utf-8"))
    return Direction(Side(**sides["source"]), Side(**sides["target"]))


def tags(direction: Direction, kind: str, columns: Mapping[str, str]) -> dict[str, str]:
    """The tags of a version about its direction: languages, scripts, kind of corpus and columns."""
    return {
        **{f"{side}.language": getattr(direction, side).language or UNKNOWN for side in SIDES},
        **{f"{side}.script": getattr(direction, side).script or UNKNOWN for side in SIDES},
        "corpus.kind": SYNTHETIC if kind == "grammar" else NATURAL,
        "corpus.columns": " → ".join(str(columns.get(side, side)) for side in SIDES),
    }


def difference(challenger: Mapping[str, str], champion: Mapping[str, str]) -> str:
    """The difference in direction or kind of corpus that makes two versions incomparable, from their tags.

    Empty if they are comparable. An unknown language equals no known one; two unknown ones are equal if
    corpus and columns are. Versions registered without such tags are compared by their corpus alone.
    """
    same_corpus = challenger.get("corpus.id") == champion.get("corpus.id")
    if not all(f"{side}.language" in found for side in SIDES for found in (challenger, champion)):
        return "" if same_corpus else f"{_shown(champion)}, the challenger {_shown(challenger)}"
    same_corpus = same_corpus and challenger.get("corpus.columns") == champion.get("corpus.columns")
    same = challenger.get("corpus.kind") == champion.get("corpus.kind")
    for side in SIDES:
        ours, theirs = (_without_region(found[f"{side}.language"]) for found in (challenger, champion))
        same = same and ours == theirs and (ours != UNKNOWN or same_corpus)
    return "" if same else f"{_shown(champion)}, the challenger {_shown(challenger)}"


def mismatch(ours: Direction, theirs: Direction) -> str:
    """The difference between the languages of a model and of a corpus; empty if they are the same.

    An unknown language equals no known one; two unknown ones are equal if their scripts are.
    """
    for side in SIDES:
        one, other = getattr(ours, side), getattr(theirs, side)
        tags = [_without_region(found.language or UNKNOWN) for found in (one, other)]
        if tags[0] != tags[1] or (tags[0] == UNKNOWN and one.script != other.script):
            return f"{ours}, the corpus is {theirs}"
    return ""


def _without_region(tag: str) -> str:
    """The language and script of a tag: de of de-AT, zh-hant of zh-Hant-TW. A region makes no difference."""
    language, *others = tag.casefold().split("-")
    return "-".join([language, *(part for part in others if len(part) == 4 and part.isalpha())])


def _shown(found: Mapping[str, str]) -> str:
    """A version's direction and corpus, from its tags."""
    sides = []
    for side in SIDES:
        language, script = (found.get(f"{side}.{key}", UNKNOWN) for key in ("language", "script"))
        sides.append(f"{language} ({script})" if language == UNKNOWN != script else language)
    corpus = " ".join(filter(None, (found.get("corpus.kind"), found.get("corpus.id", UNKNOWN))))
    return f"translates {' → '.join(sides)}, learnt from {corpus}"
