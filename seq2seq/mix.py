"""mix: data/raw/* -> data/mixed (manifest, languages, evaluation sets) and data/provenance.json.

Why: the model's corpus is exactly the sources that params.yaml names now, whatever lies in data/raw. Train
stays where it is, since a large corpus would be copied for nothing; the evaluation sets are small.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.common.files import sha256
from seq2seq.common.progress import duration
from seq2seq.common.schema import Ingest, Params
from seq2seq.data import direction, held_out, manifest
from seq2seq.data.corpus import Pair, digest, read_split, split_path, write_split
from seq2seq.data.direction import Direction, Side
from seq2seq.data.manifest import Entry, Manifest
from seq2seq.data.words import main_script
from seq2seq.evaluation import bleu_tokenizer

SCRIPT_PAIRS = 2000  # pairs of train by whose letters the scripts are detected
MIXED = "mixed"  # the kind of a corpus of several sources


def mix(params: Params) -> None:
    """Write the mixture of the sources; raises UserError for a missing or empty one."""
    began = time.monotonic()
    settings = params.ingest
    training, sets = settings.training_sources, settings.evaluation_sets
    facts = {name: manifest.read_facts(name) for name in (*training, *sets)}
    entries = tuple(_entry(name, facts[name], params.mix.weights.get(name, 1.0)) for name in training)
    mixture = Manifest(entries, tuple(sets))
    manifest.write(mixture)
    languages = _write_direction(params, mixture, facts)
    rows = {"train": mixture.rows}
    for split in ("validation", "test"):
        rows[split] = _write_split(split, settings)
    for name in sets:
        pairs = manifest.with_origin(read_split(paths.RAW / name, "test"), name)
        write_split(paths.MIXED, name, pairs)
    provenance = {
        **_as_one({name: facts[name] for name in training}, settings),
        "languages": languages,
        "rows": rows,
        "sources": {name: facts[name] for name in training},
        "evaluation_sets": {name: {**facts[name], "rows": facts[name]["rows"]["test"]} for name in sets},
    }
    text = json.dumps(provenance, indent=2, ensure_ascii=False) + "\n"
    paths.PROVENANCE.write_text(text, encoding="utf-8")
    _show(mixture, rows, facts, time.monotonic() - began)


def _entry(name: str, facts: dict[str, Any], weight: float) -> Entry:
    """A source as the manifest lists it."""
    total = sha256(split_path(paths.RAW / name, "train"))
    return Entry(name, facts["rows"]["train"], total, weight, facts["licence"], facts["attribution"])


def _write_split(split: str, settings: Ingest) -> int:
    """Write the validation or test pairs of all sources that have some."""
    names = [name for name in settings.training_sources if settings.sources[name].held_out]
    rows = write_split(paths.MIXED, split, _once(split, names))
    if not rows:
        listed = ", ".join(settings.sources[name].path for name in names)
        raise UserError(
            f"{listed} is too small to make a {split} split from: it owns {held_out.SHARE:.0%} of all "
            "sentences, which here is none; give a folder with train, validation and test files, or more text"
        )
    return rows


def _once(split: str, names: list[str]) -> Iterator[Pair]:
    """The pairs of a split of all sources, without sentences that an earlier source has.

    A copy would count twice in scores and tests. Repetitions within a source stay: its split is taken whole.
    """
    earlier: set[int] = set()
    for name in names:
        own, left_out = set(), 0
        for pair in manifest.with_origin(read_split(paths.RAW / name, split), name):
            number = digest(pair.source)
            if number in earlier:
                left_out += 1
            else:
                own.add(number)
                yield pair
        earlier |= own
        if left_out:
            print(f"mix: {left_out:,} {split} pairs of {name} are left out: an earlier source has them")


def _write_direction(params: Params, mixture: Manifest, facts: dict[str, Any]) -> dict[str, Any]:
    """Write languages.json: the languages of the sources, and the scripts of train.

    Raises UserError if BLEU of such a target cannot be computed, before a training is wasted.
    """
    pairs = [
        pair
        for entry in mixture.sources
        for pair in islice(read_split(paths.RAW / entry.name, "train"), SCRIPT_PAIRS)
    ]
    sides = []
    for number, side in enumerate(direction.SIDES):
        tags = {facts[entry.name]["languages"][side] for entry in mixture.sources}
        # Sources of several regions have the language in common.
        tag = tags.pop() if len(tags) == 1 else min(tags, key=str).split("-")[0]
        texts = (pair.target if number else pair.source for pair in pairs)
        sides.append(Side(tag, main_script(texts)))
    found = Direction(*sides)
    direction.write(paths.MIXED, found)
    counted = bleu_tokenizer.choose(params.evaluate.bleu_tokenizer, found.target)
    print(f"mix: {found}; BLEU is counted with the tokenizer {counted}")
    return {side: of._asdict() for side, of in found._asdict().items()}


def _as_one(facts: dict[str, dict[str, Any]], settings: Ingest) -> dict[str, Any]:
    """Facts about the corpus as a whole: those of the only source, or those common to the sources.

    Its kind is that of the sources with validation and test pairs: others change no score's meaning.
    """
    if len(facts) == 1:
        [only] = facts.values()
        return {key: value for key, value in only.items() if key not in ("files", "rows", "languages")}
    licences = dict.fromkeys(of["licence"] for of in facts.values())
    kinds = {of["kind"] for name, of in facts.items() if settings.sources[name].held_out}
    return {
        "kind": kinds.pop() if kinds == {"grammar"} else MIXED,
        "path": ", ".join(facts),
        "licence": ", ".join(licences),
        "attribution": "; ".join(of["attribution"] for of in facts.values() if of["attribution"]) or None,
    }


def _show(mixture: Manifest, rows: dict[str, int], facts: dict[str, Any], seconds: float) -> None:
    """Print the sources with their pairs, weights and licences, if there are several."""
    total = sum(entry.rows * entry.weight for entry in mixture.sources) or 1.0
    if len(mixture.sources) > 1:
        width = max(len(entry.name) for entry in mixture.sources)
        for entry in mixture.sources:
            share = f"{entry.rows * entry.weight / total:.1%} of train"
            weight = f", weight {entry.weight:g}" if entry.weight != 1 else ""
            print(
                f"  {entry.name:<{width}}  {entry.rows:>12,} pairs{weight}, {share}, licence {entry.licence}"
            )
    counts = [f"{count:,} {split}" for split, count in rows.items()]
    counts += [f"{facts[name]['rows']['test']:,} {name}" for name in mixture.evaluation_sets]
    names = ", ".join(entry.name for entry in mixture.sources)
    print(f"mix: {', '.join(counts)} pairs of {names} in {duration(seconds)}")
