"""The sources of a corpus: the record of `ingest` about each, and the manifest to read them together.

Why: DVC never removes the folder of a source that was dropped. Stages after `mix` read only the sources that
the manifest names, with the hash of their pairs, so that no other folder can get into a model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.common.files import sha256
from seq2seq.data.corpus import Pair, read_rows, split_path

FILE, FACTS = "manifest.json", "source.json"


class Entry(NamedTuple):
    """A source to train on."""

    name: str
    rows: int  # training pairs
    sha256: str  # of their file
    weight: float  # times a pair is in train
    licence: str
    attribution: str | None

    @property
    def path(self) -> Path:
        """The file of its training pairs."""
        return split_path(paths.RAW / self.name, "train")


class Manifest(NamedTuple):
    """The sources to train on, sorted by name, and the names of the evaluation sets."""

    sources: tuple[Entry, ...]
    evaluation_sets: tuple[str, ...]

    @property
    def rows(self) -> int:
        """The number of training pairs of all sources."""
        return sum(entry.rows for entry in self.sources)

    def check(self) -> None:
        """Raise UserError unless the training pairs of each source are those that `mix` found."""
        for entry in self.sources:
            if not entry.path.is_file() or sha256(entry.path) != entry.sha256:
                raise UserError(
                    f"{entry.path} is missing or differs from {paths.MIXED / FILE}: `dvc repro mix`"
                )

    def train(self) -> Iterator[Pair]:
        """The training pairs of all sources, with the name of their source as origin."""
        for entry in self.sources:
            yield from with_origin(read_rows(entry.path), entry.name)


def with_origin(pairs: Iterator[Pair], name: str) -> Iterator[Pair]:
    """Pairs as those of a source."""
    return (Pair(source, target, alignment, name) for source, target, alignment, _ in pairs)


def write_facts(name: str, facts: dict[str, Any]) -> None:
    """Write the record of `ingest` about a source beside its splits."""
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    (paths.RAW / name / FACTS).write_text(text, encoding="utf-8")


def read_facts(name: str) -> dict[str, Any]:
    """The facts that `ingest` recorded about a source; raises UserError if it has not run."""
    path = paths.RAW / name / FACTS
    if not path.is_file():
        raise UserError(f"{path} is missing: `dvc repro ingest@{name}` writes it")
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def write(manifest: Manifest, folder: Path = paths.MIXED) -> None:
    """Write the manifest of a mixture."""
    document = {
        "sources": {entry.name: entry._asdict() for entry in manifest.sources},
        "evaluation_sets": list(manifest.evaluation_sets),
    }
    for entry in document["sources"].values():  # type: ignore[attr-defined]
        del entry["name"]
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(text, encoding="utf-8")


def read(folder: Path = paths.MIXED) -> Manifest:
    """The manifest of a mixture; raises UserError if there is none."""
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{path} is missing: `dvc repro mix` writes it")
    document = json.loads(path.read_text(encoding="utf-8"))
    entries = (Entry(name=name, **entry) for name, entry in document["sources"].items())
    return Manifest(tuple(entries), tuple(document["evaluation_sets"]))
