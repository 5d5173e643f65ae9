"""Finds the files of each split in a folder of the hub's layout, or of a plain one.

Why: a folder of one's own, a mirror and a download are laid out by the same rules.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq import formats, paths
from seq2seq.errors import UserError

CARDS = {"README.md", ".huggingface.yaml"}  # what describes a folder in the hub's layout
NAMES = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "test"}


class File(NamedTuple):
    """A file of a corpus: what the corpus calls it, and where it lies."""

    name: str
    path: Path


def find(folder: Path, config: str | None = None) -> dict[str, list[File]]:
    """The files of each split in a folder, as `datasets` finds them; raises UserError.

    It reads the `configs` of a README.md as on the hub, and without them the names of files: train,
    validation (or valid, val, dev) and test; if no name is one of these, all files are train. What it
    leaves out is said.
    """
    import datasets
    from yaml import YAMLError  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as scratch:
        twin = Path(scratch, "corpus")  # of links: a path in which the library finds no wildcard
        twin.mkdir()
        for file in folder.rglob("*"):
            if file.is_file() and (file.name in CARDS or formats.suffix(file) in formats.KINDS):
                link = twin / file.relative_to(folder)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file.resolve())
        try:
            builder = datasets.load_dataset_builder(str(twin), name=config, cache_dir=scratch)
        except (OSError, ValueError, YAMLError, datasets.exceptions.DatasetsError) as error:
            reason = str(error).replace(str(twin), str(folder))
            raise UserError(
                f"{folder} cannot be used as a corpus: {reason}\n"
                "  put train.jsonl (or .csv, .tsv, .parquet; also .gz) into it, and if there are any "
                "validation.jsonl and test.jsonl"
            ) from None
        found = builder.config.data_files
        names = {split: [Path(file).relative_to(twin) for file in files] for split, files in found.items()}
        if not any((twin / card).exists() for card in CARDS):  # where it is the names that decide
            there = {link.relative_to(twin) for link in twin.rglob("*") if link.is_symlink()}
            for name in sorted(there.difference(*names.values())):
                print(f"ingest: {folder / name} is not used: its name or kind is not that of the other files")
    return {
        str(split): [File(str(name), folder / name) for name in sorted(files)]
        for split, files in names.items()
    }


def ours(
    found: Mapping[str, list[File]], mapping: Mapping[Any, str], corpus: str, needed: str = "train"
) -> dict[str, list[File]]:
    """Of the splits found train, validation and test, by our names; `mapping` is from ours to theirs.

    Raises UserError if there is no split that is `needed`, or none that `mapping` names.
    """
    if missing := set(mapping.values()) - found.keys():
        raise UserError(f"{corpus} has no split {', '.join(sorted(missing))}, only {', '.join(found)}")
    renamed = {theirs: ours for ours, theirs in mapping.items()}
    splits: dict[str, list[File]] = {}
    for name, files in found.items():
        split = renamed.get(name, NAMES.get(name, name))
        if split in paths.SPLITS and split not in mapping.keys() - {renamed.get(name)}:
            splits.setdefault(split, []).extend(files)
        else:
            print(f"ingest: split {name} of {corpus} is not used")
    if needed not in splits:
        raise UserError(f"{corpus} has no {needed} split, only {', '.join(found)}")
    return splits
