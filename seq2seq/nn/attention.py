"""Attention: the context of a query is the mean of the memory, weighted by scores.

Why: the kinds differ in their score alone: additive (Bahdanau et al. 2015), dot and general (Luong et al.
2015) with the scale of Vaswani et al. 2017. Tensors are named as in model.py.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

AttentionKind = Literal["additive", "dot", "general", "none"]


class Memory(NamedTuple):
    """The encoder's output for the attention: computed once per sentence, used at every step."""

    values_BSM: Tensor  # h_1 .. h_S
    keys_BSA: Tensor  # compared with the query
    mask_BS: Tensor  # True at real positions, False at padding


class Attention(nn.Module, ABC):
    """c_i = sum_j a_ij h_j with a_i = softmax over real j of score(d_{i-1}, h_j)."""

    @abstractmethod
    def keys(self, values_BSM: Tensor) -> Tensor:
        """The part of the score that does not depend on the query: keys_BSA, once per sentence."""

    @abstractmethod
    def score(self, query_BH: Tensor, keys_BSA: Tensor) -> Tensor:
        """The score of each source position for the query: scores_BS."""

    def forward(self, query_BH: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """The context c_i (B, M) and the weights a_i (B, S), which sum to 1 and are 0 at padding."""
        scores_BS = self.score(query_BH, memory.keys_BSA)
        weights_BS = torch.softmax(scores_BS.masked_fill(~memory.mask_BS, -torch.inf), dim=-1)
        context_BM = torch.bmm(weights_BS.unsqueeze(1), memory.values_BSM).squeeze(1)
        return context_BM, weights_BS


class AdditiveAttention(Attention):
    """score = v . tanh(W d + U h)   (Bahdanau et al. 2015, appendix A.1.2)."""

    def __init__(self, hidden_size: int, attention_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_size, attention_size, bias=False)
        self.key = nn.Linear(2 * hidden_size, attention_size)
        self.energy = nn.Linear(attention_size, 1, bias=False)

    def keys(self, values_BSM: Tensor) -> Tensor:
        """U h."""
        keys_BSA: Tensor = self.key(values_BSM)
        return keys_BSA

    def score(self, query_BH: Tensor, keys_BSA: Tensor) -> Tensor:
        """v . tanh(W d + U h)."""
        scores_BS1: Tensor = self.energy(torch.tanh(self.query(query_BH).unsqueeze(1) + keys_BSA))
        return scores_BS1.squeeze(-1)


class DotAttention(Attention):
    """score = d . h / sqrt(H)   (Luong et al. 2015); h is the sum of both directions, to have d's size.

    Without the division, scores are large from the first update on, and the softmax saturates and has
    small gradients (Vaswani et al. 2017, section 3.2.1).
    """

    def keys(self, values_BSM: Tensor) -> Tensor:
        """(h forward + h backward) / sqrt(H)."""
        forward_BSH, backward_BSH = values_BSM.chunk(2, dim=-1)
        return (forward_BSH + backward_BSH) / math.sqrt(forward_BSH.shape[-1])

    def score(self, query_BH: Tensor, keys_BSA: Tensor) -> Tensor:
        """d . key."""
        return torch.bmm(keys_BSA, query_BH.unsqueeze(2)).squeeze(2)


class GeneralAttention(DotAttention):
    """score = d . W h / sqrt(H)   (Luong et al. 2015)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(2 * hidden_size, hidden_size, bias=False)

    def keys(self, values_BSM: Tensor) -> Tensor:
        """W h / sqrt(H)."""
        keys_BSH: Tensor = self.key(values_BSM)
        return keys_BSH / math.sqrt(keys_BSH.shape[-1])


def build_attention(kind: AttentionKind, hidden_size: int, attention_size: int) -> Attention | None:
    """The attention module of a kind; None without attention."""
    match kind:
        case "additive":
            return AdditiveAttention(hidden_size, attention_size)
        case "dot":
            return DotAttention()
        case "general":
            return GeneralAttention(hidden_size)
        case "none":
            return None
