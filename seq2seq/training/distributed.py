"""Data parallel training: N processes, each with its rows of every batch, and one sum of gradients.

Why: more devices, the same result. Batches and updates stay those of one process, so that the number
of processes is no parameter: losses agree up to the order of summation, where nothing is random (with
dropout each rank draws its own).

torch's elastic launcher starts the processes and watches them (`launch`), or a `torchrun` of the
user's on each of several machines does; each process finds in `join` which rank it is. One alone is a
World as well, and never touches torch.distributed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from seq2seq.common.errors import TransientError, UserError

PROCESSES, LAUNCHER = "SEQ2SEQ_PROCESSES", "SEQ2SEQ_LAUNCHER"
TIMEOUT = timedelta(minutes=10)  # that a rank waits for the others: MLflow may hold the first one up
GRACE = 50  # seconds a stopped rank has to save: fewer than a flow gives the whole stage
SILENT = f"silent for {TIMEOUT}"
INTERRUPTED = 130  # exit status of a stage that was asked to stop


class LostError(UserError):
    """Another process of this training has ended, or been silent for too long."""


# What a rank raises and its launcher raises again; all else is a bug, and told by the rank itself.
KINDS = (LostError, UserError, TransientError, OSError, MemoryError, torch.OutOfMemoryError)


@dataclass(frozen=True)
class World:
    """The processes that train one model, and which of them this is: `rank` 0 .. `size` - 1.

    What one rank asks of its world (`begin`, `sum_`, `any`, `agree`) all must ask, in the same order;
    they raise LostError when another rank has gone.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that records, saves and speaks."""
        return self.rank == 0

    @property
    def share(self) -> tuple[int, int]:
        """Which rows of a batch are this rank's, as Batches wants it."""
        return self.rank, self.size

    def begin(self, weights: Iterable[Tensor], seed: int, update: int) -> None:
        """Set out together: from one update, with one model, each rank with random numbers of its own.

        The first rank keeps the random numbers it has. Those of the others are made from where the
        training stands, because a checkpoint holds the state of the first alone. Raises UserError if
        the ranks stand at different updates.
        """
        if self.size == 1:
            return
        self.agree("the update they go on from", update)
        for weight in weights:  # processors of two kinds may have drawn different ones
            with _together():
                dist.broadcast(weight.detach(), src=0)
        if not self.first:
            drawn = np.random.SeedSequence([seed, self.rank, update]).generate_state(1, np.uint64)
            torch.manual_seed(int(drawn[0]))

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all ranks: the same bits everywhere; one type for all.

        Not DistributedDataParallel: that waits for the `forward` of a module it wraps, which the fast
        path never calls, and divides by the ranks, where a loss per token of the whole batch needs the
        plain sum. So the sum begins when the backward pass has ended, as one message.
        """
        if self.size == 1:
            return
        summed = torch.cat([tensor.flatten() for tensor in tensors])
        with _together():
            dist.all_reduce(summed)
        for tensor, part in zip(tensors, torch.split(summed, [t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Whether it is so at any rank. Over gloo, so that no GPU is waited for."""
        if self.size == 1:
            return flag
        flags = torch.tensor(flag, dtype=torch.uint8)
        with _together():
            dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags)

    def agree(self, what: str, value: object) -> None:
        """Raise UserError at every rank unless `value` reads the same at all of them."""
        if self.size == 1:
            return
        digest = int.from_bytes(hashlib.sha256(str(value).encode()).digest()[:7])
        ends = torch.tensor([digest, -digest])
        with _together():
            dist.all_reduce(ends, dist.ReduceOp.MAX)
        if int(ends.sum()):
            raise UserError(
                f"the {self.size} processes differ in {what}: they need the same params.yaml, code, data "
                "and .checkpoints, on one machine or in a folder that all machines share"
            )


ALONE = World()


@contextmanager
def _together() -> Iterator[None]:
    """Turns what gloo and NCCL raise when a rank does not answer into LostError."""
    try:
        yield
    except (torch.OutOfMemoryError, torch.AcceleratorError):  # this rank's own
        raise
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        what = f"was {SILENT}" if "imed out" in reason else "does not answer"
        raise LostError(
            f"another rank {what} ({reason}): run again, and training goes on from its last checkpoint"
        ) from None


