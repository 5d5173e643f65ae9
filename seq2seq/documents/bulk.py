"""Translates a file of records in shards of constant size: streamed, in order, by several processes.

Why: millions of records take hours. A shard that is finished outlasts a kill, and the next run with the same
file, model and options continues after it; no byte depends on the number of processes.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from seq2seq.common import shard_folders, shards
from seq2seq.common.errors import UserError
from seq2seq.common.files import replacing
from seq2seq.common.progress import Progress
from seq2seq.documents.records import Lines, Record, Shard
from seq2seq.inference.parts import no_text
from seq2seq.inference.translation import Translation

SHARD = 1000  # records
LIBRARIES = ("torch", "sentencepiece", "sentencex")
OUT, NOTES = "out", "notes.json"


class Translating(Protocol):
    """The part of a Translator that is used."""

    @property
    def protects(self) -> bool:
        """See Translator."""

    def translate_fully(
        self,
        texts: Sequence[str],
        beam: int | None = None,
        *,
        warn: bool = True,
        divide: bool = False,
        attend: bool = True,
    ) -> list[Translation]:
        """See Translator."""

    def refusals(self, texts: Sequence[Any]) -> dict[int, str]:
        """See Translator."""

    def doubts(self, text: str) -> list[str]:
        """See Translator."""


class Notes(NamedTuple):
    """Counts and problems of a shard, to be shown."""

    records: int
    problems: list[str]
    splits: int
    doubtful: int


@dataclass(frozen=True)
class Work:
    """Translates shards of a file; `load` returns the translator, in each process one time."""

    path: Path
    records: Lines
    load: Callable[[], Translating]
    beam: int | None
    refuse_long: bool
    folder: Path

    def __call__(self, shard: Shard) -> Notes:
        """Translate a shard into its folder, unless that exists."""
        folder = self.folder / f"{shard.number:06}"
        if not folder.is_dir():
            written, notes = self.translate(shard)
            with shard_folders.draft(folder) as draft:
                (draft / OUT).write_bytes(written)
                (draft / NOTES).write_text(json.dumps(notes), encoding="utf-8")
        return Notes(*json.loads((folder / NOTES).read_text("utf-8")))

    def translate(self, shard: Shard) -> tuple[bytes, Notes]:
        """The records of a shard as they are written with their translations."""
        translator = _loaded(self.load)
        lines, found = [], []
        for line, record in self.records.read(self.path, shard):
            lines.append(line)
            found.append(record)
        problems = {number: record.problem for number, record in enumerate(found) if record.problem}
        for number, record in enumerate(found):
            if number not in problems and (reason := next(filter(None, map(no_text, record.texts)), "")):
                problems[number] = reason
        if self.refuse_long:
            problems |= self._refused(translator, found, problems)
        good = [record for number, record in enumerate(found) if number not in problems]
        texts = [text for record in good for text in record.texts]
        translated = iter(
            translator.translate_fully(
                texts, beam=self.beam, warn=False, divide=not self.refuse_long, attend=False
            )
        )
        splits = 0
        parts: list[bytes] = []
        for number, record in enumerate(found):
            if number in problems:
                parts.append(record.write(None))
                continue
            translations = list(islice(translated, len(record.texts)))
            splits += sum(t.splits for t in translations)
            parts.append(record.write(translations))
        unit = self.records.unit
        named = [f"{unit} {lines[number]:,}: {reason}" for number, reason in sorted(problems.items())]
        doubtful = sum(any(map(translator.doubts, record.texts)) for record in good)
        return b"".join(parts), Notes(len(found), named, splits, doubtful)

    @staticmethod
    def _refused(
        translator: Translating, found: Sequence[Record], problems: dict[int, str]
    ) -> dict[int, str]:
        owners = [n for n, record in enumerate(found) if n not in problems for _ in record.texts]
        texts = [text for n, record in enumerate(found) if n not in problems for text in record.texts]
        return {owners[i]: reason for i, reason in translator.refusals(texts).items()}


def translate(work: Work, output: Path | BinaryIO, files: Sequence[Path], label: str) -> Notes:
    """Translate a file of records; the shards of an output file stand beside it until it is complete.

    `files` are those of the model, for the fingerprint. Problems are named on stderr as they come.
    """
    if not isinstance(output, Path):
        return _into(work, output, label)
    settings = [work.path.name, vars(work.records), work.beam, work.refuse_long, SHARD]
    name = shard_folders.fingerprint(settings, LIBRARIES, [work.path, *files])
    beside = output.with_name(f"{output.name}.parts")
    folder = beside / name
    for other in beside.glob("*"):
        if other.name != name:  # of another file, model or other options
            shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    for draft in folder.glob("*.*"):  # of a process that was killed
        shutil.rmtree(draft)
    with replacing(output) as draft, draft.open("wb") as file:
        notes = _into(replace(work, folder=folder), file, label)
    shutil.rmtree(beside)
    return notes


def _into(work: Work, out: BinaryIO, label: str) -> Notes:
    header, cut = work.records.cut(work.path, SHARD)
    finished = {shard for shard in cut if (work.folder / f"{shard.number:06}").is_dir()}
    if finished:
        print(
            f"{label}: {len(finished):,} of {len(cut):,} shards are finished already",
            file=sys.stderr,
            flush=True,
        )
    records, start = (sum(shard.records for shard in some) for some in (cut, finished))
    all_notes: list[Notes] = []

    def parts() -> Iterator[Path]:
        results: Generator[Notes, None, None] = shards.over(work, cut)
        with closing(results), Progress(label, "records", records, start, sys.stderr) as progress:
            for shard, notes in zip(cut, results, strict=True):
                for problem in notes.problems:
                    progress.write(f"{work.path}, {problem}; left out")
                all_notes.append(notes)
                yield work.folder / f"{shard.number:06}" / OUT
                progress.advance(0 if shard in finished else shard.records)

    work.records.join(work.path, header, parts(), out)
    return Notes(
        records=sum(notes.records for notes in all_notes),
        problems=[problem for notes in all_notes for problem in notes.problems],
        splits=sum(notes.splits for notes in all_notes),
        doubtful=sum(notes.doubtful for notes in all_notes),
    )


@lru_cache(maxsize=1)
def _loaded(load: Callable[[], Translating]) -> Translating:
    return load()


def check_output(path: Path, output: Path) -> None:
    """Raise UserError for an output that is the input, or whose folder does not exist."""
    if output.resolve() == path.resolve():
        raise UserError(f"--output: {output} is the file to translate")
    if not output.absolute().parent.is_dir():
        raise UserError(f"--output: the folder {output.absolute().parent} does not exist")
