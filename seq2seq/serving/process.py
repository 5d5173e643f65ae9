"""The server's side of a process that translates: start, requests, end.

Why: a version that does not load, or a process that dies or does not answer, must be an error of one batch,
and never of the server.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import seq2seq
from seq2seq.common.errors import UserError
from seq2seq.serving import protocol
from seq2seq.serving.protocol import Found, Want

ROOT = Path(seq2seq.__file__).resolve().parents[1]
PROBE = ["1", "a"]  # texts that every model can translate
CHUNK = 1 << 16  # bytes
STOPPING = 5.0  # seconds in which a process without work must end


class EndedError(RuntimeError):
    """The process has ended or was ended because it did not answer."""


class ProblemError(RuntimeError):
    """The process answered with an error; it goes on."""


@dataclass(frozen=True)
class Model:
    """The facts about a loaded model that the server needs."""

    source: str | None  # BCP 47 tags
    target: str | None
    protects: bool  # it copies placeholders


class Process:
    """A process with a loaded model, which answers one request after another."""

    def __init__(self, child: asyncio.subprocess.Process, ended: Callable[[], None]) -> None:
        self._child, self._ended = child, ended
        self.model = Model(None, None, False)
        self._watching = asyncio.create_task(self._watch())

    @classmethod
    async def start(
        cls,
        folder: Path,
        threads: int,
        seconds: float,
        ended: Callable[[], None],
        glossary: Path | None = None,
    ) -> Process:
        """Load a model folder and have it translate the probe; `ended` is called when the process ends.

        Raises UserError if it does not load or answer within `seconds`.
        """
        creating = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "seq2seq.serving.worker"),
                *(str(os.getpid()), str(folder), str(threads), str(glossary or "")),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": _python_path()},
            )
        )
        try:
            child = await asyncio.shield(creating)
        except asyncio.CancelledError:  # the process exists soon, and must not outlive the event loop
            await cls(await creating, ended).kill()
            raise
        process = cls(child, ended)
        try:
            async with asyncio.timeout(seconds):
                hello = await process._receive()
                if "problem" in hello:
                    raise UserError(hello["problem"])
                process.model = Model(**hello)
                await process.translate(PROBE, Want(), None, seconds)
        except TimeoutError:
            await process.kill()
            raise UserError(f"it does not load and answer within {seconds:g} s") from None
        except (EndedError, ProblemError) as error:
            await process.kill()
            raise UserError(str(error)) from None
        except BaseException:
            await process.kill()
            raise
        return process

    @property
    def pid(self) -> int:
        """Of the operating system."""
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._child.returncode is None

    async def translate(
        self, texts: Sequence[str], want: Want, beam: int | None, seconds: float
    ) -> list[Found]:
        """The translations of texts.

        Raises ProblemError for an error of the model, EndedError if the process has ended; one that does not
        answer within `seconds` is ended.
        """
        assert self._child.stdin is not None
        try:
            async with asyncio.timeout(seconds):
                self._child.stdin.write(protocol.frame(protocol.request(texts, want, beam)))
                await self._child.stdin.drain()
                reply = await self._receive()
        except TimeoutError:
            await self.kill()
            raise EndedError(f"the model's process did not answer within {seconds:g} s") from None
        except OSError as error:
            await self.kill()
            raise EndedError(f"the model's process has ended: {error}") from None
        if "problem" in reply:
            raise ProblemError(reply["problem"])
        found: list[Found] = reply["found"]
        return found

    async def stop(self) -> None:
        """End a process without work: it ends when its input does."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            async with asyncio.timeout(STOPPING):
                await asyncio.shield(self._watching)
        except TimeoutError:
            pass
        await self.kill()

    async def kill(self) -> None:
        """End the process now, and close its pipes."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with suppress(ProcessLookupError):
            self._child.kill()
        self._child.stdin.close()
        await self._watching
        while await self._child.stdout.read(CHUNK):  # an answer that nobody waits for
            pass

    async def _receive(self) -> Any:
        assert self._child.stdout is not None
        try:
            return await protocol.receive(self._child.stdout)
        except asyncio.IncompleteReadError:
            code = await self._child.wait()
            how = f"by signal {-code}" if code < 0 else f"with exit status {code}"
            raise EndedError(f"the model's process has ended {how}") from None

    async def _watch(self) -> None:
        await self._child.wait()
        self._ended()


def _python_path() -> str:
    """The code of this process, wherever it was started."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
