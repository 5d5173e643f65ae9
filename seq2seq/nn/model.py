"""The encoder-decoder: a bidirectional LSTM encoder, and an LSTM decoder with the attention of attention.py.

Why: this is the reference implementation, written to be read. Training and translation use faster
implementations of the same maths (fast_loss.py, fast_search.py), which tests compare with this one.

Tensors are named by their shape; a letter is always the same size:

    B  sentences of a batch       S  source positions       T  target positions
    V  pieces of the vocabulary   E  embedding              H  units of an LSTM (one direction)
    M  memory: 2 H, both directions of the encoder          A  keys: attention_size (dot, general: H)
    L  layers

The *memory* h_1..h_S are the encoder's states, one for each source position; the *query* d_{i-1} is
the decoder's last state; the *context* c_i is the mean of the memory, weighted by attention
(Sutskever et al. 2014, Bahdanau et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.data.vocabulary import PAD
from seq2seq.nn.attention import AttentionKind, Memory, build_attention


@dataclass(frozen=True)
class Config:
    """The architecture of a model; stored beside its weights."""

    vocabulary_size: int
    embedding_size: int
    hidden_size: int
    attention_size: int
    layers: int
    attention: AttentionKind
    dropout: float
    tie_embeddings: bool
    layer_norm: bool = False  # older folders lack this key


class State(NamedTuple):
    """The decoder's state between two words."""

    hidden_LBH: Tensor  # one row a layer; the last is d_{i-1}, the query
    cell_LBH: Tensor
    context_BM: Tensor  # c_i, attended to with d_{i-1}; (B, 0) without attention

    def rows(self, index_R: Tensor) -> State:
        """The states of some sentences, in the order of `index_R`."""
        return State(self.hidden_LBH[:, index_R], self.cell_LBH[:, index_R], self.context_BM[index_R])


class Encoder(nn.Module):
    """A bidirectional LSTM; the states of both directions, concatenated, are the memory.

    The backward LSTM reads each sentence reversed within its own length. Padding thus always comes last
    and never reaches a real position, without packed sequences: packing made the backward pass on a CPU
    take half as long again.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embedding = Embedding(config.vocabulary_size, config.embedding_size)
        sizes = [config.embedding_size] + [2 * config.hidden_size] * (config.layers - 1)
        self.forward_lstm = nn.ModuleList(lstm(size, config.hidden_size) for size in sizes)
        self.backward_lstm = nn.ModuleList(lstm(size, config.hidden_size) for size in sizes)
        # Without attention the memory is not used, and its norm would get no gradient.
        self.norm = nn.Identity() if config.attention == "none" else norm(config, 2 * config.hidden_size)
        self.first_hidden = nn.Linear(2 * config.hidden_size, config.hidden_size)
        self.first_cell = nn.Linear(2 * config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The memory values_BSM, d_0 = tanh(W [h_S forward; h_1 backward]) and its cell, both (L, B, H).

        `lengths_B` counts the real positions of each sentence, which come before its padding.
        """
        reversed_BS = reverse_within_length(lengths_B, source_BS.shape[1])
        row_B = torch.arange(len(lengths_B), device=source_BS.device)
        last = row_B, lengths_B - 1
        inputs = self.embedding(source_BS)
        final_states = []
        for forward_lstm, backward_lstm in zip(self.forward_lstm, self.backward_lstm, strict=True):
            inputs = self.dropout(inputs)
            forward_BSH, _ = forward_lstm(inputs)
            backward_BSH, _ = backward_lstm(inputs[row_B.unsqueeze(1), reversed_BS])
            final_states.append(torch.cat([forward_BSH[last], backward_BSH[last]], dim=-1))
            inputs = torch.cat([forward_BSH, backward_BSH[row_B.unsqueeze(1), reversed_BS]], dim=-1)
        final_LBM = torch.stack(final_states)
        return self.norm(inputs), torch.tanh(self.first_hidden(final_LBM)), self.first_cell(final_LBM)


def reverse_within_length(lengths_B: Tensor, positions: int) -> Tensor:
    """reversed_BS: the source position that is i-th when each sentence is reversed.

    Padding stays in place, so that reversing twice is the identity.
    """
    position_S = torch.arange(positions, device=lengths_B.device)
    from_end_BS = lengths_B.unsqueeze(1) - 1 - position_S
    return torch.where(from_end_BS >= 0, from_end_BS, position_S)


