"""The device of torch, chosen once per stage and printed with the reason.

Why: it affects speed, and results only by rounding, so it is no parameter.
"""

from __future__ import annotations

import os

import torch

from seq2seq.common.errors import UserError
from seq2seq.common.threads import choose_threads

GRAPHS = "SEQ2SEQ_CUDA_GRAPHS"


def choose_device(stage: str) -> torch.device:
    """SEQ2SEQ_DEVICE if set, else a CUDA device if there is one, else the CPU; prints device and reason.

    On the CPU it also chooses the number of threads. Raises UserError for a device that this machine or this
    build of torch does not have.
    """
    wanted = os.environ.get("SEQ2SEQ_DEVICE")
    name = wanted or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        choose_threads(stage)
    if wanted:
        reason = "set by SEQ2SEQ_DEVICE"
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
            raise RuntimeError("allowed are cpu, cuda and cuda:N")
        torch.empty(1, device=device)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"{name} ({reason}) cannot be used: {str(error).splitlines()[0]}") from None
    print(f"{stage}: on {name} ({reason})", flush=True)
    return device


def wants_graphs(device: torch.device) -> bool:
    """Whether SEQ2SEQ_CUDA_GRAPHS=1 enables CUDA graphs, on a CUDA device.

    Raises UserError for another value, and for several processes: CUDA graphs together with NCCL are not
    tested.
    """
    value = os.environ.get(GRAPHS) or "0"
    if value not in ("0", "1"):
        raise UserError(f"{GRAPHS}={value}: must be 1, for CUDA graphs, or 0")
    if value == "0" or device.type != "cuda":
        return False
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise UserError(f"{GRAPHS}=1: for one process only")
    return True
