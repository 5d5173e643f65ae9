"""The training loss of model.py, faster: the same maths with a backward pass written by hand.

Why: autograd computes the decoder word by word in many small operations, and accumulates the gradient of
each weight at every word. Here the loop holds only what depends on the previous word; all else, gradients
of weights included, is one large product outside it. With bf16, operands of products are rounded to
bfloat16, on a CPU also those of the encoder's LSTMs; the decoder's cell, the softmaxes, the loss, weights
and sums stay in float32, as do the attention's sigmoids where bfloat16 is emulated (precision.py).

Tensors are named as in model.py; besides, G = 4 H are the gates of an LSTM in torch's order (input,
forget, cell, output), O = H + M is the size of [d_i; c_{i+1}], from which y_i is predicted, and the prefix
d_ denotes a gradient of the loss.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from seq2seq.nn.attention import AdditiveAttention, Memory
from seq2seq.nn.batches import Batch
from seq2seq.nn.model import Decoder, Seq2Seq
from seq2seq.nn.precision import Precision
from seq2seq.training.attention_tape import AdditiveAttentionTape, AttentionTape
from seq2seq.training.loss import LinearCrossEntropy, cross_entropy


def summed_loss(model: Seq2Seq, batch: Batch, smoothing: float, precision: Precision) -> Tensor:
    """The `cross_entropy` of model(batch): summed over real tokens, in nats; products of `precision`.

    A decoder of several layers is computed by the loop of model.py under autocast, its cells included.
    """
    device = batch.source_BS.device.type
    decoder = model.decoder
    with precision.autocast(device, encoder=True):
        memory, hidden_LBH, cell_LBH = model.encode_source(batch.source_BS, batch.source_lengths_B)
    if len(decoder.cells) > 1:
        with precision.autocast(device):
            state = decoder.initial_state(hidden_LBH, cell_LBH, memory)
            logits_BTV, _ = decoder(batch.input_BT, state, memory)
        return cross_entropy(logits_BTV.to(precision.accumulation_dtype), batch.output_BT, smoothing)
    output_BTO = outputs(decoder, batch.input_BT, hidden_LBH[0], cell_LBH[0], memory, precision)
    with precision.autocast(device):
        readout_BTE = decoder.norm(decoder.readout(fast_dropout(output_BTO, decoder.dropout)))
        readout_BTE = fast_dropout(torch.tanh(readout_BTE), decoder.dropout)
    loss: Tensor = LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        precision.round(readout_BTE.flatten(0, 1)),
        decoder.vocabulary.weight,
        decoder.vocabulary.bias,
        batch.output_BT.flatten(),
        smoothing,
        precision,
    )
    return loss


def outputs(
    decoder: Decoder,
    input_BT: Tensor,
    hidden_BH: Tensor,
    cell_BH: Tensor,
    memory: Memory,
    precision: Precision,
) -> Tensor:
    """[d_i; c_{i+1}] of every position (B, T, O), or d_i alone without attention."""
    cell = cast(nn.LSTMCell, decoder.cells[0])
    size = decoder.embedding.embedding_dim
    embedded_BTE = fast_dropout(decoder.embedding(input_BT), decoder.dropout)
    # The part of the gates that does not depend on earlier words: one product for all words.
    words = (embedded_BTE, cell.weight_ih[:, :size], cell.bias_ih + cell.bias_hh)
    input_BTG = F.linear(*map(precision.round, words))
    needs: list[Tensor | None] = [None] * 5
    match decoder.attention:
        case AdditiveAttention() as attend:
            # v . tanh(x) = 2 v . sigmoid(2 x) - sum v, and PyTorch's sigmoid takes a third of its tanh's time
            # on a CPU (float32: a seventh).
            twice = (2 * memory.keys_BSA, 2 * attend.query.weight, 2 * attend.energy.weight.flatten())
            needs = [cell.weight_ih[:, size:], memory.values_BSM, *twice]
        case attend if attend is not None:
            needs = [cell.weight_ih[:, size:], memory.values_BSM, memory.keys_BSA, None, None]
    d_TBH, c_TBM = Recurrence.apply(  # type: ignore[no-untyped-call]
        precision,
        input_BTG.transpose(0, 1),
        precision.round(hidden_BH),
        cell_BH.to(precision.accumulation_dtype),
        memory.mask_BS,
        precision.round(cell.weight_hh),
        *(need if need is None else precision.round(need) for need in needs),
    )
    output_TBO: Tensor = d_TBH if c_TBM is None else torch.cat([d_TBH, c_TBM[1:]], dim=-1)
    return output_TBO.transpose(0, 1)


def fast_dropout(inputs: Tensor, dropout: nn.Dropout) -> Tensor:
    """`dropout`; on a CPU from 16 random bits a number, in a sixth of torch's time."""
    out_of = 2**16
    kept = out_of - round(dropout.p * out_of)
    if inputs.device.type != "cpu" or not dropout.training or not 0 < kept < out_of:
        dropped: Tensor = dropout(inputs)
        return dropped
    bits = torch.empty(-(-inputs.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    drawn = bits.view(torch.int16)[: inputs.numel()].view(inputs.shape)  # uniform, from -2^15 on
    return inputs * (drawn < kept - out_of // 2).to(inputs.dtype).mul_(out_of / kept)


class Recurrence(Function):
    """A decoder of one layer over all words: d_1 .. d_T (T, B, H) and c_1 .. c_{T+1} (T + 1, B, M).

    `input_TBG` is the contribution of the words to the gates. Without `values_BSM` there is no attention
    and no c; the score is d . key without `query_AH`, else that of AdditiveAttentionTape.
    """

    @staticmethod
    def forward(
        ctx: Any,
        precision: Precision,
        input_TBG: Tensor,
        hidden_BH: Tensor,
        cell_BH: Tensor,
        mask_BS: Tensor,
        recurrent_GH: Tensor,
        context_GM: Tensor | None,
        values_BSM: Tensor | None,
        keys_BSA: Tensor | None,
        query_AH: Tensor | None,
        energy_A: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """All steps, keeping what the backward pass needs."""
        gates = recurrent_GH.shape[0]
        # One product of each state gives the next gates and the query.
        recurrent = recurrent_GH if query_AH is None else torch.cat([recurrent_GH, query_AH])
        tape: AttentionTape | None = None
        if values_BSM is not None and keys_BSA is not None:
            tape_class = AttentionTape if energy_A is None else AdditiveAttentionTape
            tape = tape_class(precision, values_BSM, keys_BSA, mask_BS, energy_A)

        def project_state(d_BH: Tensor) -> tuple[Tensor, Tensor | None]:
            """The contribution of a state to the next gates, and its context."""
            from_d = F.linear(d_BH, recurrent)
            context_BM = tape.forward_step(d_BH if query_AH is None else from_d[:, gates:]) if tape else None
            return from_d[:, :gates], context_BM

        hiddens, cells, active = [hidden_BH], [cell_BH], []
        recurrent_BG, context_BM = project_state(hidden_BH)
        for input_BG in input_TBG:
            gates_BG = input_BG + recurrent_BG
            if context_BM is not None and context_GM is not None:
                gates_BG.addmm_(context_BM, context_GM.t())
            active_BG, cell_BH, hidden_BH = lstm(gates_BG.to(cell_BH.dtype), cell_BH)
            active.append(active_BG)
            cells.append(cell_BH)
            hiddens.append(precision.round(hidden_BH))
            recurrent_BG, context_BM = project_state(hiddens[-1])
        ctx.precision, ctx.tape = precision, tape
        ctx.hiddens, ctx.cells, ctx.active = hiddens, cells, active
        ctx.save_for_backward(recurrent, context_GM)
        return torch.stack(hiddens[1:]), torch.stack(tape.contexts) if tape else None

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs_TBH: Tensor, d_contexts_TBM: Tensor | None) -> tuple[Tensor | None, ...]:
        """All steps in reverse; gradients of weights are one product each, at the end."""
        recurrent, context_GM = ctx.saved_tensors
        precision: Precision = ctx.precision
        tape: AttentionTape | None = ctx.tape
        additive = isinstance(tape, AdditiveAttentionTape)
        gates = ctx.active[0].shape[1]
        d_hidden_BH, d_cell_BH = torch.zeros_like(ctx.hiddens[0]), torch.zeros_like(ctx.cells[0])
        d_gates_BG = torch.zeros_like(ctx.active[0], dtype=recurrent.dtype)  # no gates follow d_T
        d_from_d: list[Tensor] = []  # of the products of each d: the next gates and, if additive, the query
        for i in reversed(range(len(ctx.hiddens))):
            if i < len(ctx.active):
                d_gates_BG, d_cell_BH = lstm_backward(
                    (d_hidden_BH + d_outputs_TBH[i]).to(d_cell_BH.dtype),
                    d_cell_BH,
                    ctx.active[i],
                    *ctx.cells[i : i + 2],
                )
                d_gates_BG = precision.round(d_gates_BG)
            if tape is None or d_contexts_TBM is None:
                d_from_d.append(d_gates_BG)
                d_hidden_BH = d_gates_BG @ recurrent
                continue
            d_context_BM = precision.round(torch.addmm(d_contexts_TBM[i], d_gates_BG, context_GM))
            d_query = tape.backward_step(i, d_context_BM)
            if additive:
                d_from_d.append(torch.cat([d_gates_BG, precision.round(d_query)], dim=1))
                d_hidden_BH = d_from_d[-1] @ recurrent
            else:
                d_from_d.append(d_gates_BG)
                d_hidden_BH = torch.addmm(d_query, d_gates_BG, recurrent)
        d_from_d_TB = torch.stack(d_from_d[::-1])  # T + 1 of them
        hidden_TBH = torch.stack(ctx.hiddens)
        d_recurrent = d_from_d_TB.flatten(0, 1).t() @ hidden_TBH.flatten(0, 1)
        d_gates_TBG = d_from_d_TB[..., :gates]
        d_context_GM = d_values_BSM = d_keys_BSA = d_energy_A = None
        if tape is not None:
            d_context_GM = d_gates_TBG.flatten(0, 1).t() @ torch.stack(tape.contexts).flatten(0, 1)
            d_values_BSM, d_keys_BSA, d_energy_A = tape.gradients(hidden_TBH)
        d_query_AH = d_recurrent[gates:] if additive else None
        del ctx.tape, ctx.hiddens, ctx.cells, ctx.active  # else they would live as long as the loss
        d_attention = (d_context_GM, d_values_BSM, d_keys_BSA, d_query_AH, d_energy_A)
        return None, d_gates_TBG[:-1], d_hidden_BH, d_cell_BH, None, d_recurrent[:gates], *d_attention


def lstm(gates_BG: Tensor, cell_BH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One step of an LSTM: the gates, activated in place, the new cell, and the new hidden state."""
    units = cell_BH.shape[1]
    gates_BG[:, : 2 * units].sigmoid_()
    gates_BG[:, 2 * units : 3 * units].tanh_()
    gates_BG[:, 3 * units :].sigmoid_()
    input_BH, forget_BH, cell_gate_BH, output_BH = gates_BG.chunk(4, dim=1)
    cell_BH = torch.addcmul(input_BH * cell_gate_BH, forget_BH, cell_BH)
    return gates_BG, cell_BH, output_BH * cell_BH.tanh()


def lstm_backward(
    d_hidden_BH: Tensor, d_cell_BH: Tensor, active_BG: Tensor, before_BH: Tensor, cell_BH: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of the gates before activation, and of the cell before the step."""
    units = cell_BH.shape[1]
    input_BH, forget_BH, cell_gate_BH, output_BH = active_BG.chunk(4, dim=1)
    tanh_BH = cell_BH.tanh()
    d_cell_BH = torch.addcmul(d_cell_BH, d_hidden_BH * output_BH, 1 - tanh_BH.square())
    d_active = [d_cell_BH * cell_gate_BH, d_cell_BH * before_BH, d_cell_BH * input_BH, d_hidden_BH * tanh_BH]
    slope_BG = active_BG * (1 - active_BG)
    slope_BG[:, 2 * units : 3 * units] = 1 - cell_gate_BH.square()
    return torch.cat(d_active, dim=1).mul_(slope_BG), d_cell_BH * forget_BH
