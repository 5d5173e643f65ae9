"""Translates a document in a thread of the server.

Why: the libraries for documents, PyTorch among them, are loaded at the first document only, so that a server
of plain texts stays small.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from seq2seq.common import document_formats as formats
from seq2seq.common.errors import UserError
from seq2seq.documents import bulk, pages
from seq2seq.documents.records import Columns
from seq2seq.documents.segments import Translate
from seq2seq.documents.tables import BY_FORMAT
from seq2seq.inference.translation import Translation
from seq2seq.serving.batching import Call
from seq2seq.serving.dispatcher import Dispatcher
from seq2seq.serving.files import Job
from seq2seq.serving.remote import Remote

T = TypeVar("T")


def translate_file(job: Job, dispatcher: Dispatcher, call: Call, loop: asyncio.AbstractEventLoop) -> None:
    """Write the translation of a file; raises UserError if it cannot be read or a record is left out."""
    translator = Remote(dispatcher, call, loop)
    if job.kind == "parquet":  # a small one can hold many gigabytes
        raise UserError("a Parquet file is translated by the command line: `seq2seq translate FILE`")
    if job.kind in formats.RECORDS:
        _translate_records(job, translator)
        return

    def translate(protects: bool) -> bytes:
        how = pages.Settings(languages=job.languages, protects=protects)
        return pages.translate(job.path, job.kind, _pieces(translator), how).data

    job.output.write_bytes(_for_its_version(translator, translate))


def translate_html(
    texts: list[str], dispatcher: Dispatcher, call: Call, loop: asyncio.AbstractEventLoop
) -> list[str]:
    """Texts with markup, translated."""
    documents, translator = [pages.parse(text, "html") for text in texts], Remote(dispatcher, call, loop)

    def translate(protects: bool) -> list[str]:
        return pages.render_all(documents, _pieces(translator), protects)[0]

    return _for_its_version(translator, translate)


def _for_its_version(translator: Remote, translate: Callable[[bool], T]) -> T:
    """The result for the version that has translated, which may have become the current one meanwhile."""
    protects = translator.protects
    done = translate(protects)
    return done if translator.protects == protects else translate(not protects)


def _pieces(translator: Remote) -> Translate:
    def translate(texts: list[str], attend: bool) -> list[Translation]:
        return translator.translate_fully(texts, attend=attend)

    return translate


def _translate_records(job: Job, translator: Remote) -> None:
    columns = Columns(job.column)
    scratch = job.path.parent
    work = bulk.Work(job.path, BY_FORMAT[job.kind](columns), lambda: translator, None, False, scratch)
    header, shards = work.records.cut(job.path, bulk.SHARD)

    def parts() -> Iterator[Path]:
        for shard in shards:
            written, notes = work.translate(shard)
            if notes.problems:
                raise UserError(f"{job.path}, {notes.problems[0]}")
            part = scratch / f"part-{shard.number}"
            part.write_bytes(written)
            yield part

    with job.output.open("wb") as out:
        work.records.join(job.path, header, parts(), out)
