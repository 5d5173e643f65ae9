"""Which device torch computes on: chosen once per stage, with the reason said.

Why: it changes how fast a result comes, not which, so that it is no parameter.
"""

from __future__ import annotations

import os
import sys

import torch

from seq2seq.errors import UserError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}  # of products, as params.yaml names them


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
    torch.backends.cudnn.allow_tf32 = False  # the decoder's cells have full precision: so must the encoder
    print(f"{who}: on {name} ({reason})", flush=True)
    return device


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type of the products for one of PRECISIONS; warns where the device is slow at it."""
    dtype = PRECISIONS[precision]
    if dtype == torch.float32:
        return dtype
    if device.type == "cpu":
        quick = has_products(dtype)
    else:
        quick = torch.cuda.is_bf16_supported(including_emulation=False)
    if not quick:
        slow = f"this {device.type} has no bfloat16 products: precision fp32 would be quicker"
        print(f"warning: {slow}", file=sys.stderr, flush=True)
    return dtype


def has_products(dtype: torch.dtype) -> bool:
    """Whether this CPU has oneDNN's products of a type."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def wide(dtype: torch.dtype) -> torch.dtype:
    """The type of what is summed up where products are of `dtype`: float32 at least."""
    return torch.promote_types(dtype, torch.float32)
