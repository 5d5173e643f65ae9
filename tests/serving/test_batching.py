"""The queue: turns, limits, owners, failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from seq2seq.serving.batching import Batch, Call, ClientFullError, FailedError, FullError, Owner, Queue
from seq2seq.serving.protocol import Want

PLAIN = Want()
Test = Callable[[], Awaitable[None]]


def in_a_loop(test: Test) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]

    run.__name__ = test.__name__
    return run


def call(client: str = "a") -> Call:
    return Call(client, 1e9)


def texts(batch: Batch | None) -> list[str]:
    assert batch is not None
    return [segment.text for segment in batch.segments]


def queue(limit: int = 100, per_client: int = 0, batch: int = 4, tokens: int = 1000) -> Queue:
    return Queue(limit, per_client, batch, tokens)


@in_a_loop
async def test_requests_take_turns():
    q, owner = queue(), Owner()
    q.add(call(), ["a1", "a2", "a3", "a4", "a5"], PLAIN)
    q.add(call(), ["b1"], PLAIN)
    assert texts(q.take(owner, True)) == ["a1", "b1", "a2", "a3"]
    q.add(call(), ["c1", "c2"], PLAIN)
    assert texts(q.take(owner, True)) == ["a4", "c1", "a5", "c2"]
    assert q.take(owner, True) is None
    assert q.waiting == 0


@in_a_loop
async def test_a_request_that_was_served_waits_for_the_others():
    q, owner = queue(batch=1), Owner()
    q.add(call(), ["a1", "a2"], PLAIN)
    q.add(call(), ["b1", "b2"], PLAIN)
    assert [texts(q.take(owner, True)) for _ in range(4)] == [["a1"], ["b1"], ["a2"], ["b2"]]


@in_a_loop
async def test_a_batch_is_of_one_kind_and_of_limited_length():
    q, owner = queue(tokens=30), Owner()
    q.add(call(), ["a", "x" * 400, "b"], PLAIN)
    q.add(call(), ["c"], Want(attend=True))
    assert texts(q.take(owner, True)) == ["a"]
    assert texts(q.take(owner, True)) == ["c"]
    assert texts(q.take(owner, True)) == ["x" * 400]
    assert texts(q.take(owner, True)) == ["b"]


@in_a_loop
async def test_limits():
    q = queue(limit=3, per_client=2)
    q.add(call("a"), ["1", "2", "3", "4"], PLAIN)  # an empty queue takes any request
    with pytest.raises(FullError):
        q.add(call("b"), ["1"], PLAIN)
    q = queue(limit=9, per_client=2)
    q.add(call("a"), ["1", "2"], PLAIN)
    with pytest.raises(ClientFullError):
        q.add(call("a"), ["1"], PLAIN)
    q.add(call("b"), ["1"], PLAIN)
    assert q.waiting == 3


@in_a_loop
async def test_one_version_translates_a_request():
    q, old, new = queue(batch=1), Owner(), Owner()
    first, second = call(), call()
    q.add(first, ["a1", "a2"], PLAIN)
    assert texts(q.take(old, True)) == ["a1"]
    q.add(second, ["b1"], PLAIN)
    assert texts(q.take(new, True)) == ["b1"]
    assert q.take(new, True) is None
    assert texts(q.take(old, False)) == ["a2"]
    assert old.calls == {first}
    q.drop(first)
    assert old.calls == set()


@in_a_loop
async def test_another_version_takes_over_from_one_that_ended():
    q, old, new = queue(batch=1), Owner(), Owner()
    q.add(call(), ["a1", "a2"], PLAIN)
    q.take(old, True)
    old.release()
    assert texts(q.take(new, True)) == ["a2"]


@in_a_loop
async def test_texts_of_a_failed_batch_are_tried_once_more_and_alone():
    q, owner = queue(), Owner()
    bad, good = q.add(call(), ["a", "b"], PLAIN)
    batch = q.take(owner, True)
    assert batch is not None
    q.put_back(batch, "it died")
    q.add(call(), ["c"], PLAIN)
    again = q.take(owner, True)
    assert texts(again) == ["a"]
    assert texts(q.take(owner, True)) == ["b"]
    assert again is not None
    q.put_back(again, "it died")
    with pytest.raises(FailedError, match="it died"):
        await bad
    assert not good.done()
    assert texts(q.take(owner, True)) == ["c"]


@in_a_loop
async def test_the_texts_of_a_client_that_left_are_dropped():
    q, owner = queue(), Owner()
    gone, stays = call(), call()
    [future] = q.add(gone, ["a"], PLAIN)
    q.add(stays, ["b"], PLAIN)
    q.drop(gone)
    assert future.cancelled()
    assert q.waiting == 1
    batch = q.take(owner, True)
    assert texts(batch) == ["b"]
    assert batch is not None
    q.drop(stays)
    q.put_back(batch, "it died")  # nobody waits for it any more
    assert q.take(owner, True) is None
