"""The model of nn/model.py prepared for search: precomputed products and packed weights, the same scores.

Why: the reference computes at every step much that depends on the sentence or on the model alone. Here

- the contribution of a word to the gates is a row of a table, computed once per model;
- the contribution of source positions to the gates and the readout is one product per sentence, W c =
  sum_j a_j (W h_j), shared by all hypotheses; not for many sentences with one hypothesis each, where there
  are about as many c as h_j, and c is shorter than W h;
- on a CPU the encoder computes a few sentences of similar lengths at a time, with hardly any padding;
- weights are packed once for the processor; with bf16 products run in bfloat16, with int8 those of a step
  in int8, while the cell, the attention, the softmaxes and the scores stay in float32.

Tensors are named as in search.py; besides, N are the active sentences, each with K hypotheses: R = N K rows;
G = 4 H are the gates of an LSTM, P = G + E is the contribution of a context to the gates and the readout.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq.data.vocabulary import PAD
from seq2seq.inference.search import FORBIDDEN
from seq2seq.nn.attention import AdditiveAttention
from seq2seq.nn.model import Seq2Seq
from seq2seq.nn.precision import Precision, supports_matmul

BLOCK = 64  # pieces of the vocabulary: topk of fast_search.py searches whole blocks
ENCODER_BATCH = 16  # sentences that the encoder computes at once on a CPU; more are no faster
SINGLE = Precision(torch.float32)


class Memory(NamedTuple):
    """The encoded source, used at every step."""

    values_NSP: Tensor  # W h_j for the gates and the readout, or h_j: see FastModel.encode
    keys_NSA: Tensor
    padding_N1S: Tensor  # True at padding, for all hypotheses


class State(NamedTuple):
    """The states of hypotheses between two words: a tensor a layer."""

    recurrent: list[Tensor]  # (R, G): contribution of d_i and, in the first layer, c_{i+1} to the next gates
    cell: list[Tensor]  # (R, H)

    def rows(self, index_R: Tensor) -> State:
        """The states of some hypotheses, in the order of `index_R`."""
        return State(*([part.index_select(0, index_R) for part in parts] for parts in self))


class FastModel:
    """A model in eval mode, prepared for search; a change of its weights needs a new one.

    `precision` is that of products with a weight: the model's own type (float32, float64), bfloat16, or int8
    for those of a step, of a state or the readout. The memory is computed once a sentence, in float32 then.
    """

    @torch.no_grad()
    def __init__(self, model: Seq2Seq, precision: Precision = SINGLE) -> None:
        self.model, self.precision, self.dtype = model, precision, precision.accumulation_dtype
        self._rounded: dict[int, Tensor] = {}  # parameters of the encoder, where bfloat16 is emulated
        decoder, attend = model.decoder, model.decoder.attention

        def linear(weight: Tensor, bias: Tensor | None) -> PackedLinear | QuantizedLinear:
            if precision.dtype == torch.int8:
                return QuantizedLinear(weight, bias, emulated=precision.emulated)
            return PackedLinear(weight, bias, precision)

        first, *upper = cells = cast("list[nn.LSTMCell]", list(decoder.cells))
        pieces, embedding = decoder.embedding.weight.shape
        units = first.hidden_size
        # The vocabulary is padded to whole blocks, with pieces of probability 0.
        padding = -pieces % BLOCK
        every_V = torch.arange(pieces, device=first.weight_ih.device)
        words_VG = F.linear(decoder.embedding(every_V), first.weight_ih[:, :embedding])
        self.words_VG = F.pad(words_VG + first.bias_ih + first.bias_hh, (0, 0, 0, padding))
        vocabulary_VE = F.pad(decoder.vocabulary.weight, (0, 0, 0, padding))
        bias_V = F.pad(decoder.vocabulary.bias, (0, padding), value=-torch.inf)
        self.vocabulary = linear(vocabulary_VE, bias_V)
        self.upper = [linear(cell.weight_ih, cell.bias_ih + cell.bias_hh) for cell in upper]
        recurrent = [cell.weight_hh for cell in cells]
        self.additive = isinstance(attend, AdditiveAttention)
        # One product of the last state gives the next gates, the query and the readout.
        last = [recurrent.pop()]
        if isinstance(attend, AdditiveAttention):
            last.append(2 * attend.query.weight)  # twice: see _attend
            self.energy_1A = 2 * attend.energy.weight
        last.append(decoder.readout.weight[:, :units])
        self.embedding = embedding
        last_bias = F.pad(decoder.readout.bias, (sum(map(len, last)) - embedding, 0))
        self.forbidden = torch.tensor(FORBIDDEN, device=every_V.device)
        self.recurrent = [linear(weight, None) for weight in recurrent]
        self.recurrent.append(linear(torch.cat(last), last_bias))
        if attend is not None:
            from_context = torch.cat([first.weight_ih[:, embedding:], decoder.readout.weight[:, units:]])
            self.context = PackedLinear(
                from_context, None, SINGLE if precision.dtype == torch.int8 else precision
            )
            self.contribution_size = len(from_context)  # P, which is more than M

    def encode(self, source_BS: Tensor, lengths_B: Tensor, beam: int) -> tuple[Memory | None, State]:
        """The memory, None without attention, and the decoder's first state.

        W h_j is computed here (hoisted) if a beam shares it, or if there are few sentences.
        """
        together = ENCODER_BATCH if source_BS.device.type == "cpu" else len(source_BS)
        hoist = beam > 1 or len(source_BS) < ENCODER_BATCH
        order_N = lengths_B.argsort(stable=True)
        parts = [
            self._encode_part(source_BS[rows, : int(lengths_B[rows[-1]])], lengths_B[rows], hoist=hoist)
            for rows in torch.split(order_N, together)
        ]
        position_N = order_N.argsort()  # of each sentence in the parts
        first = (torch.cat([part[i] for part in parts], dim=1).index_select(1, position_N) for i in (2, 3))
        hidden, cell = (list(part_LBH.unbind()) for part_LBH in first)
        memory = None
        if self.model.decoder.attention is not None:
            longest = source_BS.shape[1]
            values, keys = (
                torch.cat([F.pad(part[i], (0, 0, 0, longest - part[i].shape[1])) for part in parts])
                for i in (0, 1)
            )
            padding_NS = source_BS == PAD
            memory = Memory(
                values.index_select(0, position_N), keys.index_select(0, position_N), padding_NS.unsqueeze(1)
            )
        recurrent, _ = self._project_state(hidden, memory)
        return memory, State(recurrent, cell)

    def _encode_part(
        self, source_BS: Tensor, lengths_B: Tensor, *, hoist: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Values and keys of a few sentences as in Memory, d_0 and its cell (L, B, H)."""
        device = source_BS.device.type
        with self.precision.autocast(device, encoder=True, rounded=self._rounded):
            memory, *first = self.model.encode_source(source_BS, lengths_B)
        values, keys = memory.values_BSM, memory.keys_BSA.to(self.dtype)
        if self.model.decoder.attention is not None:
            values = self.context(values) if hoist else values.to(self.dtype)
        hidden_LBH, cell_LBH = (part_LBH.to(self.dtype) for part_LBH in first)
        return values, keys * 2 if self.additive else keys, hidden_LBH, cell_LBH

    def step(self, word_R: Tensor, state: State, memory: Memory | None) -> tuple[Tensor, State]:
        """Log-probabilities (R, V) of the word after `word_R`, and the new state."""
        hidden: list[Tensor] = []
        cell: list[Tensor] = []
        for layer, (recurrent_RG, cell_RH) in enumerate(zip(*state, strict=True)):
            input_RG = self.upper[layer - 1](hidden[-1]) if layer else self.words_VG.index_select(0, word_R)
            d_RH, cell_RH = _lstm_cell(input_RG.add_(recurrent_RG), cell_RH)
            hidden.append(d_RH)
            cell.append(cell_RH)
        recurrent, readout_RE = self._project_state(hidden, memory)
        logs_RV = torch.log_softmax(self.vocabulary(tanh(self.model.decoder.norm(readout_RE))), dim=-1)
        logs_RV.index_fill_(1, self.forbidden, -torch.inf)
        return logs_RV, State(recurrent, cell)

    def _project_state(self, hidden: list[Tensor], memory: Memory | None) -> tuple[list[Tensor], Tensor]:
        """The contribution of d_i and c_{i+1} to the next gates, a tensor a layer, and the readout (R, E)."""
        gates, embedding = self.words_VG.shape[1], self.embedding
        from_d = [product(d_RH) for product, d_RH in zip(self.recurrent, hidden, strict=True)]
        recurrent = [part[:, :gates] for part in from_d]
        readout_RE = from_d[-1][:, -embedding:]
        if memory is None:
            return recurrent, readout_RE
        context_RP = self._attend(from_d[-1][:, gates:-embedding] if self.additive else hidden[-1], memory)
        if context_RP.shape[1] != self.contribution_size:
            context_RP = self.context(context_RP)
        recurrent[0] = recurrent[0] + context_RP[:, :gates]
        return recurrent, readout_RE + context_RP[:, gates:]

    def _attend(self, query_RA: Tensor, memory: Memory) -> Tensor:
        """The mean of a memory's values, weighted by attention (R, P or M)."""
        query_NKA = query_RA.reshape(len(memory.keys_NSA), -1, query_RA.shape[1])
        if self.additive:
            # v . tanh(x) = 2 v . sigmoid(2 x) - sum v, and the softmax is invariant to constants.
            energy_NKSA = (query_NKA.unsqueeze(2) + memory.keys_NSA.unsqueeze(1)).sigmoid_()
            scores_NKS = F.linear(energy_NKSA, self.energy_1A).squeeze(-1)
        else:
            scores_NKS = torch.bmm(query_NKA, memory.keys_NSA.transpose(1, 2))
        weights_NKS = scores_NKS.masked_fill_(memory.padding_N1S, -torch.inf).softmax(dim=-1)
        return torch.bmm(weights_NKS, memory.values_NSP).flatten(0, 1)


