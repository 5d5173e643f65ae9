"""The types of products, and of what is summed up beside them.

Why: a type changes the result, so that it is a parameter; every machine can compute in each, some slowly.
"""

from __future__ import annotations

import sys

import torch

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}  # of products, as params.yaml names them


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type of the products for one of PRECISIONS, which then holds; warns where it is slow."""
    torch.backends.cudnn.allow_tf32 = False  # the decoder's cells have full precision: so must the encoder
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


def casting(dtype: torch.dtype, device: str, *, encoder: bool = False) -> torch.autocast:
    """Within it products on a type of device run in `dtype`, if that is bfloat16.

    Not those of an encoder on CUDA: autocast hands cuDNN's LSTMs float16, whatever type was asked for,
    which is too narrow for gradients.
    """
    spared = encoder and device == "cuda"
    return torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16 and not spared)


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
