"""ingest: the corpus that `ingest.path` names -> data/raw (splits) and data/provenance.json.

Why: all later stages read one format, and the provenance names the exact files that a model learnt from.
"""

from __future__ import annotations

import difflib
import heapq
import json
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.common.params import Ingest, Params
from seq2seq.common.progress import Progress, duration
from seq2seq.data import direction, formats, grammar, hub, languages, moses
from seq2seq.data.corpus import Pair, digest, read_split, write_split
from seq2seq.data.direction import Direction, Side
from seq2seq.data.rows import Malformed, Repeated, Table, cut
from seq2seq.data.splits import File, find_splits, map_to_our_splits
from seq2seq.data.words import main_script
from seq2seq.evaluation import bleu_tokenizer

SPACE = 2**64  # of digests
SHARE = 1 / 25  # of all sentences belongs to a split made from train: 1,000 of 25,000
BUCKETS = {"test": range(int(SPACE * SHARE)), "validation": range(int(SPACE * SHARE), int(2 * SPACE * SHARE))}
SCRIPT_PAIRS = 2000  # pairs of train by whose letters the scripts are detected
SAMPLE = 200  # characters of a side that a printed sample shows
LISTED = 5  # malformed rows named in the error
PATIENCE = 100  # malformed rows more than allowed after which reading stops


class Corpus(NamedTuple):
    """Files of each split, and the facts about their origin for provenance.json."""

    files: dict[str, list[File]]
    facts: dict[str, Any]


def ingest(params: Params) -> None:
    """Write the splits and their provenance; raises UserError, or TransientError for the hub."""
    began = time.monotonic()
    settings = params.ingest
    path = Path(settings.path)
    document = _document(path)
    if "rules" in document:
        facts, rows = _write_grammar(settings)
    else:
        corpus = _from_hub(path) if "hub" in document else _from_disk(path)
        facts, rows = _write_files(corpus, settings)
    facts["languages"] = _write_direction(params)
    facts["rows"] = {split: rows[split] for split in paths.SPLITS}
    facts["evaluation_sets"] = {name: _evaluation_set(name, settings) for name in settings.evaluation_sets}
    paths.PROVENANCE.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    counts = ", ".join(f"{rows[split]:,} {split}" for split in paths.SPLITS)
    counts += "".join(f", {one['rows']:,} {name}" for name, one in facts["evaluation_sets"].items())
    print(f"ingest: {counts} pairs from {path} in {duration(time.monotonic() - began)}")


def _write_direction(params: Params) -> dict[str, Any]:
    """Write languages.json: the languages of params.yaml, and the scripts of train.

    Raises UserError if BLEU of such a target cannot be computed, before a training is wasted.
    """
    settings = params.ingest
    pairs = list(islice(read_split(paths.RAW, "train"), SCRIPT_PAIRS))
    found = Direction(
        Side(_tag(settings.source_language), main_script(pair.source for pair in pairs)),
        Side(_tag(settings.target_language), main_script(pair.target for pair in pairs)),
    )
    direction.write(paths.RAW, found)
    counted = bleu_tokenizer.choose(params.evaluate.bleu_tokenizer, found.target)
    print(f"ingest: {found}; BLEU is counted with the tokenizer {counted}")
    return {side: of._asdict() for side, of in found._asdict().items()}


def _tag(language: str | None) -> str | None:
    """The BCP 47 tag of a language: `de` of deu and DE; an unknown one is returned unchanged."""
    return language and (languages.language_of(language) or language)


def _document(path: Path) -> dict[str, Any]:
    """The yaml at `path`, a grammar (it has rules) or a pin (it has hub); empty for a corpus."""
    moses.check_path(path)
    if not path.exists():
        raise UserError(
            f"ingest.path: {path} does not exist; name a corpus (.jsonl, .csv, .tsv, .tmx, .parquet, or a "
            "folder of them), a grammar, or a pin of a hub dataset such as corpora/multi30k.yaml"
        )
    if path.suffix not in (".yaml", ".yml"):
        return {}
    try:
        document = YAML(typ="safe").load(path)
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(document, dict) or not document.keys() & {"rules", "hub"}:
        raise UserError(f"{path} is no grammar (no `rules`) and no pin of a hub dataset (no `hub`)")
    return document


