"""Steps from one format of params.yaml to the next: `seq2seq use --upgrade`.

Why: existing projects keep working. New keys are added with the value that keeps the earlier results, moved
keys and paths are mapped, and both are printed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml.comments import CommentedMap

from seq2seq.common import params, recipes, schema
from seq2seq.common.params import FORMAT, ParamsError
from seq2seq.common.recipes import MISSING
from seq2seq.common.schema import UNKNOWN_LICENCE
from seq2seq.data import formats

Document = Mapping[str, Any]
# Keys of `ingest` that belong to a source since format 5.
MOVED = ("source_column", "target_column", "source_language", "target_language", "train_size")


class Added(NamedTuple):
    """A key that a format adds."""

    section: str
    key: str
    value: Any | Callable[[Document], Any]  # that keeps the earlier results
    comment: str
    beside: str = ""  # the key that it modifies: a partial recipe gets it only together with that key


class Renamed(NamedTuple):
    """A key with a new name and its old value."""

    section: str
    before: str
    key: str
    comment: str


class Restructured(NamedTuple):
    """Keys that become others: a function that changes the document and returns the changes."""

    change: Callable[[CommentedMap], list[tuple[str, Any, Any]]]


def _to_sources(document: CommentedMap) -> list[tuple[str, Any, Any]]:
    """The corpus and the further evaluation sets of `ingest` become entries of `ingest.sources`."""
    ingest = document.get("ingest")
    if not isinstance(ingest, CommentedMap):
        return []
    if "path" not in ingest:
        if keys := [key for key in MOVED if key in ingest]:
            raise ParamsError(
                f"ingest.{keys[0]}: it belongs to a source now, and this file names no path: write it as "
                f"ingest.sources.NAME.{keys[0]}, in a source with path and licence"
            )
        return []
    before = {"ingest": dict(ingest)}
    shared = {key: ingest.pop(key) for key in ("source_column", "target_column") if key in ingest}
    shared |= {key: ingest.pop(key, None) for key in ("source_language", "target_language")}
    path, size = ingest.pop("path"), ingest.pop("train_size", None)
    folder, sets = Path(ingest.pop("evaluation_folder", ".")), ingest.pop("evaluation_sets", [])
    stem = Path(path).name.split(".")[0]
    name = stem if re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]*", stem) and stem not in sets else "corpus"
    shared = {key: value for key, value in shared.items() if value is not None}
    sources: dict[str, dict[str, Any]] = {name: {"path": path, "licence": UNKNOWN_LICENCE, **shared}}
    if size is not None:
        sources[name]["train_size"] = size
    for one in sets:
        named = [p for p in sorted(folder.glob("*")) if p.name.split(".")[0] == one and _is_corpus(p)]
        if len(named) > 1:
            raise ParamsError(
                f"ingest.evaluation_sets: {one!r} is {' and '.join(map(str, named))}: rename one"
            )
        path = str(named[0] if named else folder / one)
        sources[one] = {"path": path, "licence": UNKNOWN_LICENCE, "role": "evaluation", **shared}
    ingest.insert(0, "sources", sources, comment="by name, each ingested by itself; see docs/corpora.md")
    return recipes.differences(before, {"ingest": ingest})


def _is_corpus(path: Path) -> bool:
    return path.is_dir() or path.suffix in (".yaml", ".yml") or formats.suffix(path) in formats.KINDS


# By the format that a step leads to. `PATHS` maps moved files in the values of all keys.
STEPS: Mapping[int, tuple[Added | Renamed | Restructured, ...]] = {
    2: (
        Added("ingest", "source_language", None, "BCP 47, e.g. de; null: unknown, only the script is found"),
        Added("ingest", "target_language", None, ""),
        Added("clean", "tidy_evaluation", False, "evaluation sets get the Unicode form too", "unicode_form"),
        Added(
            "clean",
            "typical_length_ratio",
            1.0,
            "target characters by source; null: the corpus's median",
            "max_length_ratio",
        ),
        Added("clean", "max_dropped", 1.0, "a filter that drops a larger share of train stops the run"),
        Added("clean", "max_contaminated", 1.0, "likewise, of pairs too like an evaluation sentence"),
        Added(
            "clean",
            "min_kept",
            0.0,
            "minimal share that is left, not counting duplicates and contamination",
        ),
        Renamed("tokenize", "normalization", "source_normalization", "SentencePiece's rule, in its model"),
        Added(
            "tokenize",
            "target_normalization",
            lambda d: d["tokenize"]["source_normalization"],
            "",
            "source_normalization",
        ),
        Added("evaluate", "split_sentences", False, "a text of several sentences is translated one by one"),
        Added("evaluate", "bleu_tokenizer", "13a", "sacreBLEU's; null: by the target's language or script"),
    ),
    4: (
        Added(
            "clean",
            "max_length_deviation",
            None,
            "standard deviations of the two lengths; null: no check",
        ),
        Added("clean", "markup", "keep", "tags and entities of HTML and XML: keep | drop | repair"),
        Added("clean", "mojibake", "keep", "text decoded in a wrong encoding: keep | drop | repair"),
        Added("clean", "same_numbers", False, "pairs whose sides have different numbers are dropped"),
        Added("clean", "same_addresses", False, "likewise, URLs and e-mail addresses"),
        Added("clean", "max_repetition", None, "most times a phrase follows itself, on one side only"),
        Added("clean", "same_sentence_end", False, "a sentence's end on one side only drops the pair"),
        Added("clean", "same_case", False, "capitals only on one side drop the pair"),
        Added("clean", "other_language", None, "a side identified as another language, at this probability"),
        Added("clean", "duplicates", "pair", "the first is kept: pair | source | target"),
        Added("clean", "fold_duplicates", False, "pairs that differ in marks and spaces alone are equal"),
    ),
    5: (
        Restructured(_to_sources),
        Added("promote", "licences", None, "of the training sources, allowed; null: any"),
        Added("tokenize", "min_coverage", None, "share of validation's characters with a piece, each side"),
        Added("tokenize", "min_language_share", None, "share of each side's sampled texts in its language"),
        Added("train", "learns_within", None, "validations until the model beats frequencies of pieces"),
        Added("promote", "max_drift", None, "divergence (0 to 1) of the corpus from the champion's"),
        Added("mix", "weights", {}, "by source, 1 unless named: times its pairs are in train"),
        Added("score", "model", None, "registered model that scores the training pairs; null: off"),
        Added(
            "score", "version", None, "`seq2seq use --set score.model=models:/NAME@ALIAS` writes all three"
        ),
        Added("score", "digest", None, "sha256 of that version's model folder"),
        Added(
            "score", "min_log_probability", None, "pairs below are dropped: mean per target token, in nats"
        ),
        Added("score", "worst_share", None, "likewise, this share of the pairs, with the lowest scores"),
        Added("clean", "keep", "first", "of duplicates: first | best_scored"),
        Added("clean", "by_source", {}, "values of filters for the pairs of one source"),
        Added("clean", "opusfilter", [], "filters of the package OpusFilter, by name, with their options"),
    ),
    6: (
        Added("promote", "approval", "none", "required: a fit version waits for `seq2seq approve`"),
        Added("promote", "max_size_ratio", None, "of the model's files, to the champion's"),
        Added("promote", "max_latency_ratio", None, "of the time for one sentence, to the champion's"),
    ),
    7: (
        Added("tokenize", "vocabulary_from", None, "registered version whose vocabulary is taken; null: off"),
        Added("tokenize", "masked_share", 0.0, "share of training pairs with spans as symbols to copy"),
        Added("train", "start_from", None, "registered version whose weights training begins with"),
    ),
}
# Sections that a format adds to whole files, and the section before each.
SECTIONS: Mapping[int, tuple[tuple[str, str], ...]] = {5: (("mix", "ingest"), ("score", "mix"))}
# Results that an upgrade changes.
NOTES: Mapping[int, str] = {
    2: "sentences with invisible characters (joiners, soft hyphens, variation selectors) may move between "
    "train and the splits that ingest makes: comparisons of sentences now ignore such characters; a TSV with "
    "quoted fields is read as such, where the quotes were text before",
}
PATHS: dict[int, Mapping[str, str]] = {
    3: {
        "seq2seq/grammars/de-en.yaml": "corpora/grammar-de-en.yaml",
        "seq2seq/suites/general.yaml": "seq2seq/gate/suites/general.yaml",
        "seq2seq/suites/grammar.yaml": "seq2seq/gate/suites/grammar.yaml",
    },
}


def upgrade(path: Path) -> list[tuple[str, Any, Any]]:
    """Bring a params file or recipe to the current format, comments kept.

    A partial recipe gets only keys that modify its own. Returns the changes as (key, before, after), empty
    if the file is current; raises ParamsError if the result is not valid, and then writes nothing.
    """
    document = params.read_document(path)
    found = document.get("format", 1)
    later = {name for added in SECTIONS.values() for name, _ in added}
    whole = schema.SECTIONS.keys() - later <= document.keys()
    if not isinstance(found, int) or found >= FORMAT:
        if whole:
            params.check(document, path)
        return []
    changes: list[tuple[str, Any, Any]] = [("format", found, FORMAT)]
    for number in range(found + 1, FORMAT + 1):
        for name, before in SECTIONS.get(number, ()) if whole else ():
            if name not in document:
                document.insert(list(document).index(before) + 1, name, CommentedMap())
        for step in STEPS.get(number, ()):
            changes += _take(step, document, whole)
        changes += _move(PATHS.get(number, {}), document)
    if "format" in document:
        document["format"] = FORMAT
    else:
        document.insert(0, "format", FORMAT)
    if whole:
        params.check(document, path)
    params.write(document, path)
    return changes


def notes(before: int) -> list[str]:
    """The changes of results when upgrading from a format."""
    return [NOTES[number] for number in range(before + 1, FORMAT + 1) if number in NOTES]


def _take(
    step: Added | Renamed | Restructured, document: CommentedMap, whole: bool
) -> list[tuple[str, Any, Any]]:
    """Take one step, in place; the check of a `whole` file reports missing sections."""
    if isinstance(step, Restructured):
        return step.change(document)
    section = document.get(step.section)
    if not isinstance(section, CommentedMap) or step.key in section:
        return []
    if isinstance(step, Added):
        if not whole and step.beside not in section:
            return []
        value = step.value(document) if callable(step.value) else step.value
        section.insert(_place(step, section), step.key, value, comment=step.comment or None)
        return [(f"{step.section}.{step.key}", MISSING, value)]
    if step.before not in section:
        return []
    place = list(section).index(step.before)
    value = section.pop(step.before)
    section.insert(place, step.key, value, comment=step.comment or None)
    return [(f"{step.section}.{step.before} is now {step.section}.{step.key}", value, value)]


def _place(step: Added, section: CommentedMap) -> int:
    """The position of a key by the schema: after the last present key that precedes it."""
    order = list(schema.SECTIONS[step.section].model_fields)
    if step.key not in order:  # a later step moves it
        return len(section)
    earlier = set(order[: order.index(step.key)])
    return 1 + max((place for place, key in enumerate(section) if key in earlier), default=-1)


def _move(moved: Mapping[str, str], document: CommentedMap) -> list[tuple[str, Any, Any]]:
    """Map paths that moved, in place."""
    changes: list[tuple[str, Any, Any]] = []
    for name, section in document.items():
        for key, value in section.items() if isinstance(section, Mapping) else ():
            if isinstance(value, str) and value in moved:
                section[key] = moved[value]
                changes.append((f"{name}.{key}", value, moved[value]))
    return changes
