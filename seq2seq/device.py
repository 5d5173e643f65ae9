"""Which device torch computes on: chosen once per stage, with the reason said.

Why: it changes how fast a result comes, and that only by rounding, so that it is no parameter.
"""

from __future__ import annotations

import os

import torch

from seq2seq.errors import UserError


def choose_device(who: str) -> torch.device:
    """SEQ2SEQ_DEVICE if set, else a CUDA device if there is one, else the CPU; says which and why.

    Raises UserError for a device that this machine or this build of torch does not have.
    """
    if wanted := os.environ.get("SEQ2SEQ_DEVICE"):
        name, reason = wanted, "SEQ2SEQ_DEVICE says so"
    elif torch.cuda.is_available():
        name, reason = "cuda", f"found {torch.cuda.get_device_name()}"
    else:
        name, reason = "cpu", f"no CUDA device found, {torch.get_num_threads()} threads"
    if name.startswith("cuda") and int(os.environ.get("LOCAL_WORLD_SIZE", 1)) > 1:
        if name != "cuda":
            raise UserError(f"SEQ2SEQ_DEVICE={name}: several processes need a device each: cuda, or cpu")
        name, reason = f"cuda:{os.environ['LOCAL_RANK']}", "each process has its own"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"{name} ({reason}) cannot be used: {str(error).splitlines()[0]}") from None
    print(f"{who}: on {name} ({reason})", flush=True)
    return device


def wants_graphs(device: torch.device) -> bool:
    """Whether SEQ2SEQ_CUDA_GRAPHS=1 asks for CUDA graphs, on a device that has them."""
    return os.environ.get("SEQ2SEQ_CUDA_GRAPHS") == "1" and device.type == "cuda"