def processes() -> int:
    """How many to launch: SEQ2SEQ_PROCESSES; 1 if unset, or if this is one of several already."""
    wanted = os.environ.get(PROCESSES) or "1"
    if not wanted.isdecimal() or int(wanted) < 1:
        raise UserError(f"{PROCESSES}={wanted}: must be a number of processes, e.g. 2")
    return 1 if "RANK" in os.environ else int(wanted)


@contextmanager
def join() -> Iterator[World]:
    """The world of this process: alone, or of the ranks that a launcher's RANK and WORLD_SIZE tell of.

    Only the first rank keeps its standard output. What ends a rank is left where its launcher looks for
    it, and `launch` tells it once for all.
    """
    size = int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1
    if size == 1:
        yield ALONE
        return
    launcher = os.environ.get(LAUNCHER)
    if launcher and os.getppid() != int(launcher):
        raise KeyboardInterrupt  # it died before this process could notice
    world = World(int(os.environ["RANK"]), size)
    # gloo for what lies on the CPU, on a machine with GPUs as well.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with Path(os.devnull).open("w") as nowhere:
        try:
            with _together():
                dist.init_process_group(backend, timeout=TIMEOUT)
            with redirect_stdout(sys.stdout if world.first else nowhere):
                yield world
            world.any(False)  # the first has saved: all leave together
            dist.destroy_process_group()
        except KeyboardInterrupt:
            # A launcher ends the others when one fails, and the first has yet to save.
            sys.exit(INTERRUPTED if world.first else 0)
        except Exception as error:
            _record(error)
            if launcher and isinstance(error, KINDS):
                # At once: threads that still wait for other ranks may abort a process that winds itself up.
                sys.stdout.flush()
                os._exit(1)
            raise


def launch(count: int, *arguments: str) -> None:
    """Run `python ARGUMENTS` as `count` ranks on this machine, to the end; none outlives this call.

    Ctrl-C and SIGTERM are passed on, and raise KeyboardInterrupt once all have saved and ended. When a
    rank fails or is killed the others are ended, and what it raised is raised here: UserError for a kill.
    There are no restarts: who ran this decides whether to run it again.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ[LAUNCHER] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // count)))
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nothing here leaves the machine
    loud = logging.root.manager.disable
    logging.disable()  # what torch warns of is told below
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with tempfile.TemporaryDirectory(prefix="seq2seq-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id="seq2seq",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(folder),
            signals_to_handle="SIGINT,SIGTERM",
            shutdown_timeout=GRACE,
        )
        try:
            elastic_launch(config, sys.executable)(*arguments)
        except SignalException:
            raise KeyboardInterrupt from None
        except ChildFailedError as error:
            raise _cause(error, count) from None
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            logging.disable(loud)


def _record(error: Exception) -> None:
    """Leave an error where torch's launchers, this one and torchrun, look for it."""
    if file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        kind = next((kind.__name__ for kind in KINDS if isinstance(error, kind)), type(error).__name__)
        told = {"message": str(error) or kind, "kind": kind, "timestamp": int(time.time())}
        Path(file).write_text(json.dumps(told), encoding="utf-8")


def _cause(error: ChildFailedError, count: int) -> BaseException:
    """What to raise for a failure: that of the rank which failed first, not of those that lost it."""
    failures = list(error.failures.items())  # in the order in which they were seen
    lost = [f.message for _, f in failures if f.error_file_data.get("kind") == LostError.__name__]
    own = [item for item in failures if item[1].message not in lost]
    rank, failure = (own or failures)[0]
    if failure.exitcode == INTERRUPTED:
        return KeyboardInterrupt()
    told = failure.error_file_data.get("kind")  # by the rank itself, whatever ended it then
    if failure.exitcode == -signal.SIGABRT and told is None:
        return UserError(
            f"rank {rank} of {count} aborted, so all have ended: what it said is above, e.g. NCCL of a rank "
            "that does not answer; run again, and training goes on from its last checkpoint"
        )
    if failure.exitcode < 0 and told is None:
        fate = f"{SILENT} and then killed" if any(SILENT in message for message in lost) else "killed"
        return UserError(
            f"rank {rank} of {count} was {fate} ({failure.signal_name()}), so all have ended: if nobody "
            "did it, memory ran out, and fewer processes or a smaller train.batch_tokens need less; run "
            "again, and training goes on from its last checkpoint"
        )
    for kind in KINDS:
        if kind.__name__ == told:
            return kind(failure.message)
    return RuntimeError(f"rank {rank} of {count} ended with status {failure.exitcode}: see above")
