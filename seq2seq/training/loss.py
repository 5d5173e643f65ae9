"""The training loss: label-smoothed cross-entropy, from logits or, faster, without storing them.

Why: the logits of a batch are by far its largest tensor. Validation and the tests use the plain form;
training computes the logits, and the gradients, for some rows at a time.

Tensors are named as in model.py; besides, N = B T are the rows of a batch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from seq2seq.data.vocabulary import PAD
from seq2seq.nn.precision import Precision

# Of logits computed at once: few enough for a CPU's cache, enough to keep a GPU busy.
ROWS = {"cpu": 256, "cuda": 1024}


def cross_entropy(logits_BTV: Tensor, output_BT: Tensor, smoothing: float = 0.0) -> Tensor:
    """Summed loss over the real tokens of a batch, in nats (label smoothing: Szegedy et al. 2016)."""
    return F.cross_entropy(
        logits_BTV.flatten(0, 1),
        output_BT.flatten(),
        ignore_index=PAD,
        label_smoothing=smoothing,
        reduction="sum",
    )


class LinearCrossEntropy(Function):
    """Label-smoothed cross-entropy of linear(readout), summed over real targets.

    Logits and gradients are computed together, for some rows at a time; logits are not stored.
    """

    @staticmethod
    def forward(
        ctx: Any,
        readout_NE: Tensor,
        weight_VE: Tensor,
        bias_V: Tensor,
        output_N: Tensor,
        smoothing: float,
        precision: Precision,
    ) -> Tensor:
        """The loss; stores its gradients in ctx. `readout_NE` is an operand of that precision."""
        weight, bias = precision.round(weight_VE), precision.round(bias_V)
        loss = torch.zeros((), dtype=precision.accumulation_dtype, device=readout_NE.device)
        d_readout_NE = torch.empty_like(readout_NE)
        d_weight_VE, d_bias_V = torch.zeros_like(weight_VE), torch.zeros_like(bias_V)
        rows = ROWS[readout_NE.device.type]
        for begin in range(0, len(output_N), rows):
            readout, output = readout_NE[begin : begin + rows], output_N[begin : begin + rows].unsqueeze(1)
            real = output != PAD
            logits_NV = F.linear(readout, weight, bias).to(loss.dtype)
            d_NV = logits_NV.softmax(dim=-1)
            # log sum exp from the likeliest piece, whose probability is at least 1 / V.
            total_N1 = logits_NV.amax(dim=-1, keepdim=True) - d_NV.amax(dim=-1, keepdim=True).log()
            right_N1, mean_N1 = logits_NV.gather(1, output), logits_NV.mean(dim=-1, keepdim=True)
            loss += (total_N1 - torch.lerp(right_N1, mean_N1, smoothing)).mul_(real).sum()
            d_NV.sub_(smoothing / len(weight))
            d_NV.scatter_add_(1, output, torch.full_like(right_N1, smoothing - 1))
            d_rounded_NV = precision.round(d_NV.mul_(real))
            torch.mm(d_rounded_NV, weight, out=d_readout_NE[begin : begin + rows])
            if readout.dtype == d_weight_VE.dtype:
                d_weight_VE.addmm_(d_rounded_NV.t(), readout)
            else:
                d_weight_VE += d_rounded_NV.t() @ readout
            d_bias_V += d_NV.sum(dim=0)
        ctx.save_for_backward(d_readout_NE, d_weight_VE, d_bias_V)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients, scaled."""
        d_readout_NE, d_weight_VE, d_bias_V = ctx.saved_tensors
        d_readout_NE = d_readout_NE * d_loss.to(d_readout_NE.dtype)
        return d_readout_NE, d_weight_VE * d_loss, d_bias_V * d_loss, None, None, None
