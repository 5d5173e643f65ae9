"""Maps a function over the shards of a corpus: in this process, in several, or as tasks of Ray.

Why: a large corpus needs all cores of a machine, or several machines. Engine and number of processes are
environment variables, because no byte of a result depends on them: shards are cut by a constant, and results
come back in the order of the shards.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
import uuid
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from seq2seq.common import memory, processes, processors
from seq2seq.common.errors import UserError

S = TypeVar("S")
R = TypeVar("R")

WORKERS, ENGINE = "SEQ2SEQ_WORKERS", "SEQ2SEQ_ENGINE"
PROCESSES, RAY = "processes", "ray"
AHEAD = 2  # shards of each worker that are started or wait, so that none is idle
CONNECT_S = 10.0  # seconds to wait for a cluster of Ray
RETRIES = 3  # of a Ray task whose node or worker is lost


class WorkerLostError(OSError):
    """A worker process ended before its shard was done."""


def over(work: Callable[[S], R], shards: Sequence[S]) -> Generator[R, None, None]:
    """The result of `work` for each shard, in order; `work` and shards can be pickled.

    A worker gets `work` one time, at its start, so that it may be large; results are to be small. A generator
    that is closed early, and any exception, ends all workers. Raises UserError for wrong variables, and
    WorkerLostError; errors of `work` come through unchanged.
    """
    count = workers()
    engine = os.environ.get(ENGINE) or PROCESSES
    if engine not in (PROCESSES, RAY):
        raise UserError(f"{ENGINE}={engine}: there are {PROCESSES} (the default) and {RAY}")
    if engine == RAY:
        yield from _by_ray(work, shards)
    elif min(count, len(shards)) < 2:
        yield from map(work, shards)
    else:
        yield from _by_processes(work, shards, min(count, len(shards)))


def workers() -> int:
    """The number of processes on this machine: SEQ2SEQ_WORKERS; unset, the processors that may be used."""
    text = os.environ.get(WORKERS, "")
    if not text:
        return processors.available()
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{WORKERS}={text}: it must be a number of processes, 1 or more")
    return int(text)


_work: Any = None  # of a worker process


def _by_processes(work: Callable[[S], R], shards: Sequence[S], count: int) -> Generator[R, None, None]:
    """By worker processes; if one dies, half as many try the remaining shards once more."""
    done = 0
    for left in (count, max(1, count // 2)):
        try:
            with closing(_by_pool(work, shards[done:], left)) as results:
                for result in results:
                    done += 1
                    yield result
            return
        except BrokenProcessPool:
            print(
                f"one of {left} worker processes has ended after shard {done:,} of {len(shards):,}",
                flush=True,
            )
    raise WorkerLostError(
        "a worker process has ended twice, perhaps for lack of memory: run again to continue with the shards "
        f"that are left, with fewer processes by {WORKERS}={max(1, count // 2)}"
    )


def _by_pool(work: Callable[[S], R], shards: Sequence[S], count: int) -> Generator[R, None, None]:
    others = set(multiprocessing.active_children())
    # Processes are spawned: a fork would copy the locks of Arrow's threads in any state. `work` is pickled
    # here, so that a worker reads it, the parent's own bytes, only after it has set its signals.
    pool = ProcessPoolExecutor(
        count, multiprocessing.get_context("spawn"), _begin, (os.getpid(), pickle.dumps(work))
    )
    rest = iter(shards)
    finished = False
    try:
        waiting = deque(pool.submit(_run, shard) for shard in islice(rest, AHEAD * count))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(_run, shard) for shard in islice(rest, 1))
            yield result
        finished = True
    finally:
        if not finished:
            for process in set(multiprocessing.active_children()) - others:
                process.kill()
        pool.shutdown(cancel_futures=True)


def _begin(parent: int, work: bytes) -> None:
    """Prepare a worker: it ends with its parent, which alone reacts to Ctrl-C, and keeps freed memory."""
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    processes.die_with(parent)
    memory.keep_freed_memory()
    _work = pickle.loads(work)


def _run(shard: Any) -> Any:
    return _work(shard)


def _by_ray(work: Callable[[S], R], shards: Sequence[S]) -> Generator[R, None, None]:
    """As tasks of the cluster of RAY_ADDRESS, or of a cluster of this machine alone.

    All nodes need the project's folder at the same path, and an environment with the same versions.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise UserError(
            f"{ENGINE}={RAY}: Ray is not installed; install the extra with pip install 'seq2seq[ray]', in a "
            f"clone with .venv/bin/uv pip install -c constraints.txt -e '.[ray]'; or unset {ENGINE}"
        ) from None
    started = not ray.is_initialized()
    if started:
        _check_reachable(os.environ.get("RAY_ADDRESS", ""))
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
        if not os.environ.get("RAY_ADDRESS"):
            options |= {"include_dashboard": False, "num_cpus": workers()}
        handler = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**options)
            signal.signal(signal.SIGTERM, handler)  # Ray sets its own
        except ConnectionError as error:
            address = os.environ.get("RAY_ADDRESS")
            raise UserError(f"RAY_ADDRESS={address}: no cluster of Ray: {error}") from None
    running: deque[Any] = deque()
    try:
        task = ray.remote(_in_ray).options(max_retries=RETRIES)
        # In a list a reference is passed on as such: a worker reads `work` one time, not with every task.
        # Pickled: arrays that Ray itself shares between processes are read-only.
        fixed = [ray.put(pickle.dumps(work))], uuid.uuid4().hex, str(Path.cwd())
        ahead = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        rest = iter(shards)
        running.extend(task.remote(*fixed, shard) for shard in islice(rest, ahead))
        while running:
            result = ray.get(running[0])
            running.popleft()
            running.extend(task.remote(*fixed, shard) for shard in islice(rest, 1))
            yield result
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise WorkerLostError(
            f"a task of Ray failed {RETRIES + 1} times: {str(error).strip().splitlines()[0]}; run again to "
            "continue with the shards that are left"
        ) from None
    finally:
        for one in running:
            ray.cancel(one, force=True)
        if started:
            ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise UserError at once for an address where nothing answers; Ray itself waits for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # auto or local
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"RAY_ADDRESS={address}: no cluster of Ray answers ({error}); start one with "
            f"`ray start --head`, or unset RAY_ADDRESS to use this machine alone"
        ) from None


_kept: dict[str, Any] = {}  # of a worker of Ray: the work of the present call


def _in_ray(reference: list[Any], token: str, folder: str, shard: Any) -> Any:
    if token not in _kept:
        import ray

        os.chdir(folder)
        _kept.clear()
        _kept[token] = pickle.loads(ray.get(reference[0]))
    return _kept[token](shard)
