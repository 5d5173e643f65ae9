"""Corpora in the current folder as `ingest` and `mix` leave them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seq2seq.common import files, params, paths, schema
from seq2seq.common.schema import UNKNOWN_LICENCE, Params
from seq2seq.data import manifest
from seq2seq.data.corpus import Pair, read_split, split_path, write_split
from seq2seq.data.manifest import Entry, Manifest
from seq2seq.ingest import ingest
from seq2seq.mix import mix

NAME = "corpus"


def with_source(recipe: Path, **keys: Any) -> Params:
    """A params file with its only source, as `corpus`, and `ingest` changed by keys; others are in `more`."""
    document = params.load(recipe).model_dump()
    [source] = document["ingest"]["sources"].values()
    more = keys.pop("more", {})
    source |= {key: value for key, value in keys.items() if key in schema.Source.model_fields}
    document["ingest"] |= {key: value for key, value in keys.items() if key not in source}
    document["ingest"]["sources"] = {NAME: source, **more}
    return params.check(document, recipe)


def ingested(checked: Params) -> tuple[dict[str, list[Pair]], dict[str, Any]]:
    """Ingest and mix; returns the splits of the mixture, without origins, and its provenance."""
    ingest(checked)
    mix(checked)
    mixture = manifest.read()
    splits = {"train": list(mixture.train())}
    for name in ("validation", "test", *mixture.evaluation_sets):
        splits[name] = list(read_split(paths.MIXED, name))
    without = {name: [pair._replace(origin=None) for pair in pairs] for name, pairs in splits.items()}
    return without, json.loads(paths.PROVENANCE.read_text(encoding="utf-8"))


def write_mixture(
    train: Iterable[Pair] | Mapping[str, Iterable[Pair]],
    sets: Mapping[str, Iterable[Pair]],
    weights: Mapping[str, float] | None = None,
) -> Manifest:
    """Write training pairs, of one source or by source, and evaluation sets as `mix` would."""
    by_source = train if isinstance(train, Mapping) else {NAME: train}
    entries = []
    for name, pairs in sorted(by_source.items()):
        rows = write_split(paths.RAW / name, "train", pairs)
        digest = files.sha256(split_path(paths.RAW / name, "train"))
        entries.append(Entry(name, rows, digest, (weights or {}).get(name, 1.0), UNKNOWN_LICENCE, None))
    for name, pairs in sets.items():
        write_split(paths.MIXED, name, pairs)
    mixture = Manifest(tuple(entries), tuple(name for name in sets if name not in paths.SPLITS))
    manifest.write(mixture)
    return mixture
