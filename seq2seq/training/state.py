"""The content of a checkpoint: progress of a training as fields, and the tensors of all that changes.

Why: a training resumes identically only if weights, moments of the optimiser and random numbers all return.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim import Optimizer

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # AdamW's, of each parameter


@dataclass
class TrainingState:
    """The state of a training without its tensors; checkpoints store these fields by name."""

    update: int = 0
    epoch: int = 0
    batch: int = 0  # the next one of the epoch
    loss: float = 0.0  # summed over `tokens` since the last validation
    tokens: int = 0
    best_loss: float = math.inf
    best_update: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    # Settings that change rounding; kept when a training resumes on the same type of device.
    device: str | None = None  # its type
    threads: int | None = None
    bf16: str | None = None  # native or emulated


def pack(
    parameters: Mapping[str, Tensor], best: Mapping[str, Tensor], optimizer: Optimizer, device: torch.device
) -> dict[str, Tensor]:
    """The tensors of a checkpoint: the weights, the best ones so far, the optimiser, random numbers."""
    tensors = {f"model.{name}": p for name, p in parameters.items()}
    tensors |= {f"best.{name}": p for name, p in best.items()}
    for name, p in parameters.items():
        tensors |= {f"optimizer.{key}.{name}": value for key, value in optimizer.state[p].items()}
    tensors["random"] = torch.get_rng_state()
    if device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    return tensors


@torch.no_grad()
def unpack(
    tensors: Mapping[str, Tensor],
    parameters: Mapping[str, Tensor],
    optimizer: Optimizer,
    device: torch.device,
) -> dict[str, Tensor]:
    """Set weights, optimiser and random numbers to those of a checkpoint; returns the best weights."""
    for name, p in parameters.items():
        p.copy_(tensors[f"model.{name}"])
    moments = {
        index: {key: tensors[f"optimizer.{key}.{name}"] for key in MOMENTS}
        for index, name in enumerate(parameters)
    }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    torch.set_rng_state(tensors["random"])
    if "random.cuda" in tensors and device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random.cuda"], device)
    return {name: tensors[f"best.{name}"].to(device) for name in parameters if f"best.{name}" in tensors}
