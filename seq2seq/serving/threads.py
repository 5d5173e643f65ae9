"""Threads for short work that would stop the event loop: detection of a language, a write to the store.

Why: asyncio's own threads take any number of requests and have no time limit, so that a slow disk or one
client could fill the memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from seq2seq.serving.batching import FullError

T = TypeVar("T")


class Threads:
    """A few threads, with limits of the requests that wait and of the seconds of each."""

    def __init__(self, count: int, limit: int, seconds: float) -> None:
        self._pool = ThreadPoolExecutor(count, "short")
        self._limit, self._seconds = limit, seconds
        self._lock, self._open = threading.Lock(), 0

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`; raises FullError if too much is open, TimeoutError after the seconds.

        Work that has begun ends in its thread and counts as open until then.
        """
        with self._lock:
            if self._open >= self._limit:
                raise FullError(f"{self._open} requests are worked on or wait already")
            self._open += 1
        future = self._pool.submit(work)
        future.add_done_callback(lambda _: self._ended())
        async with asyncio.timeout(self._seconds):
            return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Drop work that has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ended(self) -> None:
        with self._lock:
            self._open -= 1
