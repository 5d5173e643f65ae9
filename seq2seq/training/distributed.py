"""Data parallel training: N processes, each with its rows of every batch, and one sum of gradients.

Why: more devices, the same result. Batches and updates are those of one process, so that the number of
processes is no parameter: losses agree up to the order of summation, except for dropout, which each rank
draws for itself.

torch's elastic launcher starts and supervises the processes (`launch`), or the user runs `torchrun` on each
of several machines; `init` gives each process its rank. A single process is a ProcessGroup as well, and
does not use torch.distributed.
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

from seq2seq.common.errors import Figure, QualityError, TransientError, UserError

PROCESSES, LAUNCHER = "SEQ2SEQ_PROCESSES", "SEQ2SEQ_LAUNCHER"
TIMEOUT = timedelta(minutes=10)  # of a rank waiting for the others: MLflow may delay the main one
GRACE = 50  # seconds in which a stopped rank has to save; a flow allows the whole stage more
SILENT = f"silent for {TIMEOUT}"
INTERRUPTED = 130  # exit status of a stage that was interrupted


class PeerLostError(UserError):
    """Another process of this training has ended, or does not respond."""


# Errors of a rank that its launcher raises again. Others are bugs, whose traceback the rank prints.
ERRORS = (PeerLostError, UserError, TransientError, OSError, MemoryError, torch.OutOfMemoryError)


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train one model; this one has `rank`, 0 .. `size` - 1.

    All ranks must call the collectives (`sync`, `sum_`, `any`, `check_equal`) in the same order; they raise
    PeerLostError when another rank has ended.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this rank records, saves and prints."""
        return self.rank == 0

    @property
    def shard(self) -> tuple[int, int]:
        """This rank's rows of a batch: the argument `shard` of Batches."""
        return self.rank, self.size

    def sync(self, weights: Iterable[Tensor], seed: int, update: int) -> None:
        """Start from one update with the main rank's weights, and seed each rank's random numbers.

        The main rank keeps its random state. The seeds of the others depend on the update, because a
        checkpoint holds the random state of the main rank alone. Raises UserError if the ranks are at
        different updates.
        """
        if self.size == 1:
            return
        self.check_equal("the update they resume from", update)
        for weight in weights:  # initial weights may differ between types of processor
            with _lost_peers():
                dist.broadcast(weight.detach(), src=0)
        if not self.is_main:
            drawn = np.random.SeedSequence([seed, self.rank, update]).generate_state(1, np.uint64)
            torch.manual_seed(int(drawn[0]))

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all ranks, identical to the bit; all are of one type.

        DistributedDataParallel is not used: it hooks into the `forward` of a wrapped module, which the fast
        path does not call, and divides by the number of ranks, where a loss per token of the whole batch
        needs the plain sum. The tensors are summed as one message after the backward pass.
        """
        if self.size == 1:
            return
        summed = torch.cat([tensor.flatten() for tensor in tensors])
        with _lost_peers():
            dist.all_reduce(summed)
        for tensor, part in zip(tensors, torch.split(summed, [t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set at any rank. Uses gloo, which does not wait for a GPU."""
        if self.size == 1:
            return flag
        flags = torch.tensor(flag, dtype=torch.uint8)
        with _lost_peers():
            dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags)

    def check_equal(self, name: str, value: object) -> None:
        """Raise UserError at every rank unless `value` has the same text at all of them."""
        if self.size == 1:
            return
        digest = int.from_bytes(hashlib.sha256(str(value).encode()).digest()[:7])
        bounds = torch.tensor([digest, -digest])
        with _lost_peers():
            dist.all_reduce(bounds, dist.ReduceOp.MAX)
        if int(bounds.sum()):
            raise UserError(
                f"the {self.size} processes differ in {name}: they need the same params.yaml, code, data "
                "and .checkpoints, on one machine or in a folder that all machines share"
            )


SINGLE = ProcessGroup()


@contextmanager
def _lost_peers() -> Iterator[None]:
    """Turns the errors of gloo and NCCL about another rank into PeerLostError."""
    try:
        yield
    except (torch.OutOfMemoryError, torch.AcceleratorError):  # this rank's own
        raise
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        outcome = f"was {SILENT}" if "imed out" in reason else "does not answer"
        raise PeerLostError(
            f"another rank {outcome} ({reason}): run again, and training resumes from its last checkpoint"
        ) from None


