"""Reads the body of a request, JSON or a form, within limits of size.

Why: clients of LibreTranslate send either. Uploads need the library python-multipart, all else does not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

T = TypeVar("T")
FIELDS = 1000  # of a form
INSTALL = (
    "the library python-multipart is not installed: pip install 'seq2seq[serve]', or send the text as JSON"
)


class Body(NamedTuple):
    """The fields of a request, and its files by name."""

    fields: dict[str, Any]
    is_json: bool
    files: dict[str, UploadFile]

    async def close(self) -> None:
        """Remove the files."""
        for file in self.files.values():
            await file.close()


async def read(request: Request, limit: int) -> Body:
    """The fields of a body; a field that is repeated in a form becomes a list.

    Raises HTTPException: 400 for what cannot be parsed, 413 for more than `limit` bytes.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _multipart(request, limit)
    data = b"".join([chunk async for chunk in _chunks(request, limit)])
    if kind == "application/json" or kind.endswith("+json"):
        try:
            fields = json.loads(data)
        except (ValueError, RecursionError):
            raise HTTPException(400, "Invalid request: the body is no JSON") from None
        if not isinstance(fields, dict):
            raise HTTPException(400, "Invalid request: the body is no JSON object")
        return Body(fields, True, {})
    try:
        pairs = parse_qsl(data.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
    except ValueError:
        raise HTTPException(400, "Invalid request: the body is no form in UTF-8") from None
    return Body(_collected([*request.query_params.multi_items(), *pairs]), False, {})


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled if the client leaves; then raises ClientDisconnect."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for one in (task, gone):
            if not one.done():
                one.cancel()
                with suppress(asyncio.CancelledError):
                    await one


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The parts of a body; raises HTTPException with status 413 beyond `limit` bytes."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise HTTPException(413, f"Invalid request: the body exceeds {limit:,} bytes")
        yield chunk


class _StoppedError(MultiPartException):
    """Carries an error through the parser, which closes its files for its own kind of error only."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


async def _multipart(request: Request, limit: int) -> Body:
    if find_spec("python_multipart") is None:
        raise HTTPException(501, INSTALL)

    async def chunks() -> AsyncGenerator[bytes]:
        try:
            async for chunk in _chunks(request, limit):
                yield chunk
        except (HTTPException, ClientDisconnect) as error:
            raise _StoppedError(error) from None

    try:
        parser = MultiPartParser(
            request.headers, chunks(), max_files=1, max_fields=FIELDS, max_part_size=limit
        )
        form = await parser.parse()
    except _StoppedError as stopped:
        raise stopped.error from None
    except (MultiPartException, ValueError, KeyError) as error:
        raise HTTPException(400, f"Invalid request: {error}") from None
    items = form.multi_items()
    files = {name: value for name, value in items if isinstance(value, UploadFile)}
    return Body(_collected([(n, v) for n, v in items if isinstance(v, str)]), False, files)


def _collected(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif name == "q":
            before = fields[name]
            fields[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            fields[name] = value
    return fields
