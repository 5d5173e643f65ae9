"""Attention of successive steps with a backward pass written by hand: the tape of fast_loss.py.

Why: it keeps what the backward pass needs, and computes gradients of values and keys once for all steps.

Tensors are named as in nn/model.py, T counts steps; `d_x` is the gradient of x.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seq2seq.nn.precision import Precision


class AttentionTape:
    """Attention of successive steps, and its backward pass; the score is d . key."""

    def __init__(
        self,
        precision: Precision,
        values_BSM: Tensor,
        keys_BSA: Tensor,
        mask_BS: Tensor,
        energy_A: Tensor | None,
    ) -> None:
        self.precision = precision
        self.values_BSM, self.keys_BSA, self.energy_A = values_BSM, keys_BSA, energy_A
        self.padding_BS = ~mask_BS
        self.contexts: list[Tensor] = []
        self.weights: list[Tensor] = []
        self.d_contexts: list[Tensor] = []  # these two are filled from the last step to the first
        self.d_scores: list[Tensor] = []

    def forward_step(self, query_BA: Tensor) -> Tensor:
        """The context of the next step's query."""
        scores_BS = self.score(query_BA).to(self.precision.accumulation_dtype)
        weights_BS = scores_BS.masked_fill_(self.padding_BS, -torch.inf).softmax(dim=-1)
        round_ = self.precision.round
        context_BM = round_(torch.bmm(round_(weights_BS).unsqueeze(1), self.values_BSM).squeeze(1))
        self.weights.append(weights_BS)
        self.contexts.append(context_BM)
        return context_BM

    def backward_step(self, step: int, d_context_BM: Tensor) -> Tensor:
        """The gradient of a step's query from that of its context; call from the last step to the first."""
        weights_BS = self.weights[step]
        d_weights_BS = dots(d_context_BM, self.values_BSM).to(weights_BS.dtype)
        along_BS = weights_BS * d_weights_BS
        d_scores_BS = along_BS - weights_BS * along_BS.sum(dim=-1, keepdim=True)
        self.d_contexts.append(d_context_BM)
        self.d_scores.append(self.precision.round(d_scores_BS))
        return self.score_back(step, self.d_scores[-1])

    def gradients(self, query_TBH: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Of values_BSM, keys_BSA and energy_A, after `backward_step` of all steps."""
        weights_BST = self.precision.round(torch.stack(self.weights, dim=2))
        d_values_BSM = torch.bmm(weights_BST, torch.stack(self.d_contexts[::-1], dim=1))
        return d_values_BSM, *self.key_gradients(torch.stack(self.d_scores[::-1]), query_TBH)

    def score(self, query_BA: Tensor) -> Tensor:
        """scores_BS of a step."""
        return dots(query_BA, self.keys_BSA)

    def score_back(self, step: int, d_scores_BS: Tensor) -> Tensor:
        """d_query_BA of a step."""
        return torch.bmm(d_scores_BS.unsqueeze(1), self.keys_BSA).squeeze(1)

    def key_gradients(self, d_scores_TBS: Tensor, query_TBH: Tensor) -> tuple[Tensor, Tensor | None]:
        """d_keys_BSA and, if the score is additive, d_energy_A."""
        return torch.bmm(d_scores_TBS.permute(1, 2, 0), query_TBH.transpose(0, 1)), None


class AdditiveAttentionTape(AttentionTape):
    """The score is energy . (sigmoid(query + key) - 1/2).

    The softmax is invariant to the constant, but bfloat16 rounds scores without it more coarsely.
    """

    energy_A: Tensor

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.sigmoids: list[Tensor] = []
        self.half_1 = self.energy_A.sum(dim=0, keepdim=True) / 2
        # The sum over steps of d_score times the sigmoid's slope.
        self.slopes_BSA = torch.zeros_like(self.keys_BSA, dtype=self.precision.accumulation_dtype)

    def score(self, query_BA: Tensor) -> Tensor:
        """scores_BS of a step."""
        sigmoid_BSA = (self.keys_BSA + query_BA.unsqueeze(1)).sigmoid_()
        self.sigmoids.append(sigmoid_BSA)
        scores = torch.addmv(self.half_1, sigmoid_BSA.flatten(0, 1), self.energy_A, beta=-1)
        return scores.view(sigmoid_BSA.shape[:2])

    def score_back(self, step: int, d_scores_BS: Tensor) -> Tensor:
        """d_query_BA of a step: the sum over S of d_score energy sigmoid (1 - sigmoid)."""
        sigmoid_BSA = self.sigmoids[step]
        slope_BSA = torch.addcmul(sigmoid_BSA, sigmoid_BSA, sigmoid_BSA, value=-1)
        self.slopes_BSA.addcmul_(slope_BSA, d_scores_BS.unsqueeze(2))
        return torch.bmm(d_scores_BS.unsqueeze(1), slope_BSA).squeeze(1) * self.energy_A

    def key_gradients(self, d_scores_TBS: Tensor, query_TBH: Tensor) -> tuple[Tensor, Tensor | None]:
        """d_keys_BSA and d_energy_A."""
        d_keys_BSA = (self.slopes_BSA * self.energy_A).to(self.keys_BSA.dtype)
        d_energy_A = torch.zeros_like(self.energy_A, dtype=self.precision.accumulation_dtype)
        for d_scores_BS, sigmoid_BSA in zip(d_scores_TBS, self.sigmoids, strict=True):
            d_energy_A += d_scores_BS.flatten() @ sigmoid_BSA.flatten(0, 1)
        return d_keys_BSA, d_energy_A.to(self.energy_A.dtype)


def dots(x_BA: Tensor, rows_BSA: Tensor) -> Tensor:
    """The dot products of a vector with each row of its sentence (B, S)."""
    if rows_BSA.dtype == torch.bfloat16:
        return torch.bmm(rows_BSA, x_BA.unsqueeze(2)).squeeze(2)
    # MKL takes a thirteenth of the time for this form on AMD's Zen 3.
    return torch.bmm(x_BA.unsqueeze(1), rows_BSA.transpose(1, 2)).squeeze(1)