def processes() -> int:
    """The number of processes to launch: SEQ2SEQ_PROCESSES; 1 if unset, or in a launched process."""
    wanted = os.environ.get(PROCESSES) or "1"
    if not wanted.isdecimal() or int(wanted) < 1:
        raise UserError(f"{PROCESSES}={wanted}: must be a number of processes, e.g. 2")
    return 1 if "RANK" in os.environ else int(wanted)


@contextmanager
def init() -> Iterator[ProcessGroup]:
    """The group of this process: itself, or the ranks of a launcher that sets RANK and WORLD_SIZE.

    Only the main rank keeps its standard output. An error of a rank is stored for its launcher, and
    `launch` reports it once for all.
    """
    size = int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1
    if size == 1:
        yield SINGLE
        return
    launcher = os.environ.get(LAUNCHER)
    if launcher and os.getppid() != int(launcher):
        raise KeyboardInterrupt  # it died before this process started
    group = ProcessGroup(int(os.environ["RANK"]), size)
    # gloo for tensors on the CPU, on a machine with GPUs as well.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with Path(os.devnull).open("w") as nowhere:
        try:
            with _lost_peers():
                dist.init_process_group(backend, timeout=TIMEOUT)
            with redirect_stdout(sys.stdout if group.is_main else nowhere):
                yield group
            group.any(False)  # the main rank has saved: all end together
            dist.destroy_process_group()
        except KeyboardInterrupt:
            # A launcher ends the others when one fails, and the main rank has yet to save.
            sys.exit(INTERRUPTED if group.is_main else 0)
        except Exception as error:
            _record(error)
            if launcher and isinstance(error, ERRORS):
                # Without cleanup: threads that still wait for other ranks may abort the process during it.
                sys.stdout.flush()
                os._exit(1)
            raise


def launch(count: int, *arguments: str) -> None:
    """Run `python ARGUMENTS` as `count` ranks on this machine, to the end; none outlives this call.

    Ctrl-C and SIGTERM are passed on, and raise KeyboardInterrupt once all have saved and ended. When a
    rank fails or is killed the others are ended, and its error is raised here: UserError for a kill.
    Ranks are not restarted.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ[LAUNCHER] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // count)))
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all ranks are on this machine
    disabled = logging.root.manager.disable
    logging.disable()  # torch's warnings repeat the error raised below
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
            logging.disable(disabled)


def _record(error: Exception) -> None:
    """Write an error to the file that torch's launchers, this one and torchrun, read."""
    if file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        kind = next((kind.__name__ for kind in ERRORS if isinstance(error, kind)), type(error).__name__)
        record = {"message": str(error) or kind, "kind": kind, "timestamp": int(time.time())}
        record |= {"figure": error.figure} if isinstance(error, QualityError) else {}
        Path(file).write_text(json.dumps(record), encoding="utf-8")


def _cause(error: ChildFailedError, count: int) -> BaseException:
    """The error to raise: of the rank that failed first, not of those that lost it."""
    failures = list(error.failures.items())  # in order of detection
    lost = [f.message for _, f in failures if f.error_file_data.get("kind") == PeerLostError.__name__]
    own = [item for item in failures if item[1].message not in lost]
    rank, failure = (own or failures)[0]
    if failure.exitcode == INTERRUPTED:
        return KeyboardInterrupt()
    recorded = failure.error_file_data.get("kind")  # by the rank, which may have been killed afterwards
    if failure.exitcode == -signal.SIGABRT and recorded is None:
        return UserError(
            f"rank {rank} of {count} aborted, so all have ended: its messages are above, e.g. NCCL's about a "
            "rank that does not answer; run again, and training resumes from its last checkpoint"
        )
    if failure.exitcode < 0 and recorded is None:
        fate = f"{SILENT} and then killed" if any(SILENT in message for message in lost) else "killed"
        return UserError(
            f"rank {rank} of {count} was {fate} ({failure.signal_name()}), so all have ended: unless it was "
            "stopped by hand, memory ran out, and fewer processes or a smaller train.batch_tokens need less; "
            "run again, and training resumes from its last checkpoint"
        )
    if figure := failure.error_file_data.get("figure"):
        return QualityError(Figure(*figure), failure.message)
    for kind in ERRORS:
        if kind.__name__ == recorded:
            return kind(failure.message)
    return RuntimeError(f"rank {rank} of {count} ended with status {failure.exitcode}: see above")
