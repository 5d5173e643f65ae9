"""The HTTP paths of the server: LibreTranslate's API, `inspect`, health, metrics and the page.

Why: clients of LibreTranslate work unchanged. Every error has the form {"error": "..."}.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seq2seq.common import document_formats as formats
from seq2seq.serving import bodies, schemas, suggestions
from seq2seq.serving.follower import Follower
from seq2seq.serving.metrics import Metrics
from seq2seq.serving.service import Answer, Service

PAGE = Path(__file__).parent / "page"
NO_PAGE = "this server has no page: seq2seq/serving/page/index.html is missing; the API works without it"
GONE = 499  # the client left; it receives nothing
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Problem} for status in (400, 403, 413, 429, 500, 501, 503, 504)
}


class Paths:
    """The functions behind the paths."""

    def __init__(self, service: Service, follower: Follower, metrics: Metrics) -> None:
        self.service, self.follower, self.metrics = service, follower, metrics
        self.settings = service.settings

    async def translate(self, request: Request) -> Response:
        """Translate a text, or a list of texts."""
        body = await self._body(request, schemas.Translate)
        self.service.check_languages(body.source, body.target)
        self.service.check_texts(body.q if isinstance(body.q, list) else [body.q])
        async with self.service.call(request, body.api_key, self.settings.timeout) as call:
            return _answered(await bodies.unless_gone(request, self.service.translate(body, call)))

    async def inspect(self, request: Request) -> Response:
        """Translate a text, with pieces, attention, confidence and alternatives."""
        body = await self._body(request, schemas.Inspect)
        self.service.check_languages(body.source, body.target)
        self.service.check_texts([body.q], self.settings.longest_inspected)
        async with self.service.call(request, body.api_key, self.settings.timeout) as call:
            return _answered(await bodies.unless_gone(request, self.service.inspect(body, call)))

    async def translate_file(self, request: Request) -> Response:
        """Translate a file, and keep the result for some minutes."""
        read = await self._read(request, self.settings.max_file, self.settings.file_timeout)
        try:
            body = schemas.parse(schemas.File, read.fields, read.is_json)
            self.service.check_key(body.api_key)
            upload = read.files.get("file")
            if upload is None or not upload.filename:
                raise HTTPException(400, "Invalid request: missing file parameter")
            self.service.check_languages(body.source, body.target)
            async with self.service.call(request, body.api_key, self.settings.file_timeout) as call:
                name = await bodies.unless_gone(request, self.service.translate_file(body, upload, call))
        finally:
            await read.close()
        return JSONResponse({"translatedFileUrl": str(request.url_for("download_file", name=name))})

    async def download_file(self, name: str) -> Response:
        """A translated file."""
        found = self.service.stored(name)
        return FileResponse(found.path, filename=found.name, media_type="application/octet-stream")

    async def detect(self, request: Request) -> Response:
        """The languages of the model with the probability that a text is in them."""
        body = await self._body(request, schemas.Detect)
        self.service.check_texts([body.q])
        return JSONResponse(await self.service.detect(body.q))

    async def suggest(self, request: Request) -> Response:
        """Store a better translation of a text."""
        body = await self._body(request, schemas.Suggest)
        self.service.check_languages(body.source, body.target)
        self.service.check_texts([body.q, body.s])
        if self.settings.corrections is None:
            raise HTTPException(403, "Suggestions are disabled on this server.")
        self._check_origin(request)
        current = self.service.dispatcher.current
        version = current.version.label if current else ""
        address = request.client.host if request.client else ""
        model, path = self.service.model(), self.settings.corrections
        await self.service.in_thread(lambda: suggestions.add(body, model, version, address, path))
        return JSONResponse({"success": True})

    async def languages(self) -> Response:
        """The languages of the model."""
        return JSONResponse(self.service.languages())

    async def frontend_settings(self) -> Response:
        """The settings that pages for LibreTranslate read."""
        model = self.service.languages()
        ends = [f".{name}" for name in formats.NAMES]
        return JSONResponse(
            {
                "charLimit": self.settings.max_characters,
                "inspectLimit": self.settings.longest_inspected,
                "frontendTimeout": 500,
                "apiKeys": bool(self.settings.api_keys),
                "keyRequired": bool(self.settings.api_keys),
                "suggestions": self.settings.corrections is not None,
                "filesTranslation": True,
                "supportedFilesFormat": ends,
                "language": {
                    "source": {"code": model[0]["code"], "name": model[0]["name"]},
                    "target": {"code": model[-1]["code"], "name": model[-1]["name"]},
                },
            }
        )

    async def health(self) -> Response:
        """Whether the server can translate, by which version, and whether the registry answers."""
        current, follower = self.service.dispatcher.current, self.follower
        alive = current is not None and current.is_alive
        content: dict[str, Any] = {"status": "ok" if alive else "no process", "version": None}
        if current is not None:
            version = current.version
            content["version"] = {"name": version.name, "number": version.number}
            content |= {"since": _time(current.since), "process_deaths": current.deaths}
        content["waiting"] = self.service.dispatcher.queue.waiting
        content["translating"] = self.service.dispatcher.translating
        away = follower.away_since
        content["registry"] = {"away_since": _time(away), "reason": follower.away_reason if away else None}
        refused = {"number": follower.refused, "reason": follower.refused_reason}
        content["refused_version"] = refused if follower.refused else None
        return JSONResponse(content, 200 if alive else 503)

    async def figures(self) -> Response:
        """The metrics for Prometheus."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def index(self) -> Response:
        """The page to translate by hand."""
        if not (PAGE / "index.html").is_file():
            raise HTTPException(404, NO_PAGE)
        return FileResponse(PAGE / "index.html")

    def _check_origin(self, request: Request) -> None:
        """Refuse what a page of another origin sends from a user's browser, unless it is allowed."""
        origin, allowed = request.headers.get("origin"), self.settings.origins
        if origin is None or origin in allowed or "*" in allowed:
            return
        if origin.partition("://")[2] != request.headers.get("host"):
            raise HTTPException(
                403, f"Pages of {origin[:100]} may not use this server (--origin allows them)"
            )

    async def _body(self, request: Request, kind: type[schemas.B]) -> schemas.B:
        read = await self._read(request, self.settings.max_body, self.settings.timeout)
        await read.close()
        body = schemas.parse(kind, read.fields, read.is_json)
        self.service.check_key(getattr(body, "api_key", None))
        return body

    async def _read(self, request: Request, limit: int, seconds: float) -> bodies.Body:
        try:
            async with asyncio.timeout(seconds):
                return await bodies.read(request, limit)
        except TimeoutError:
            raise HTTPException(400, f"Invalid request: no whole body within {seconds:g} s") from None


