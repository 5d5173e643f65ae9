"""Follows an alias: a version that it newly names is loaded, tried, and then serves.

Why: a promotion or a rollback must reach the users without a restart, and a version that does not load or a
registry that is away must not take the server down.
"""

from __future__ import annotations

import asyncio
import time

from seq2seq.common.errors import TransientError, UserError, first_line
from seq2seq.serving import alerts
from seq2seq.serving.dispatcher import Dispatcher
from seq2seq.serving.versions import Source

LONG = 60.0  # seconds without the registry until an alert goes out
AGAIN = 600.0  # seconds until a refused version is tried again; memory may have been short


class Follower:
    """Keeps a dispatcher at the version of a source."""

    def __init__(self, dispatcher: Dispatcher, source: Source, poll: float) -> None:
        self._dispatcher, self._source, self._poll = dispatcher, source, poll
        self.away_since: float | None = None  # seconds of the clock; None: the registry answers
        self.away_reason = ""
        self.refused = ""  # the number of a version that was not taken
        self.refused_reason = ""
        self._refused_at = 0.0
        dispatcher.metrics.away.set_function(
            lambda: time.time() - self.away_since if self.away_since else 0.0
        )

    async def begin(self) -> None:
        """Install the first version; raises UserError or TransientError."""
        number = await asyncio.to_thread(self._source.number)
        await self._dispatcher.install(await asyncio.to_thread(self._source.fetch, number))

    async def run(self) -> None:
        """Look at the alias again and again."""
        while self._source.alias:
            await asyncio.sleep(self._poll)
            await self.check()

    async def check(self) -> None:
        """Install the version that the alias names now, unless it serves or was refused."""
        try:
            number = await asyncio.to_thread(self._source.number)
        except Exception as error:
            self._is_away(error)
            return
        current = self._dispatcher.current
        if current is not None and number == current.version.number:
            self.away_since, self.refused = None, ""
            return
        if number == self.refused and time.monotonic() - self._refused_at < AGAIN:
            self.away_since = None
            return
        try:
            await self._dispatcher.install(await asyncio.to_thread(self._source.fetch, number))
        except TransientError as error:
            self._is_away(error)
        except Exception as error:
            self.away_since = None
            self._refuse(number, error)
        else:
            self.away_since, self.refused = None, ""
            self._dispatcher.metrics.changes.labels("taken").inc()

    def _is_away(self, error: Exception) -> None:
        if self.away_since is None:
            self.away_since = time.time()
        self.away_reason = first_line(error)
        if time.time() - self.away_since < LONG:
            return
        message = f"{self._source.uri} cannot be looked up: {self.away_reason}"
        kind = "user" if isinstance(error, UserError) else "transient"
        alerts.send(f"away {self._source.uri}", kind, message, f"{self._serving()} serves on")

    def _refuse(self, number: str, error: Exception) -> None:
        self.refused, self.refused_reason = number, first_line(error)
        self._refused_at = time.monotonic()
        self._dispatcher.metrics.changes.labels("refused").inc()
        message = f"{self._source.uri} is version {number} now, which is not taken: {self.refused_reason}"
        alerts.send(f"refused {number}", "refused", message, f"{self._serving()} serves on")

    def _serving(self) -> str:
        current = self._dispatcher.current
        return str(current.version) if current else "no version"
