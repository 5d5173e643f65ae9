"""ingest: one source of `ingest.sources` -> data/raw/NAME (its splits, and source.json about its origin).

Why: all later stages read one format, and the record names the exact files that a model learnt from. Each
source is a stage of its own, so that a new or grown one is ingested alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.common.files import sha256
from seq2seq.common.progress import Progress, duration
from seq2seq.common.schema import UNKNOWN_LICENCE, Ingest, Params, Source
from seq2seq.data import grammar_splits, languages, manifest, moses, pins
from seq2seq.data.corpus import Pair, write_split
from seq2seq.data.grammar import Grammar
from seq2seq.data.held_out import HeldOut, training_pairs
from seq2seq.data.reader import Reader, sampled, show
from seq2seq.data.splits import File, find_splits, map_to_our_splits


class Corpus(NamedTuple):
    """Files of each split, and the facts about their origin for source.json."""

    files: dict[str, list[File]]
    facts: dict[str, Any]


def ingest(params: Params, name: str | None = None) -> None:
    """Write the splits of a source, or of each; raises UserError, or TransientError for the hub."""
    settings = params.ingest
    if name is not None and name not in settings.sources:
        raise UserError(f"ingest: no source {name!r}; there are: {', '.join(settings.sources)}")
    for one in [name] if name is not None else settings.sources:
        _ingest(settings, one)


def _ingest(settings: Ingest, name: str) -> None:
    began = time.monotonic()
    source = settings.sources[name]
    if len(settings.sources) > 1:
        print(f"ingest: source {name}")
    path, folder = Path(source.path), paths.RAW / name
    document = _document(path)
    if "rules" in document:
        facts, rows = _write_grammar(source, settings, folder)
    else:
        needed = "test" if source.role == "evaluation" else "train"
        corpus = _from_pin(path, needed) if document else _from_disk(path, needed)
        write = _write_evaluation_set if source.role == "evaluation" else _write_files
        facts, rows = write(corpus, source, settings, folder)
    licence = source.licence if source.licence != UNKNOWN_LICENCE else facts.get("licence")
    facts |= {"licence": licence or UNKNOWN_LICENCE, "attribution": source.attribution, "rows": rows}
    facts["languages"] = {"source": _tag(source.source_language), "target": _tag(source.target_language)}
    manifest.write_facts(name, facts)
    counts = ", ".join(f"{rows[split]:,} {split}" for split in paths.SPLITS if rows.get(split))
    print(f"ingest: {counts} pairs from {path} in {duration(time.monotonic() - began)}")


def _tag(language: str | None) -> str | None:
    """The BCP 47 tag of a language: `de` of deu and DE; an unknown one is returned unchanged."""
    return language and (languages.language_of(language) or language)


def _document(path: Path) -> dict[str, Any]:
    """The yaml at `path`, a grammar (it has rules) or a pin; empty for a corpus."""
    moses.check_path(path)
    if not path.exists():
        raise UserError(
            f"ingest.path: {path} does not exist; name a corpus (.jsonl, .csv, .tsv, .tmx, .parquet, or a "
            "folder of them), a grammar, or a pin such as corpora/multi30k.yaml"
        )
    if path.suffix not in (".yaml", ".yml"):
        return {}
    try:
        document = YAML(typ="safe").load(path)
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(document, dict) or not document.keys() & {"rules", *pins.KEYS}:
        raise UserError(f"{path} is no grammar (no `rules`) and no pin (no `hub`, `url` or `mtdata`)")
    return document


def _write_grammar(source: Source, settings: Ingest, folder: Path) -> tuple[dict[str, Any], dict[str, int]]:
    if source.role == "evaluation":
        raise UserError(f"{source.path}: a grammar cannot be an evaluation set, its sentences are in train")
    if source.train_size is None:
        raise UserError("ingest.train_size: null is not allowed for a grammar, set the number of pairs")
    path = Path(source.path)
    sizes = {
        "train": source.train_size,
        "validation": settings.validation_size,
        "test": settings.test_size,
    }
    try:
        about = Grammar.load(path).about
        print(f"ingest: writing {sum(sizes.values()):,} pairs with {path}", flush=True)
        splits = grammar_splits.write_splits(path, sizes, settings.seed)
    except ValueError as error:
        raise UserError(str(error)) from None
    rows = {
        split: write_split(folder, split, (Pair(*row) for row in splits[split]))
        for split in sizes
        if split == "train" or source.held_out
    }
    train = splits["train"]
    for number in sorted({0, min(1, len(train) - 1), len(train) // 2}):
        show(number + 1, train[number])
    return {"kind": "grammar", "path": source.path, **about, **_files([File(path.name, path)])}, rows


def _from_disk(path: Path, needed: str) -> Corpus:
    """The corpus of a file or folder; a single file is the split `needed`."""
    if path.is_dir():
        files = map_to_our_splits(find_splits(path), {}, str(path), needed)
        return Corpus(files, {"kind": "folder", "path": str(path)})
    return Corpus({needed: [File(path.name, path)]}, {"kind": "file", "path": str(path)})


def _from_pin(path: Path, needed: str) -> Corpus:
    copy, about, splits = pins.fetch(path)
    print(f"ingest: {copy.summary}")
    facts = {
        **about,
        "path": str(path),
        "revision": copy.revision,
        "mirror": copy.mirror,
        "licence": copy.licence,
    }
    files = copy.files
    if needed == "test" and not splits and files.keys() == {"train"}:
        files = {"test": files["train"]}  # an evaluation set of one file
    return Corpus(map_to_our_splits(files, splits, about["id"], needed), facts)


def _write_files(
    corpus: Corpus, source: Source, settings: Ingest, folder: Path
) -> tuple[dict[str, Any], dict[str, int]]:
    """Write the splits of a source, and make missing ones from train."""
    sizes = {"test": settings.test_size, "validation": settings.validation_size} if source.held_out else {}
    made = {split: HeldOut(split, size) for split, size in sizes.items() if split not in corpus.files}
    rows = {}
    with Progress("ingest", "rows") as progress:
        reader = Reader(source, settings.max_malformed_rows, progress)
        for split in ("train", *sizes):
            pairs = reader.pairs(corpus.files.get(split, ()))
            if split == "train":
                pairs = sampled(training_pairs(pairs, made, source.train_size), progress)
            elif split in made:
                pairs = iter(made[split].pairs())
            rows[split] = write_split(folder, split, pairs)
        reader.check(final=True)
    for split, count in rows.items():
        if not count and split not in made:
            raise UserError(f"the {split} split of {source.path} has no pairs")
        if split in made:
            print(f"ingest: {made[split].describe()}")
    unused = sorted(corpus.files.keys() - rows.keys())
    if unused:
        print(f"ingest: held_out is false: {', '.join(unused)} of {source.path} not used")
    facts = corpus.facts | {"columns": reader.named_columns(), "made_splits": sorted(made)}
    facts["malformed_rows"] = len(reader.malformed)
    files = [file for split in paths.SPLITS if split in rows for file in corpus.files.get(split, ())]
    return facts | _files(files), rows


def _write_evaluation_set(
    corpus: Corpus, source: Source, settings: Ingest, folder: Path
) -> tuple[dict[str, Any], dict[str, int]]:
    """Write a source that is an evaluation set: its test split."""
    with Progress("ingest", "rows") as progress:
        reader = Reader(source, settings.max_malformed_rows, progress)
        rows = write_split(folder, "test", reader.pairs(corpus.files["test"]))
        reader.check(final=True)
    if not rows:
        raise UserError(f"the test split of {source.path} has no pairs")
    facts = corpus.facts | {"columns": reader.named_columns(), "malformed_rows": len(reader.malformed)}
    return facts | _files(corpus.files["test"]), {"test": rows}


def _files(files: Iterable[File]) -> dict[str, Any]:
    """Name, sha256 and size of the files read."""
    return {
        "files": [
            {"name": name, "sha256": sha256(path), "bytes": path.stat().st_size}
            for file in files
            for name, path in file.parts()
        ]
    }
