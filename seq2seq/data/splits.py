"""Finds the files of each split in a folder of the hub's layout, or of a plain one.

Why: a local folder, a mirror and a download follow the same layout rules.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.common import dag, paths
from seq2seq.common.errors import UserError
from seq2seq.data import formats, moses

CARDS = {"README.md", ".huggingface.yaml"}  # files that describe a folder in the hub's layout
NAMES = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "test"}
SAVED, SAVED_SPLITS = (
    "state.json",
    "dataset_dict.json",
)  # of Dataset.save_to_disk and DatasetDict.save_to_disk
# Files that describe a corpus and are not part of it
ABOUT = {SAVED, SAVED_SPLITS, "dataset_info.json", "dataset_infos.json", "config.json", "metadata.json"}
ABOUT_STEMS = {"readme", "license", "licence", "copying", "notice", "changelog", "authors", "citation"}


class File(NamedTuple):
    """A file of a corpus: its name in the corpus, and its path."""

    name: str
    path: Path

    def parts(self) -> list[File]:
        """All files that are read for it: also that of the other language."""
        paths = moses.parts(self.path)
        return [self] if len(paths) == 1 else [File(str(Path(self.name).with_name(p.name)), p) for p in paths]


def find_splits(folder: Path, config: str | None = None) -> dict[str, list[File]]:
    """The files of each split in a folder; raises UserError.

    A folder of `save_to_disk` lists its files. Elsewhere `datasets` finds them: by the `configs` of a
    README.md as on the hub, or else by the names of files: train, validation (or valid, val, dev) and test;
    if no name is one of these, all files are train. Each file is read by its own kind. Files that are left
    out are printed.
    """
    if (folder / SAVED_SPLITS).is_file():
        return {str(name): _saved(folder, str(name)) for name in _listed(folder / SAVED_SPLITS, "splits")}
    if (folder / SAVED).is_file():
        return {str(_document(folder / SAVED).get("_split") or "train"): _saved(folder, "")}
    with tempfile.TemporaryDirectory() as scratch:
        twin = Path(scratch, "corpus")  # of links, in a path without wildcards of the library
        files = _corpus_files(folder)
        cards = [folder / file for file in files if file.name in CARDS]
        by_card = any("configs" in card.read_text("utf-8", "replace") for card in cards)
        # To find splits by names, the library needs files of one kind: each link gets the same suffix.
        added = "" if by_card else ".jsonl"
        for file in files:
            link = twin / (f"{file}{added}" if file.name not in CARDS else file)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((folder / file).resolve())
        twin.mkdir(exist_ok=True)
        found = {
            split: _one_of_each(folder, [Path(str(name).removesuffix(added)) for name in names])
            for split, names in _found(folder, twin, config, scratch).items()
        }
    if not by_card:
        used = {
            part.path for split in found.values() for name in split for part in _file(folder, name).parts()
        }
        left = {file for file in files if file.name not in CARDS and folder / file not in used}
        for name in sorted(left):
            print(f"ingest: {folder / name} is not used: its name has no split, as other names do")
        _check_twice(folder, found)
    return {split: [_file(folder, name) for name in names] for split, names in found.items()}


def _file(folder: Path, name: Path) -> File:
    return File(str(name), folder / name)


def _corpus_files(folder: Path) -> list[Path]:
    """The corpus files and cards below a folder, relative to it; raises UserError for links out of it."""
    files = []
    for file in sorted(folder.rglob("*")):
        is_known = file.name in CARDS or (
            formats.suffix(file) in formats.KINDS
            and file.name not in ABOUT
            and file.name.split(".")[0].lower() not in ABOUT_STEMS
        )
        if file.is_symlink() and (is_known or file.is_dir()):
            check_link(folder, file)
        if file.is_file() and is_known:
            files.append(file.relative_to(folder))
    return files + _halves(folder, files)


def check_link(folder: Path, file: Path) -> None:
    """Raises UserError for a symbolic link out of a folder, or to a missing file.

    Links into the caches of DVC and of the hub are allowed.
    """
    target = file.resolve()
    allowed = [folder.resolve()]
    if folder.resolve().parent.name == "snapshots":
        allowed.append(folder.resolve().parents[1] / "blobs")
    if not any(target.is_relative_to(place) for place in allowed) and not dag.is_cached(target):
        raise UserError(f"{file} is a link out of {folder}, to {target}: put the file itself there")
    if not target.exists():
        raise UserError(f"{file} is a link to {target}, which does not exist")


def _found(folder: Path, twin: Path, config: str | None, scratch: str) -> dict[str, list[Path]]:
    """The files of each split as `datasets` finds them in the twin of a folder, relative to it."""
    import datasets
    from yaml import YAMLError  # type: ignore[import-untyped]

    try:
        builder = datasets.load_dataset_builder(str(twin), name=config, cache_dir=scratch)
    except (OSError, ValueError, YAMLError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).replace(str(twin), str(folder))
        raise UserError(
            f"{folder} cannot be used as a corpus: {reason}\n"
            "  put train.jsonl (or .csv, .tsv, .tmx, .parquet …; also .gz) into it, and if there are any "
            "validation.jsonl and test.jsonl"
        ) from None
    found = {}
    for split, files in builder.config.data_files.items():
        if outside := [
            file for file in map(Path, files) if not file.is_relative_to(twin) or ".." in file.parts
        ]:
            raise UserError(f"{folder}: its README.md names {outside[0]}, which is not in the folder")
        found[str(split)] = [Path(file).relative_to(twin) for file in files]
    return found


def _halves(folder: Path, files: list[Path]) -> list[Path]:
    """The files of one language each, relative to the folder, if at least two of them are a corpus.

    Beside files of other kinds they are printed and not used: these may be made of them.
    """
    found = [file for file in sorted(folder.rglob("*")) if file.is_file() and moses.half(file)]
    if not any(len(moses.beside(file)) > 1 for file in found):
        if found and not files:
            raise moses.alone(found[0])
        return []
    if any(file.name not in CARDS for file in files):
        listed = ", ".join(str(file.relative_to(folder)) for file in found)
        print(f"ingest: {listed} of {folder} are not used: it has files of other kinds")
        return []
    for file in found:
        if file.is_symlink():
            check_link(folder, file)
    return [file.relative_to(folder) for file in found]


def _one_of_each(folder: Path, names: list[Path]) -> list[Path]:
    """The files without those that are read together with an earlier one, as its other language."""
    kept: list[Path] = []
    read: set[Path] = set()
    for name in sorted(names):
        if folder / name not in read:
            kept.append(name)
            read |= {*moses.parts(folder / name)}
    return kept


def _check_twice(folder: Path, found: Mapping[str, list[Path]]) -> None:
    """Raises UserError if a folder contains a split twice, as different kinds of file."""
    for files in found.values():
        stems: dict[str, Path] = {}
        for file in files:
            stem = str(file.with_name(file.name.split(formats.suffix(file))[0]))
            if formats.suffix(first := stems.setdefault(stem, file)) != formats.suffix(file):
                raise UserError(f"{folder} holds {first} and {file}: remove one if they are the same")


def _saved(folder: Path, name: str) -> list[File]:
    """The Arrow files of a Dataset that `save_to_disk` wrote to `name` below a folder."""
    listing = folder / name / SAVED
    files = []
    for entry in _listed(listing, "_data_files"):
        file = folder / name / str(entry.get("filename") if isinstance(entry, dict) else entry)
        check_inside(folder, file, listing)
        files.append(File(os.path.relpath(file, folder), file))
    return files


def check_inside(folder: Path, file: Path, named_by: Path) -> None:
    """Raises UserError if a file is outside of a folder, or missing."""
    if not Path(os.path.normpath(file)).is_relative_to(folder):
        raise UserError(f"{named_by} names {file}, which is not in {folder}")
    if file.is_symlink():
        check_link(folder, file)
    if not file.is_file():
        raise UserError(f"{named_by} names {file}, which is missing")


def _listed(path: Path, key: str) -> list[Any]:
    listed = _document(path).get(key)
    if not isinstance(listed, list) or not listed:
        raise UserError(f"{path} lists no {key}; write the folder again with save_to_disk")
    return listed


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}; write the folder again with save_to_disk") from None
    return document if isinstance(document, dict) else {}


def map_to_our_splits(
    found: Mapping[str, list[File]], mapping: Mapping[Any, str], corpus: str, needed: str = "train"
) -> dict[str, list[File]]:
    """Train, validation and test of the splits found, by our names; `mapping` is from ours to theirs.

    Raises UserError if the split `needed`, or one in `mapping`, is missing.
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
