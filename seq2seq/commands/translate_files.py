"""`seq2seq translate FILE... --output PATH`: documents in their format, tables with a new column.

Why: structure, markup and code of a document stay as they are, whatever the format.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from seq2seq.common import document_formats as formats
from seq2seq.common import environment
from seq2seq.common.errors import UserError
from seq2seq.common.files import replacing
from seq2seq.data import direction
from seq2seq.documents import bulk, pages
from seq2seq.documents.bulk import Translating
from seq2seq.documents.records import Columns, Lines
from seq2seq.documents.tables import BY_FORMAT
from seq2seq.inference.translation import Translation

LEFT_OUT = 1  # exit status where a record was not translated


def run(options: argparse.Namespace, folder: Path) -> int:
    """Translate files; returns LEFT_OUT if a record could not be translated.

    A file that cannot be read does not stop the others: raises UserError after the last one. The file that
    OUTCOME_FILE names gets, as JSON, the number of records left out, by file.
    """
    paths = [Path(name) for name in options.text]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path} is no file: with --output each argument is one")
    outputs = _outputs(paths, options.output)
    kinds = [formats.of(path, options.format) for path in paths]
    are_records = [kind in formats.RECORDS and not (kind == "txt" and options.paragraphs) for kind in kinds]
    if options.confidence and not all(are_records):
        path = paths[are_records.index(False)]
        raise UserError(f"{path}: --confidence needs records: {', '.join(formats.RECORDS)}")
    load = partial(load_translator, folder, options.glossary)
    if not all(are_records) or len(paths) > 1:  # a mistake about the model is none of each file
        loaded = load()
    left_out: dict[str, int] = {}
    failed: dict[str, str] = {}
    for path, kind, is_records, output in zip(paths, kinds, are_records, outputs, strict=True):
        try:
            _check_readable(path)
            if is_records:
                if count := _translate_records(path, kind, output, options, load, folder):
                    left_out[path.name] = count
            else:
                _translate_document(path, kind, output, options, loaded, folder)
        except UserError as error:
            failed[path.name] = str(error)
            if len(paths) > 1:
                print(f"error: {error}", file=sys.stderr, flush=True)
    if record := os.environ.get(environment.OUTCOME_FILE):
        Path(record).write_text(json.dumps(left_out), encoding="utf-8")
    if left_out:
        print(f"{sum(left_out.values()):,} left out: they have no translation", file=sys.stderr)
    if len(paths) == 1 and failed:
        raise UserError(*failed.values())
    if failed:
        raise UserError(f"{len(failed):,} of {len(paths):,} files are not translated: {', '.join(failed)}")
    return LEFT_OUT if left_out else 0


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def load_translator(folder: Path, glossary: Path | None) -> Translating:
    """The translator of a folder, by one thread: results do not depend on the number of processes."""
    import torch

    from seq2seq.inference.translator import Translator

    torch.set_num_threads(1)
    return Translator.from_folder(folder, glossary=glossary)


def _outputs(paths: Sequence[Path], output: Path | None) -> list[Path | BinaryIO]:
    """A file for each path, in a folder for several; standard output without one."""
    if output is None:
        if len(paths) > 1:
            raise UserError("several files need --output FOLDER")
        return [sys.stdout.buffer]
    if len(paths) > 1 or output.is_dir():
        output.mkdir(parents=True, exist_ok=True)
        if len({path.name for path in paths}) < len(paths):
            raise UserError("--output: two of the files have the same name")
        found = [output / path.name for path in paths]
    else:
        found = [output]
    for path, one in zip(paths, found, strict=True):
        bulk.check_output(path, one)
    return list(found)


def _translate_records(
    path: Path,
    kind: str,
    output: Path | BinaryIO,
    options: argparse.Namespace,
    load: Callable[[], Translating],
    folder: Path,
) -> int:
    columns = Columns(options.column, options.into, options.confidence)
    if kind == "parquet":
        from seq2seq.documents.parquet import Parquet

        reader: type[Lines] = Parquet
    else:
        reader = BY_FORMAT[kind]
    files = [file for file in sorted(folder.iterdir()) if file.is_file()]
    files += [options.glossary] if options.glossary else []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            work = bulk.Work(path, reader(columns), load, options.beam, options.refuse_long, Path(scratch))
            notes = bulk.translate(work, output, files, "translate")
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
    shown = f"{path}: {notes.records:,} records"
    if notes.splits:
        shown += f", {notes.splits:,} divisions of sentences too long for the model"
    if notes.doubtful:
        shown += f", {notes.doubtful:,} records unlike the training data"
    print(shown, file=sys.stderr, flush=True)
    return len(notes.problems)


def _translate_document(
    path: Path,
    kind: str,
    output: Path | BinaryIO,
    options: argparse.Namespace,
    translator: Translating,
    folder: Path,
) -> None:
    def translate(texts: list[str], attend: bool) -> list[Translation]:
        return translator.translate_fully(texts, beam=options.beam, warn=False, divide=True, attend=attend)

    stated = direction.read(folder)
    languages = stated.source.language, options.to or stated.target.language
    how = pages.Settings(options.again, languages, translator.protects)
    found = pages.translate(path, kind, translate, how)
    if isinstance(output, Path):
        with replacing(output) as draft:
            draft.write_bytes(found.data)
    else:
        output.write(found.data)
        output.flush()
    splits = f", {found.splits:,} divisions of sentences too long for the model" if found.splits else ""
    print(f"{path}: {found.segments:,} segments{splits}", file=sys.stderr, flush=True)