class Measured:
    """Counts requests and seconds by path, and adds headers to every answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - began)


def create(service: Service, follower: Follower) -> FastAPI:
    """The application over a service that has a version."""
    metrics = service.dispatcher.metrics
    app = FastAPI(title="seq2seq", docs_url=None, redoc_url=None)
    app.add_exception_handler(AnyHTTPException, _problem)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _failure)
    app.add_middleware(Measured, metrics=metrics)
    if origins := service.settings.origins:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    _add_paths(app, Paths(service, follower, metrics))
    return app


def _add_paths(app: FastAPI, paths: Paths) -> None:
    def add(method: str, path: str, function: Callable[..., Any], model: Any, **more: Any) -> None:
        app.add_api_route(path, function, methods=[method], response_model=model, responses=PROBLEMS, **more)

    def post(path: str, function: Callable[..., Any], body: Any, model: Any, file: str = "") -> None:
        add("POST", path, function, model, openapi_extra=schemas.described(body, file=file))

    post("/translate", paths.translate, schemas.Translate, schemas.Translated)
    post("/translate_file", paths.translate_file, schemas.File, schemas.FileTranslated, file="file")
    post("/detect", paths.detect, schemas.Detect, list[schemas.Detected])
    post("/inspect", paths.inspect, schemas.Inspect, schemas.Inspected)
    post("/suggest", paths.suggest, schemas.Suggest, schemas.Suggested)
    add("GET", "/languages", paths.languages, list[schemas.LanguageInfo])
    app.get("/download_file/{name}", response_class=Response, responses={404: {"model": schemas.Problem}})(
        paths.download_file
    )
    for path, function in (
        ("/health", paths.health),
        ("/frontend/settings", paths.frontend_settings),
        ("/metrics", paths.figures),
        ("/", paths.index),
    ):
        app.get(path, response_class=Response, include_in_schema=path != "/")(function)
    for file in sorted(PAGE.glob("*")) if PAGE.is_dir() else []:
        if file.is_file() and file.name != "index.html":
            app.get(f"/{file.name}", include_in_schema=False)(_serve_file(file))


def _serve_file(file: Path) -> Callable[[], Any]:
    async def serve() -> Response:
        return FileResponse(file)

    return serve


def _answered(answer: Answer) -> Response:
    headers = {}
    if answer.version is not None:
        # A header is ASCII, a model's name may be in any script.
        headers["X-Model-Version"] = quote(answer.version.label)
    return JSONResponse(answer.content, headers=headers)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnyHTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code, dict(error.headers or {}))


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=GONE)


async def _failure(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the server failed; its log has the reason"}, 500)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
