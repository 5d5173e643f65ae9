"""The queue of segments, from which batches are taken across requests.

Why: a batch of sentences takes hardly longer than one sentence. Requests take turns, so that a long one does
not delay a short one, and each is translated by one version.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from seq2seq.serving.protocol import Found, Want

TRIES = 2  # of a segment whose process dies or fails


class FullError(RuntimeError):
    """The queue has no room for a request."""


class ClientFullError(FullError):
    """One client has too many segments in the queue."""


class FailedError(RuntimeError):
    """A segment could not be translated."""


@dataclass(eq=False)
class Owner:
    """A version that translates; `calls` are the open ones that it has begun."""

    calls: set[Call] = field(default_factory=set, init=False)

    def release(self) -> None:
        """Let another version continue the calls of this one, which has ended."""
        for call in self.calls:
            call.owner = None
        self.calls.clear()


@dataclass(eq=False)
class Call:
    """A request, whose segments are translated by one version: that of its first segment."""

    client: str
    deadline: float  # of the event loop's clock
    owner: Owner | None = None  # the version that translates it, once it has begun
    is_open: bool = True


@dataclass(eq=False)
class Segment:
    """A text that waits for its translation."""

    text: str
    call: Call
    future: asyncio.Future[Found]
    tries: int = 0

    @property
    def tokens(self) -> int:
        """An estimate: four letters of an alphabet a token, or one of a larger script."""
        return len(self.text.encode("utf-8", "replace")) // 4 + 1


@dataclass(eq=False)
class Job:
    """Segments of one call that want the same."""

    call: Call
    want: Want
    waiting: deque[Segment]
    alone: bool = False  # each in a batch of its own, after a failure of their batch


@dataclass(frozen=True)
class Batch:
    """Segments that are translated together."""

    want: Want
    segments: list[Segment] = field(default_factory=list)


class Queue:
    """Jobs in the order of their arrival; each batch takes a segment of each in turn."""

    def __init__(self, limit: int, per_client: int, batch: int, batch_tokens: int) -> None:
        self._limit, self._per_client = limit, per_client
        self._batch, self._batch_tokens = batch, batch_tokens
        self._jobs: deque[Job] = deque()
        self.waiting = 0  # segments

    def add(self, call: Call, texts: Sequence[str], want: Want) -> list[asyncio.Future[Found]]:
        """Add the texts of a call; raises FullError, or ClientFullError, if there is no room for all.

        An empty queue has room for any number.
        """
        if self.waiting and self.waiting + len(texts) > self._limit:
            raise FullError(f"{self.waiting} texts are waiting already")
        if self._per_client:
            own = sum(len(job.waiting) for job in self._jobs if job.call.client == call.client)
            if own and own + len(texts) > self._per_client:
                raise ClientFullError(f"{own} texts of this client are waiting already")
        loop = asyncio.get_running_loop()
        segments = deque(Segment(text, call, loop.create_future()) for text in texts)
        if segments:
            self._jobs.append(Job(call, want, segments))
            self.waiting += len(segments)
        return [segment.future for segment in segments]

    def take(self, owner: Owner, is_current: bool) -> Batch | None:
        """The next batch of a version, which then owns its calls; None if nothing waits for it.

        New calls go to the current version only.
        """
        mine = deque(job for job in self._jobs if _may_take(job, owner, is_current))
        if not mine:
            return None
        batch = Batch(mine[0].want)
        if mine[0].alone:
            batch.segments.append(mine[0].waiting.popleft())
        else:
            batch.segments.extend(self._in_turn(mine, batch.want))
        for segment in batch.segments:
            segment.call.owner = owner
            owner.calls.add(segment.call)
        self.waiting -= len(batch.segments)
        served = {id(segment.call) for segment in batch.segments}
        rest = [job for job in self._jobs if job.waiting]
        # Those that were served go to the end; the first of the others has waited longest.
        self._jobs = deque(sorted(rest, key=lambda job: id(job.call) in served and not job.alone))
        return batch

    def _in_turn(self, jobs: deque[Job], want: Want) -> Iterator[Segment]:
        turns = deque(job for job in jobs if job.want == want and not job.alone)
        count = tokens = 0
        while turns and count < self._batch:
            job = turns.popleft()
            segment = job.waiting[0]
            tokens += segment.tokens
            if count and tokens > self._batch_tokens:
                return
            job.waiting.popleft()
            count += 1
            yield segment
            if job.waiting:
                turns.append(job)

    def put_back(self, batch: Batch, reason: str) -> None:
        """Put the segments of a failed batch first in the queue, each alone; they fail the second time."""
        for segment in reversed(batch.segments):
            segment.tries += 1
            if segment.future.done() or not segment.call.is_open:
                continue
            if segment.tries >= TRIES:
                segment.future.set_exception(FailedError(reason))
                continue
            self._jobs.appendleft(Job(segment.call, batch.want, deque([segment]), alone=True))
            self.waiting += 1

    def drop(self, call: Call) -> None:
        """Remove the segments of a call that has ended."""
        call.is_open = False
        if call.owner is not None:
            call.owner.calls.discard(call)
        for job in self._jobs:
            if job.call is call:
                self.waiting -= len(job.waiting)
                for segment in job.waiting:
                    segment.future.cancel()
                job.waiting.clear()
        self._jobs = deque(job for job in self._jobs if job.waiting)


def _may_take(job: Job, owner: Owner, is_current: bool) -> bool:
    return job.call.owner is owner or (job.call.owner is None and is_current)
