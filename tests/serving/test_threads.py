"""Short work in threads: a limit of requests, a limit of seconds, and room again afterwards."""

from __future__ import annotations

import asyncio
import threading

import pytest

from seq2seq.serving.batching import FullError
from seq2seq.serving.threads import Threads
from tests.support.waiting import wait_for


def test_work_beyond_the_limit_is_refused_until_other_work_ends():
    threads, may_end = Threads(count=1, limit=2, seconds=30), threading.Event()

    async def scenario() -> None:
        open_work = [asyncio.create_task(threads.run(may_end.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(FullError, match="2 requests are worked on or wait already"):
            await threads.run(lambda: None)
        may_end.set()
        assert await asyncio.gather(*open_work) == [True, True]
        assert await threads.run(lambda: "done") == "done"

    asyncio.run(scenario())
    threads.close()


def test_slow_work_is_given_up_and_counts_until_its_thread_is_free():
    threads, may_end = Threads(count=1, limit=1, seconds=0.05), threading.Event()

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            await threads.run(may_end.wait)
        with pytest.raises(FullError):
            await threads.run(lambda: None)

    asyncio.run(scenario())
    may_end.set()
    wait_for(lambda: threads._open == 0, 10, "the end of the work")
    assert asyncio.run(threads.run(lambda: 1)) == 1
    threads.close()


def test_an_error_of_the_work_is_that_of_the_request():
    threads = Threads(count=1, limit=1, seconds=5)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(threads.run(lambda: 1 // 0))
    threads.close()