class PackedLinear:
    """x W^T + b for one W and many x, in a given precision.

    On a CPU W is packed for oneDNN's kernels once: at the sizes of a step, F.linear takes 1.1 to 1.4
    times as long (float32 and bfloat16, PyTorch 2.13).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, precision: Precision) -> None:
        self.weight = precision.round(weight.detach()).contiguous()
        self.bias = None if bias is None else precision.round(bias.detach())
        self.precision = precision
        self.packed = weight.device.type == "cpu" and supports_matmul(precision.storage_dtype)
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight)

    def __call__(self, x: Tensor) -> Tensor:
        """The product, as `accumulation_dtype`."""
        x = self.precision.round(x)
        if self.packed:
            y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        else:
            y = F.linear(x, self.weight, self.bias)
        return y.to(self.precision.accumulation_dtype)


class QuantizedLinear:
    """x W^T + b in int8, for one W and many x in [-1, 1]: states of an LSTM, results of tanh.

    Each row of W has a scale, and x has 1/LEVELS, whatever it holds: so a result does not depend on the rest
    of a batch. Sums are exact. If `emulated`, the rounded operands are multiplied in float32.
    """

    LEVELS = 127  # of a sign

    def __init__(self, weight: Tensor, bias: Tensor | None, *, emulated: bool) -> None:
        weight = weight.detach()
        smallest = torch.finfo(weight.dtype).tiny * self.LEVELS  # a row of zeros has a scale too
        self.scale_N = weight.abs().amax(dim=1).clamp_min(smallest) / self.LEVELS
        rounded = (weight / self.scale_N[:, None]).round()
        self.bias = None if bias is None else bias.detach()
        self.emulated = PackedLinear(rounded * self.scale_N[:, None], self.bias, SINGLE) if emulated else None
        if not emulated:
            self.weight = torch.ops.onednn.qlinear_prepack(rounded.to(torch.int8), None)
            self.zero_N = torch.zeros(len(weight), dtype=torch.int64)

    def __call__(self, x: Tensor) -> Tensor:
        """The product, as float32."""
        levels = x.mul(self.LEVELS).round_()
        if self.emulated is not None:
            return self.emulated(levels.div_(self.LEVELS))
        if len(x) == 1:  # oneDNN takes 500 times as long for one row as for two (PyTorch 2.13)
            levels = levels.repeat(2, 1)
        operands = (levels.to(torch.int8), 1 / self.LEVELS, 0, self.weight, self.scale_N, self.zero_N)
        output = self.bias, 1.0, 0, torch.float32  # scale 1 and zero point 0
        y: Tensor = torch.ops.onednn.qlinear_pointwise(*operands, *output, "none", [], "")
        return y[: len(x)]


def tanh(x: Tensor) -> Tensor:
    """2 sigmoid(2 x) - 1: PyTorch's own tanh takes six times as long as its sigmoid on a CPU.

    The absolute error is below 1e-6, also where tanh itself is smaller than that.
    """
    return (2 * x).sigmoid_().mul_(2).sub_(1)


def _lstm_cell(gates_RG: Tensor, cell_RH: Tensor) -> tuple[Tensor, Tensor]:
    """An LSTM cell from its gates before their activation: d and the new cell (R, H)."""
    input_RH, forget_RH, cell_gate_RH, output_RH = gates_RG.chunk(4, dim=1)
    cell_RH = torch.addcmul(forget_RH.sigmoid() * cell_RH, input_RH.sigmoid(), tanh(cell_gate_RH))
    return output_RH.sigmoid() * tanh(cell_RH), cell_RH