class Decoder(nn.Module):
    """An LSTM that generates the target: from y_{i-1} and, with attention, c_i it predicts y_i.

    y_i is predicted from d_i and c_{i+1}, the context of d_i, which unlike d_{i-1} depends on y_{i-1}
    (Luong et al. 2015, section 3.1). c_{i+1} is also an input of the next step: one attention a word.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = build_attention(config.attention, config.hidden_size, config.attention_size)
        context_size = 2 * config.hidden_size if self.attention else 0
        self.embedding = Embedding(config.vocabulary_size, config.embedding_size)
        sizes = [config.embedding_size + context_size] + [config.hidden_size] * (config.layers - 1)
        self.cells = nn.ModuleList(nn.LSTMCell(size, config.hidden_size) for size in sizes)
        self.readout = nn.Linear(config.hidden_size + context_size, config.embedding_size)
        self.norm = norm(config, config.embedding_size)
        self.vocabulary = nn.Linear(config.embedding_size, config.vocabulary_size)
        if config.tie_embeddings:
            self.vocabulary.weight = self.embedding.weight
        self.dropout = nn.Dropout(config.dropout)

    def initial_state(self, hidden_LBH: Tensor, cell_LBH: Tensor, memory: Memory) -> State:
        """The state before the first word: d_0 and its context c_1."""
        return State(hidden_LBH, cell_LBH, self.attend(hidden_LBH[-1], memory)[0])

    def step(self, embedded_BE: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor | None]:
        """One step: from embed(y_{i-1}) to [d_i; c_{i+1}], the new state, and the weights a_{i+1}."""
        inputs = torch.cat([embedded_BE, state.context_BM], dim=-1)
        hidden, cell = [], []
        for layer, lstm_cell in enumerate(self.cells):
            inputs = self.dropout(inputs) if layer else inputs
            inputs, cell_BH = lstm_cell(inputs, (state.hidden_LBH[layer], state.cell_LBH[layer]))
            hidden.append(inputs)
            cell.append(cell_BH)
        d_BH = hidden[-1]
        context_BM, weights_BS = self.attend(d_BH, memory)
        state = State(torch.stack(hidden), torch.stack(cell), context_BM)
        return torch.cat([d_BH, context_BM], dim=-1), state, weights_BS

    def attend(self, d_BH: Tensor, memory: Memory) -> tuple[Tensor, Tensor | None]:
        """The context c_{i+1} and weights a_{i+1} of d_i; without attention (B, 0) and None."""
        if self.attention is None:
            return d_BH[:, :0], None
        context_BM, weights_BS = self.attention(d_BH, memory)
        return context_BM, weights_BS

    def logits(self, output: Tensor) -> Tensor:
        """Scores of every piece of the vocabulary (..., V) from [d_i; c_{i+1}] (..., H or H + M)."""
        readout = torch.tanh(self.norm(self.readout(self.dropout(output))))
        logits: Tensor = self.vocabulary(self.dropout(readout))
        return logits

    def forward(self, input_BT: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing: logits_BTV for the inputs `input_BT`, and the weights_BTS."""
        embedded_BTE = self.dropout(self.embedding(input_BT))
        outputs, weights = [], []
        for embedded_BE in embedded_BTE.unbind(dim=1):
            output, state, weights_BS = self.step(embedded_BE, state, memory)
            outputs.append(output)
            weights.append(weights_BS)
        # The readout and the output layer need no loop: one large product each.
        logits_BTV = self.logits(torch.stack(outputs, dim=1))
        if self.attention is None:
            return logits_BTV, None
        return logits_BTV, torch.stack([a_BS for a_BS in weights if a_BS is not None], dim=1)


class Seq2Seq(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def encode(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Memory, State]:
        """Encode the source: the memory for every step, and the decoder's first state."""
        memory, hidden_LBH, cell_LBH = self.encode_source(source_BS, lengths_B)
        return memory, self.decoder.initial_state(hidden_LBH, cell_LBH, memory)

    def encode_source(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Memory, Tensor, Tensor]:
        """The memory, and d_0 and its cell (L, B, H)."""
        values_BSM, hidden_LBH, cell_LBH = self.encoder(source_BS, lengths_B)
        attend = self.decoder.attention
        keys_BSA = attend.keys(values_BSM) if attend else values_BSM
        return Memory(values_BSM, keys_BSA, source_BS != PAD), hidden_LBH, cell_LBH

    def forward(self, source_BS: Tensor, lengths_B: Tensor, input_BT: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits_BTV of the word after each of `input_BT`, and the attention weights_BTS."""
        memory, state = self.encode(source_BS, lengths_B)
        logits_BTV, weights_BTS = self.decoder(input_BT, state, memory)
        return logits_BTV, weights_BTS


def norm(config: Config, size: int) -> nn.Module:
    """Layer normalisation (Ba et al. 2016) of vectors of a size, if the config has it; else the identity."""
    return nn.LayerNorm(size) if config.layer_norm else nn.Identity()


def lstm(inputs: int, units: int) -> nn.LSTM:
    """One layer, one direction: (B, S, inputs) to (B, S, units)."""
    return nn.LSTM(inputs, units, batch_first=True)


class Embedding(nn.Embedding):
    """Embeddings of deviation 1/sqrt(E), for use as output layer, scaled by sqrt(E) when used as input.

    Vaswani et al. 2017, section 3.4. Without the scale the LSTM's other inputs dominate, and attention takes
    several times as many updates to learn an alignment.
    """

    def __init__(self, pieces: int, size: int) -> None:
        super().__init__(pieces, size, padding_idx=PAD)
        nn.init.normal_(self.weight, std=size**-0.5)
        with torch.no_grad():
            self.weight[PAD].zero_()

    def forward(self, ids: Tensor) -> Tensor:
        """(...) to (..., E)."""
        embedded: Tensor = super().forward(ids) * self.embedding_dim**0.5
        return embedded
