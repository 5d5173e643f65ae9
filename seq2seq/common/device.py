"""Which device torch computes on, chosen once per stage with the reason said, and whether memory is kept.

Why: both change how fast a result comes, and the result by rounding at most, so that they are no parameters.
"""

from __future__ import annotations

import ctypes
import os

import torch

from seq2seq.common.errors import UserError
from seq2seq.common.threads import choose_threads

GRAPHS = "SEQ2SEQ_CUDA_GRAPHS"
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)


def choose_device(who: str) -> torch.device:
    """SEQ2SEQ_DEVICE if set, else a CUDA device if there is one, else the CPU; says which and why.

    On the CPU it chooses the number of threads as well.

    Raises UserError for a device that this machine or this build of torch does not have.
    """
    wanted = os.environ.get("SEQ2SEQ_DEVICE")
    name = wanted or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        choose_threads(who)
    if wanted:
        reason = "SEQ2SEQ_DEVICE says so"
    elif name == "cuda":
        reason = f"found {torch.cuda.get_device_name()}"
    else:
        reason = f"no CUDA device found, {torch.get_num_threads()} threads"
    if name.startswith("cuda") and int(os.environ.get("LOCAL_WORLD_SIZE", 1)) > 1:
        if name != "cuda":
            raise UserError(f"SEQ2SEQ_DEVICE={name}: several processes need a device each: cuda, or cpu")
        name, reason = f"cuda:{os.environ['LOCAL_RANK']}", "each process has its own"
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError("cpu, cuda and cuda:N can be")
        torch.empty(1, device=device)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"{name} ({reason}) cannot be used: {str(error).splitlines()[0]}") from None
    print(f"{who}: on {name} ({reason})", flush=True)
    return device


def wants_graphs(device: torch.device) -> bool:
    """Whether SEQ2SEQ_CUDA_GRAPHS=1 asks for CUDA graphs, on a device that has them.

    Raises UserError for another value, and for several processes: whether a recording gets on with
    NCCL's own work beside it nobody has tried.
    """
    asked = os.environ.get(GRAPHS) or "0"
    if asked not in ("0", "1"):
        raise UserError(f"{GRAPHS}={asked}: must be 1, for CUDA graphs, or 0")
    if asked == "0" or device.type != "cuda":
        return False
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise UserError(f"{GRAPHS}=1: for one process only")
    return True


def keep_freed_memory() -> None:
    """Have a process keep what it frees for what it needs next, where the C library is glibc.

    By default large tensors are taken from the system and given back each time, with a page fault for
    every 4 KB of them: that was a seventh of a training's time on a CPU. The process then grows until what
    is freed fits what is needed, and never shrinks: this is for those that do one thing and end.
    """
    if os.name == "posix" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)
