"""Runs the server until SIGTERM or Ctrl-C, and then finishes the requests in flight.

Why: a deployment stops servers at any time, and no request may be lost by it.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn

from seq2seq.common.errors import UserError
from seq2seq.serving import app
from seq2seq.serving.dispatcher import Dispatcher
from seq2seq.serving.files import Files
from seq2seq.serving.follower import Follower
from seq2seq.serving.metrics import Metrics
from seq2seq.serving.service import Service
from seq2seq.serving.settings import Settings
from seq2seq.serving.versions import Source

BACKLOG = 2048  # connections that wait to be accepted
Started = Callable[[uvicorn.Server, str], None]


def run(settings: Settings, source: Source, started: Started | None = None) -> None:
    """Serve until a signal; `started` receives the server and its address.

    Raises UserError if the address or the first version cannot be used, TransientError if the registry does
    not answer.
    """
    listening = _bind(settings.host, settings.port)
    factory = uvicorn.Config(lambda: None, loop="auto").get_loop_factory()
    with listening, asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(settings, source, listening, started or _announce))


async def _serve(settings: Settings, source: Source, listening: socket.socket, started: Started) -> None:
    dispatcher = Dispatcher(settings, Metrics())
    follower, files = Follower(dispatcher, source, settings.poll), Files(settings)
    service = Service(settings, dispatcher, files)
    following: asyncio.Task[None] | None = None
    try:
        await follower.begin()
        listening.listen(BACKLOG)
        following = asyncio.create_task(follower.run())
        server = uvicorn.Server(
            uvicorn.Config(
                app.create(service, follower),
                lifespan="off",
                access_log=False,
                log_level="warning",
                timeout_graceful_shutdown=int(settings.grace),
                server_header=False,
            )
        )
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        started(server, f"http://{host}:{listening.getsockname()[1]}")
        with _signals_stay():
            await server.serve([listening])
    finally:
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
        await dispatcher.close()
        service.close()
        files.close()


def _announce(server: uvicorn.Server, address: str) -> None:
    print(f"ready: {address}", flush=True)


@contextmanager
def _signals_stay() -> Iterator[None]:
    """Ignore a signal that uvicorn raises again when it has stopped: the cleanup follows."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {name: signal.signal(name, lambda *_: None) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _bind(host: str, port: int) -> socket.socket:
    """A socket with the address, which accepts nobody yet."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UserError(f"{host}:{port} cannot be used: {error.strerror}; name another by --port") from None
    return listening
