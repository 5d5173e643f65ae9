"""The work behind each path of the server: checks, translation, and the answer.

Why: the paths of app.py are about HTTP; here are the rules of the API.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from fastapi import HTTPException, Request

from seq2seq.common.errors import UserError
from seq2seq.serving import detection, protocol, schemas
from seq2seq.serving.batching import Call, ClientFullError, FailedError, FullError
from seq2seq.serving.dispatcher import ClosedError, Dispatcher, Version
from seq2seq.serving.files import Files, Job, Stored
from seq2seq.serving.process import Model
from seq2seq.serving.protocol import Found, Want
from seq2seq.serving.schemas import AUTO
from seq2seq.serving.settings import Settings
from seq2seq.serving.threads import Threads

BUSY = {"Retry-After": "1"}
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """The content of an answer, and the version that translated."""

    content: dict[str, Any]
    version: Version | None


class Service:
    """The API over a dispatcher."""

    def __init__(self, settings: Settings, dispatcher: Dispatcher, files: Files) -> None:
        self.settings, self.dispatcher, self.files = settings, dispatcher, files
        self._threads = Threads(settings.short_threads, settings.waiting_short, settings.timeout)

    def model(self) -> Model:
        """The facts about the current version; raises HTTPException if none serves."""
        if self.dispatcher.current is None:
            raise HTTPException(503, "no version serves yet", BUSY)
        return self.dispatcher.current.model

    def check_key(self, key: str | None) -> None:
        """Raise HTTPException if keys are configured and this is none of them."""
        keys = self.settings.api_keys
        sent = (key or "").encode()
        if keys and not any(hmac.compare_digest(sent, known.encode()) for known in keys):
            raise HTTPException(403, "Invalid API key")

    def check_texts(self, texts: Sequence[str], limit: int | None = None) -> None:
        """Raise HTTPException for too many or too long texts, or text that is not Unicode."""
        limit = limit or self.settings.max_characters
        if len(texts) > self.settings.max_texts:
            message = f"Invalid request: request ({len(texts)}) exceeds limit of texts"
            raise HTTPException(400, f"{message} ({self.settings.max_texts})")
        size = sum(map(len, texts))
        if size > limit:
            raise HTTPException(400, f"Invalid request: request ({size}) exceeds text limit ({limit})")
        if any("\ud800" <= character <= "\udfff" for text in texts for character in text):
            raise HTTPException(400, "Invalid request: q is no Unicode: half of a surrogate pair")

    def check_languages(self, source: str | None, target: str | None) -> None:
        """Raise HTTPException for languages other than those of the model; None and auto are right."""
        model = self.model()
        known = {detection.base(tag) for tag in (model.source, model.target) if tag}
        for sent in (source, target):
            if sent not in (None, AUTO) and len(known) == 2 and detection.base(str(sent)) not in known:
                raise HTTPException(400, f"{sent} is not supported")
        sides = ((source, model.source), (target, model.target))
        if any(sent not in (None, AUTO) and own and not _matches(str(sent), own) for sent, own in sides):
            raise HTTPException(400, f"{target} is not available as a target language from {source}")

    def languages(self) -> list[dict[str, Any]]:
        """The languages of the model."""
        model = self.model()
        source, target = model.source or "und", model.target or "und"
        found = [{"code": source, "name": detection.name(source), "targets": [target]}]
        if target != source:
            found.append({"code": target, "name": detection.name(target), "targets": []})
        return found

    async def detect(self, text: str) -> list[dict[str, str | float]]:
        """The model's languages with the probability that a text is in them."""
        model = self.model()
        tags = dict.fromkeys(tag for tag in (model.source, model.target) if tag)
        return await self.in_thread(lambda: detection.detect(text, tags))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """The result of short work in a thread; raises HTTPException if it is full or slow."""
        try:
            return await self._threads.run(work)
        except FullError as error:
            raise HTTPException(503, f"the server is busy: {error}", BUSY) from None
        except TimeoutError:
            raise HTTPException(504, f"this takes more than {self.settings.timeout:g} s") from None

    def close(self) -> None:
        """Drop work that has not begun."""
        self._threads.close()

    async def translate(self, body: schemas.Translate, call: Call) -> Answer:
        """Translate a text or a list of texts."""
        texts = body.q if isinstance(body.q, list) else [body.q]
        wanted = min(body.alternatives or 0, self.settings.max_alternatives)
        others: list[list[str]] = [[] for _ in texts]
        if body.format == "html":
            translated = await self._translate_html(texts, call)
        else:
            found = await self.dispatcher.translate(call, texts, Want(alternatives=wanted))
            translated = [one["text"] for one in found]
            others = [[text for text, _, _ in one.get("alternatives", [])] for one in found]
        content: dict[str, Any] = {"translatedText": translated}
        if wanted:
            content["alternatives"] = others
        if body.source == AUTO:
            detected = [await self.detect(text) for text in texts]
            content["detectedLanguage"] = [found[0] if found else _UNKNOWN for found in detected]
        if not isinstance(body.q, list):
            content = {name: value[0] for name, value in content.items()}
        return Answer(content, version_of(call))

    async def inspect(self, body: schemas.Inspect, call: Call) -> Answer:
        """A translation with everything that is known about it."""
        wanted = min(body.alternatives or 0, self.settings.max_alternatives)
        want = Want(attend=True, alternatives=wanted, doubts=True)
        [found] = await self.dispatcher.translate(call, [body.q], want)
        version = version_of(call)
        return Answer(_inspected(found, version), version)

    async def translate_file(self, body: schemas.File, upload: Any, call: Call) -> str:
        """Translate an upload; returns the name of the result."""
        model = self.model()
        loop = asyncio.get_running_loop()

        def translate(job: Job) -> None:
            from seq2seq.serving import document_work

            document_work.translate_file(job, self.dispatcher, call, loop)

        languages = (model.source, model.target)
        try:
            return await self.files.translate(
                upload.file, upload.filename or "", body.column, languages, translate
            )
        except UserError as error:
            raise HTTPException(400, f"Invalid request: {error}") from None

    def stored(self, name: str) -> Stored:
        """A translated file; raises HTTPException if there is none."""
        found = self.files.find(name)
        if found is None:
            raise HTTPException(404, "there is no such file; a translated file is kept for some minutes")
        return found

    @asynccontextmanager
    async def call(self, request: Request, key: str | None, seconds: float) -> AsyncIterator[Call]:
        """A call of the dispatcher, whose errors become those of HTTP."""
        client = key if key and self.settings.api_keys else (request.client.host if request.client else "")
        try:
            async with self.dispatcher.call(client, seconds) as call:
                yield call
        except ClientFullError as error:
            raise HTTPException(429, f"Slow down: {error}", BUSY) from None
        except (FullError, ClosedError) as error:
            raise HTTPException(503, f"the server is busy: {error}", BUSY) from None
        except FailedError as error:
            raise HTTPException(500, f"Cannot translate text: {error}") from None
        except TimeoutError:
            raise HTTPException(504, f"the translation takes more than {seconds:g} s") from None

    async def _translate_html(self, texts: list[str], call: Call) -> list[str]:
        loop = asyncio.get_running_loop()

        def translate() -> list[str]:
            from seq2seq.serving import document_work

            return document_work.translate_html(texts, self.dispatcher, call, loop)

        try:
            return await self.files.in_thread(translate)
        except UserError as error:
            raise HTTPException(400, f"Invalid request: {error}") from None


