"""Translates texts by the version that serves: batches, restarts, and the change to another version.

Why: a request must not depend on a process that dies, nor on the moment at which a version changes.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from seq2seq.common.errors import UserError, first_line
from seq2seq.serving import alerts
from seq2seq.serving.batching import Batch, Call, Owner, Queue
from seq2seq.serving.metrics import Metrics
from seq2seq.serving.process import EndedError, Model, ProblemError, Process
from seq2seq.serving.protocol import Found, Want
from seq2seq.serving.settings import Settings

OF_TIMEOUT = 1 / 3  # of a request's time is that of a batch: a process that hangs leaves time for another
LONGEST_PAUSE = 30.0  # seconds before a process is started again, at most


class ClosedError(RuntimeError):
    """The server stops, or has no version that serves."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model, or a model folder, whose number is empty."""

    name: str
    number: str
    folder: Path

    @property
    def label(self) -> str:
        """Name and number, for programs: of headers and corrections."""
        return f"{self.name}/{self.number}".rstrip("/")

    def __str__(self) -> str:
        return f"{self.name} version {self.number}" if self.number else self.name


class Replica(Owner):
    """A version that translates by processes, each of which is started again if it dies."""

    def __init__(self, version: Version, processes: list[Process]) -> None:
        super().__init__()
        self.version, self.processes = version, processes
        self.model: Model = processes[0].model
        self.since = time.time()
        self.retired = asyncio.Event()  # another version serves
        self.deaths = 0

    @property
    def is_alive(self) -> bool:
        """Whether one of its processes runs."""
        return any(process.is_alive for process in self.processes)


class Dispatcher:
    """The queue and the versions that translate it: the current one, and retired ones with open calls."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.queue = Queue(settings.queue, settings.per_client, settings.batch, settings.batch_tokens)
        self.current: Replica | None = None
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.translating = 0  # segments of the batches that are computed
        metrics.queue.set_function(lambda: self.queue.waiting)
        metrics.translating.set_function(lambda: self.translating)

    async def install(self, version: Version) -> None:
        """Load a version beside the current one, which finishes its calls; raises UserError if it fails."""
        starting = [asyncio.create_task(self._start(version)) for _ in range(self.settings.processes)]
        try:
            processes = await asyncio.gather(*starting)
        except BaseException as error:
            for one in await asyncio.gather(*starting, return_exceptions=True):
                if isinstance(one, Process):
                    await one.kill()
            if isinstance(error, UserError):
                raise UserError(f"{version} does not load or answer: {error}") from None
            raise
        replica = Replica(version, processes)
        old, self.current = self.current, replica
        if old is not None:
            old.retired.set()
        self.metrics.serves(version.name, version.number)
        print(f"serving {version}", file=sys.stderr, flush=True)
        for slot in range(len(processes)):
            task = asyncio.create_task(self._serve(replica, slot))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._wake()

    @asynccontextmanager
    async def call(self, client: str, seconds: float) -> AsyncIterator[Call]:
        """A request; at its end, also by an error or a client that leaves, its segments are dropped."""
        call = Call(client, asyncio.get_running_loop().time() + seconds)
        try:
            async with asyncio.timeout_at(call.deadline):
                yield call
        finally:
            self.queue.drop(call)
            self._wake()

    async def translate(self, call: Call, texts: Sequence[str], want: Want) -> list[Found]:
        """The translations of texts; raises FullError, FailedError or ClosedError."""
        if self.current is None:
            raise ClosedError("no version serves yet")
        futures = self.queue.add(call, texts, want)
        self._wake()
        return list(await asyncio.gather(*futures))

    async def close(self) -> None:
        """End all processes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.current = None

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _start(self, version: Version) -> Process:
        return await Process.start(
            version.folder,
            self.settings.threads,
            self.settings.load_timeout,
            self._wake,
            self.settings.glossary,
        )

    async def _serve(self, replica: Replica, slot: int) -> None:
        """Translate batches by one process until the version is retired and its calls are finished."""
        try:
            while (batch := await self._next(replica, slot)) is not None:
                await self._translate(replica, slot, batch)
        finally:
            if replica.processes[slot].is_alive:
                with suppress(asyncio.CancelledError):
                    await replica.processes[slot].stop()
            if not replica.is_alive:
                replica.release()
            self._wake()

    async def _next(self, replica: Replica, slot: int) -> Batch | None:
        """The next batch; None at the end. A process that has died is started again meanwhile."""
        while True:
            changed = self._changed
            is_alive = replica.processes[slot].is_alive
            if replica.retired.is_set() and (not replica.calls or not is_alive):
                return None
            if not is_alive:
                await self._restart(replica, slot)
                continue
            if batch := self.queue.take(replica, replica is self.current):
                return batch
            await changed.wait()

    async def _translate(self, replica: Replica, slot: int, batch: Batch) -> None:
        texts = [segment.text for segment in batch.segments]
        began = time.perf_counter()
        self.translating += len(texts)
        try:
            found = await replica.processes[slot].translate(
                texts, batch.want, self.settings.beam, self.settings.timeout * OF_TIMEOUT
            )
        except Exception as error:
            print(f"{replica.version}: {error}", file=sys.stderr, flush=True)
            if not isinstance(error, EndedError | ProblemError):  # its answers may not fit later requests
                await replica.processes[slot].kill()
            self.metrics.segments.labels("failed").inc(len(texts))
            self.queue.put_back(batch, str(error))
            self._wake()
            return
        finally:
            self.translating -= len(texts)
        self.metrics.batch.observe(len(texts))
        self.metrics.batch_seconds.observe(time.perf_counter() - began)
        self.metrics.segments.labels("translated").inc(len(texts))
        for segment, one in zip(batch.segments, found, strict=True):
            if not segment.future.done():
                segment.future.set_result(one)

    async def _restart(self, replica: Replica, slot: int) -> None:
        """Start a process of a version again, after growing pauses, until it loads or is retired."""
        replica.deaths += 1
        self.metrics.deaths.inc()
        message = f"a process of {replica.version} has ended and is started again"
        alerts.send(f"death {replica.version}", "crash", message, "check the memory limit")
        for attempt in itertools.count():
            try:
                replica.processes[slot] = await self._start(replica.version)
                return
            except Exception as error:
                message = f"a process of {replica.version} does not start again: {first_line(error)}"
                alerts.send(f"restart {replica.version}", "crash", message, "the server keeps trying")
            with suppress(TimeoutError):
                async with asyncio.timeout(min(0.5 * 2**attempt, LONGEST_PAUSE)):
                    await replica.retired.wait()
                    return
