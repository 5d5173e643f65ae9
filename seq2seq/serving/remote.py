"""The dispatcher as the translator of a document, which is read and written in a thread.

Why: the code for documents is the same as that of the command line, and waits for its translations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from seq2seq.common.errors import UserError
from seq2seq.inference.translation import Translation
from seq2seq.serving import protocol
from seq2seq.serving.batching import Call, FullError
from seq2seq.serving.dispatcher import Dispatcher, Replica
from seq2seq.serving.protocol import Found, Want

PAUSE = 0.05  # seconds until a full queue is tried again


class Remote:
    """Translates for one call; its methods are called in threads, and as of Translator."""

    def __init__(self, dispatcher: Dispatcher, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        self._dispatcher, self._call, self._loop = dispatcher, call, loop

    @property
    def protects(self) -> bool:
        """Whether the model copies placeholders: that of the call's version, or the current one."""
        replica = self._call.owner or self._dispatcher.current
        return isinstance(replica, Replica) and replica.model.protects

    def translate_fully(
        self,
        texts: Sequence[str],
        beam: int | None = None,
        *,
        warn: bool = False,
        divide: bool = True,
        attend: bool = True,
    ) -> list[Translation]:
        """The translations, in portions of a batch; beam and divisions are those of the server.

        Raises UserError for a text that is longer than a request may be.
        """
        longest, limit = max(map(len, texts), default=0), self._dispatcher.settings.max_characters
        if longest > limit:
            raise UserError(f"a segment of {longest:,} characters is too long, at most {limit:,}: divide it")
        found: list[Translation] = []
        size = self._dispatcher.settings.batch
        for begin in range(0, len(texts), size):
            work = self._translate(texts[begin : begin + size], Want(attend=attend))
            found += map(translation, asyncio.run_coroutine_threadsafe(work, self._loop).result())
        return found

    def refusals(self, texts: Sequence[Any]) -> dict[int, str]:
        """None: sentences that are too long are divided."""
        return {}

    def doubts(self, text: str) -> list[str]:
        """None: a file has no place for them."""
        return []

    async def _translate(self, texts: Sequence[str], want: Want) -> list[Found]:
        while self._call.is_open:
            try:
                return await self._dispatcher.translate(self._call, texts, want)
            except FullError:
                await asyncio.sleep(PAUSE)
        raise asyncio.CancelledError


def translation(found: Found) -> Translation:
    """A translation as the code for documents needs it."""
    source, target = found.get("source", []), found.get("target", [])
    data = protocol.unpacked(found)
    weights = None if data is None else np.frombuffer(data, "<f4").reshape(len(target), len(source))
    return Translation(
        found["text"],
        found["score"],
        source,
        target,
        weights,
        found["splits"],
        found["confidence"],
        found["mean"],
    )
