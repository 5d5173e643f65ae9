"""Translates uploaded files, and keeps the results until they are downloaded or have expired.

Why: the formats and the treatment of markup are those of `seq2seq translate FILE`.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from seq2seq.common import document_formats as formats
from seq2seq.common.errors import UserError
from seq2seq.serving.batching import FullError
from seq2seq.serving.settings import Settings

UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)
T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """A translated file."""

    path: Path
    name: str  # for the client
    made: float


class Job(NamedTuple):
    """A file to translate."""

    path: Path
    kind: str  # its format
    output: Path
    column: str | None
    languages: tuple[str | None, str | None]


class Files:
    """A folder of translated files, and the threads that translate documents."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="seq2seq-serve-"))
        self._stored: dict[str, Stored] = {}
        self._threads = ThreadPoolExecutor(settings.documents, "document")
        self._waiting = 0

    async def in_thread(self, work: Callable[[], T]) -> T:
        """The result of `work` in a thread, once one is free; raises FullError if too many wait for one."""
        if self._waiting >= self._settings.waiting_documents:
            raise FullError(f"{self._waiting} documents are translated or wait already")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    async def translate(
        self,
        upload: BinaryIO,
        name: str,
        column: str | None,
        languages: tuple[str | None, str | None],
        translate: Callable[[Job], None],
    ) -> str:
        """Have a file translated, in a thread; returns the name under which `find` has it for some minutes.

        Raises UserError for an unknown format or a file that cannot be read, FullError if there are too many.
        """
        name = UNSAFE.sub("_", Path(name.replace("\\", "/")).name).lstrip(".")[-100:] or "file"
        kind = formats.of(Path(name))
        self.sweep()
        if len(self._stored) >= self._settings.files:
            raise FullError(f"{len(self._stored)} files are kept for their download")
        token = secrets.token_urlsafe(16)
        stored = self._folder / token
        with tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True) as scratch:
            path, output = Path(scratch, name), Path(scratch, f"translated-{token}")
            with path.open("wb") as file:
                await asyncio.to_thread(shutil.copyfileobj, upload, file)
            job = Job(path, kind, output, column, languages)
            try:
                await self.in_thread(partial(translate, job))
            except UserError as error:
                raise UserError(str(error).replace(str(path), name).replace("--column", "column")) from None
            output.replace(stored)
        stem, _, end = name.rpartition(".")
        self._stored[token] = Stored(stored, f"{stem}_{languages[1] or 'translated'}.{end}", time.monotonic())
        return f"{token}.{end}"

    def find(self, name: str) -> Stored | None:
        """A translated file; None if it does not exist or has expired."""
        self.sweep()
        return self._stored.get(name.partition(".")[0])

    def sweep(self) -> None:
        """Remove the files that have expired."""
        limit = time.monotonic() - self._settings.file_lifetime
        for token in [token for token, stored in self._stored.items() if stored.made < limit]:
            self._stored.pop(token).path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all files."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)