def _write_grammar(settings: Ingest) -> tuple[dict[str, Any], dict[str, int]]:
    if settings.train_size is None:
        raise UserError("ingest.train_size: null is not allowed for a grammar, set the number of pairs")
    path = Path(settings.path)
    sizes = {
        "train": settings.train_size,
        "validation": settings.validation_size,
        "test": settings.test_size,
    }
    try:
        about = grammar.Grammar.load(path).about
        print(f"ingest: writing {sum(sizes.values()):,} pairs with {path}", flush=True)
        splits = grammar.write_splits(path, sizes, settings.seed)
    except ValueError as error:
        raise UserError(str(error)) from None
    rows = {split: write_split(paths.RAW, split, map(Pair._make, splits[split])) for split in paths.SPLITS}
    train = splits["train"]
    for number in sorted({0, min(1, len(train) - 1), len(train) // 2}):
        _show(number + 1, train[number])
    return {"kind": "grammar", "path": settings.path, **about, **_files([File(path.name, path)])}, rows


def _from_disk(path: Path, needed: str = "train") -> Corpus:
    """The corpus of a file or folder; a single file is the split `needed`."""
    if path.is_dir():
        files = map_to_our_splits(find_splits(path), {}, str(path), needed)
        return Corpus(files, {"kind": "folder", "path": str(path)})
    return Corpus({needed: [File(path.name, path)]}, {"kind": "file", "path": str(path)})


def _from_hub(path: Path, needed: str = "train") -> Corpus:
    pin = hub.load(path)
    copy = hub.fetch(path, pin)
    print(f"ingest: {copy.summary}")
    facts = {
        "kind": "hub",
        "path": str(path),
        "id": pin.hub,
        "config": pin.config,
        "revision": copy.revision,
        "mirror": copy.mirror,
        "licence": pin.licence or copy.licence,
    }
    return Corpus(map_to_our_splits(copy.files, pin.splits, pin.hub, needed), facts)


def _write_files(corpus: Corpus, settings: Ingest) -> tuple[dict[str, Any], dict[str, int]]:
    """Write the splits of a corpus, and make missing ones from train."""
    sizes = {"test": settings.test_size, "validation": settings.validation_size}
    made = {split: HeldOut(split, size) for split, size in sizes.items() if split not in corpus.files}
    rows = {}
    with Progress("ingest", "rows") as progress:
        reader = Reader(settings, progress)
        for split in paths.SPLITS:
            pairs = reader.pairs(corpus.files.get(split, ()))
            if split == "train":
                pairs = _sampled(_train(pairs, made, settings.train_size), progress)
            elif split in made:
                pairs = iter(made[split].pairs())
            rows[split] = write_split(paths.RAW, split, pairs)
        reader.check(final=True)
    for split in paths.SPLITS:
        if not rows[split]:
            raise UserError(_empty(split, split in made, str(settings.path)))
        if split in made:
            print(f"ingest: {_describe(made[split], rows[split])}")
    columns = {"source": reader.columns[0], "target": reader.columns[1]}
    facts = corpus.facts | {"columns": columns, "made_splits": sorted(made)}
    facts["malformed_rows"] = len(reader.malformed)
    files = [file for split in paths.SPLITS for file in corpus.files.get(split, ())]
    return facts | _files(files), rows


def _evaluation_set(name: str, settings: Ingest) -> dict[str, Any]:
    """Write a further evaluation set; returns its entry in provenance.json."""
    folder = Path(settings.evaluation_folder)
    known: dict[str, list[Path]] = {}
    for path in filter(_is_corpus, sorted(folder.glob("*"))):
        known.setdefault(path.name.split(".")[0], []).append(path)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise UserError(
            f"ingest.evaluation_sets: {folder} has no set {name!r}{hint}; there are: "
            f"{', '.join(known) or 'none'}; a set is a corpus file, a folder or a pin, named as the set"
        )
    path, *others = known[name]
    if others:
        both = ", ".join(map(str, [path, *others]))
        raise UserError(f"ingest.evaluation_sets: which set is {name!r}? There are {both}: rename one")
    corpus = _from_hub(path, "test") if "hub" in _document(path) else _from_disk(path, "test")
    with Progress("ingest", "rows") as progress:
        reader = Reader(settings, progress)
        rows = write_split(paths.RAW, name, reader.pairs(corpus.files["test"]))
        reader.check(final=True)
    if not rows:
        raise UserError(_empty(name, False, str(path)))
    return {**corpus.facts, "rows": rows, **_files(corpus.files["test"])}


def _is_corpus(path: Path) -> bool:
    return path.is_dir() or path.suffix in (".yaml", ".yml") or formats.suffix(path) in formats.KINDS


class Reader:
    """Reads files in order, and counts malformed rows and repeated headers of all of them."""

    def __init__(self, settings: Ingest, progress: Progress) -> None:
        self.settings, self.progress = settings, progress
        self.columns = ("", "")
        self.malformed: list[str] = []
        self.repeated, self._first_repeated = 0, ""
        self._announced = ""

    def pairs(self, files: Iterable[File]) -> Iterator[Pair]:
        """The pairs of the files; raises UserError as `check` does."""
        for file in files:
            columns = self.settings.source_column, self.settings.target_column
            languages = self.settings.source_language, self.settings.target_language
            table = formats.open_table(file.path, *columns, languages)
            self._announce(file, table)
            for row in table.rows:
                self.progress.advance()
                if isinstance(row, Malformed):
                    self.malformed.append(f"{file.path}, {table.unit} {row.line}: {row.reason}")
                    self.check()
                elif isinstance(row, Repeated):
                    self.repeated += 1
                    self._first_repeated = self._first_repeated or f"{file.path}, {table.unit} {row.line}"
                else:
                    yield row

    def check(self, final: bool = False) -> None:
        """Raises UserError, naming rows, if too many are malformed: at the end, or if far too many."""
        if final and self.repeated:
            times = f"{self.repeated:,} time{'s' * (self.repeated > 1)}"
            print(f"ingest: the header is repeated {times} and left out, first in {self._first_repeated}")
        count, allowed = len(self.malformed), self.settings.max_malformed_rows
        if count <= allowed + (0 if final else PATIENCE):
            if final and count:
                listed = "".join(f"\n  {text}" for text in self.malformed[:LISTED])
                print(f"ingest: {count:,} malformed rows left out, {allowed:,} are allowed:{listed}")
            return
        rows = "1 malformed row" if count == 1 else f"{count:,} malformed rows"
        listed = "\n  ".join(self.malformed[:LISTED] + ["…"] * (count > LISTED))
        raise UserError(
            f"{rows}{'' if final else ' so far'}:\n  {listed}\n"
            f"  repair them, or leave them out with ingest.max_malformed_rows (now {allowed:,})"
        )

    def _announce(self, file: File, table: Table) -> None:
        self.columns = table.columns
        if table.announcement != self._announced:
            self._announced = table.announcement
            source, target = table.columns
            self.progress.write(
                f"ingest: {file.name}: {self._announced}; source is {source}, target is {target}"
            )


class HeldOut:
    """A split made from train's file: of its bucket the pairs with the lowest digests.

    A bucket is a fixed range of the 64-bit digest of the normalised source: the lowest 4 % belong to test,
    the next 4 % to validation. So a sentence's split depends on the sentence alone: repeated sources
    share it, and new data never move a sentence to another split. A new pair with a lower digest replaces
    the pair with the highest one, which then is in no split. Of pairs with the same source the first is
    used, as evaluation counts distinct sentences.
    """

    def __init__(self, split: str, size: int) -> None:
        self.name, self.bucket, self.size = split, BUCKETS[split], size
        self.owned = 0  # pairs in its bucket, kept or not
        self._kept: dict[int, Pair] = {}
        self._highest: list[int] = []  # a heap of negative digests

    def takes(self, number: int, pair: Pair) -> bool:
        """Whether the pair, whose source has this digest, is in the bucket; keeps it if it is low enough."""
        if number not in self.bucket:
            return False
        self.owned += 1
        if number not in self._kept:
            self._kept[number] = pair
            heapq.heappush(self._highest, -number)
            if len(self._kept) > self.size:
                del self._kept[-heapq.heappop(self._highest)]
        return True

    def pairs(self) -> list[Pair]:
        """The pairs kept so far, the lowest digest first."""
        return [self._kept[number] for number in sorted(self._kept)]


def _train(pairs: Iterator[Pair], made: dict[str, HeldOut], size: int | None) -> Iterator[Pair]:
    """The first `size` pairs that are in no made split; `clean` drops pairs with an empty side."""
    rows = 0
    for pair in pairs:
        if made and pair.source.strip() and pair.target.strip():
            number = digest(pair.source)
            if any(split.takes(number, pair) for split in made.values()):
                continue
        if size is None or rows < size:
            rows += 1
            yield pair
        elif not made:
            return


def _sampled(pairs: Iterator[Pair], progress: Progress) -> Iterator[Pair]:
    """Yield pairs unchanged; print the first two, and at the end one from the middle third.

    The first ones reveal swapped columns, a column of ids or a header, the middle one files that differ.
    """
    number, later, kept = 0, 3, [(0, Pair("", ""))] * 2
    for pair in pairs:
        number += 1
        if number <= 2:
            _show(number, pair, progress)
        elif number == later:  # each number kept is 1.5 times the previous one
            kept = [kept[1], (number, pair)]
            later += (number + 1) // 2
        yield pair
    middle = min(kept, key=lambda one: abs(one[0] - number / 2))
    if middle[0]:
        _show(*middle, progress)


def _show(number: int, pair: Any, progress: Progress | None = None) -> None:
    """Print a pair of the training split as a sample, with its number unless it is one of the first."""
    say = progress.write if progress else print
    place = f"pair {number:,}: " if number > 2 else ""
    say(f"  {place}{cut(pair[0], SAMPLE)} → {cut(pair[1], SAMPLE)}")


def _describe(split: HeldOut, rows: int) -> str:
    """The size of a made split, and of its bucket."""
    owned = f"{split.owned:,} pairs it owns ({SHARE:.0%} of all)"
    text = f"made {split.name} of the {rows:,} lowest hashes of the {owned}"
    if rows < split.size:
        return f"{text}; there are no {split.size:,}"
    return f"{text}; the others are in no split"


def _empty(split: str, made: bool, path: str) -> str:
    if made:
        return (
            f"{path} is too small to make a {split} split from: it owns {SHARE:.0%} of all sentences, "
            f"which here is none; give a folder with train, validation and test files, or more text"
        )
    return f"the {split} split of {path} has no pairs"


def _files(files: Iterable[File]) -> dict[str, Any]:
    """Name, sha256 and size of the files read."""
    return {
        "files": [
            {"name": name, "sha256": hub.sha256(path), "bytes": path.stat().st_size}
            for file in files
            for name, path in file.parts()
        ]
    }