_UNKNOWN = {"confidence": 0.0, "language": "und"}


def version_of(call: Call) -> Version | None:
    """The version that translated; None if nothing had to be translated."""
    version: Version | None = getattr(call.owner, "version", None)
    return version


def page_of(version: Version) -> str | None:
    """The address of a registered version's page, with verdict and model card; None without a server."""
    server = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if server.scheme not in ("http", "https") or not version.number:
        return None
    place = server.netloc.rpartition("@")[2]  # without a password
    return f"{server.scheme}://{place}{server.path.rstrip('/')}/#/models/{quote(version.name)}/versions/{version.number}"


def _matches(sent: str, own: str) -> bool:
    """Whether a tag means a language of the model: the same, or with fewer or other subtags."""
    return detection.base(sent) == detection.base(own)


def _inspected(found: Found, version: Version | None) -> dict[str, Any]:
    keys = ("text", "score", "confidence")
    return {
        "translation": found["text"],
        "score": found["score"],
        "confidence": found["confidence"],
        "mean_log_probability": found["mean"],
        "splits": found["splits"],
        "alternatives": [dict(zip(keys, one, strict=True)) for one in found.get("alternatives", [])],
        "source_pieces": found["source"],
        "target_pieces": found["target"],
        "attention": protocol.matrix(found),
        "doubts": found["doubts"],
        "unknown_words": found["unknown"],
        "version": version and {"name": version.name, "number": version.number, "url": page_of(version)},
    }
