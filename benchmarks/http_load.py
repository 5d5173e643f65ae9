"""`python -m benchmarks.http_load ORDER`: sends requests to a server, and prints the seconds of each.

Why: the clients run in a process of their own, so that they share no interpreter with a server. Only the
standard library is imported: the clients should use little of the processors that the server needs.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

CONNECTIONS = 256  # of a load with a given rate, at most


class Order(NamedTuple):
    """The load: `clients` that each send one request after another, or requests at a `rate`."""

    host: str
    port: int
    path: str
    bodies: Sequence[str]
    seconds: float
    clients: int = 0
    rate: float = 0.0  # a second, at random times; counts if there are no clients
    seed: int = 1


class Connection:
    """A connection that is kept open."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, body: bytes) -> int:
        """Send a request; returns the status of the answer, 0 for a connection that is lost."""
        try:
            if self._writer is None or self._reader is None:
                self._reader, self._writer = await asyncio.open_connection(self._order.host, self._order.port)
            head = f"POST {self._order.path} HTTP/1.1\r\nHost: {self._order.host}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self._writer.write(head.encode() + body)
            answer = await self._reader.readuntil(b"\r\n\r\n")
            fields = answer.decode("latin-1").lower().split("\r\n")
            size = next(int(line.split(":")[1]) for line in fields if line.startswith("content-length:"))
            await self._reader.readexactly(size)
            if "connection: close" in fields:
                self.close()
            return int(fields[0].split()[1])
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return 0

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


class Load:
    """Sends the requests of an order."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._random = random.Random(order.seed)
        self._bodies = [body.encode() for body in order.bodies]
        self.times: list[float] = []  # seconds of each request that was answered in time
        self.failed = 0

    async def run(self) -> float:
        """Send requests for the seconds of the order; returns the seconds until the last answer."""
        began = time.perf_counter()
        end = began + self._order.seconds
        if self._order.clients:
            await asyncio.gather(*(self._client(end) for _ in range(self._order.clients)))
        else:
            await self._at_a_rate(began, end)
        return time.perf_counter() - began

    async def _client(self, end: float) -> None:
        connection = Connection(self._order)
        while (began := time.perf_counter()) < end:
            self._count(await connection.send(self._random.choice(self._bodies)), began)
        connection.close()

    async def _at_a_rate(self, began: float, end: float) -> None:
        free: asyncio.Queue[Connection] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            free.put_nowait(Connection(self._order))
        tasks = []
        at = began
        while (at := at + self._random.expovariate(self._order.rate)) < end:
            await asyncio.sleep(max(at - time.perf_counter(), 0))
            tasks.append(asyncio.create_task(self._one(free, at)))
        await asyncio.gather(*tasks)
        while not free.empty():
            free.get_nowait().close()

    async def _one(self, free: asyncio.Queue[Connection], at: float) -> None:
        connection = await free.get()
        self._count(await connection.send(self._random.choice(self._bodies)), at)
        free.put_nowait(connection)

    def _count(self, status: int, began: float) -> None:
        if status == 200:
            self.times.append(time.perf_counter() - began)
        else:
            self.failed += 1


def main() -> None:
    """Run the order on standard input, and print its result as JSON."""
    load = Load(Order(**json.load(sys.stdin)))
    seconds = asyncio.run(load.run())
    print(json.dumps({"seconds": seconds, "times": load.times, "failed": load.failed}))


if __name__ == "__main__":
    main()
