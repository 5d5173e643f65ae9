"""The translator of many tutorials, twice: in its usual form, and without its two slowest parts.

Why: this common implementation is the baseline of speed. Both forms are plain autograd over a loop of
`nn.LSTMCell`, on random batches. Tensors are named as in seq2seq/nn/model.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq.data.vocabulary import PAD
from seq2seq.nn.batches import Batch
from seq2seq.nn.model import Config


class Tutorial(nn.Module, ABC):
    """Common parts: a packed bidirectional LSTM, d_0 from its last states, and the decoder's loop."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        pieces, embedding, units = config.vocabulary_size, config.embedding_size, config.hidden_size
        self.source_embedding = nn.Embedding(pieces, embedding, padding_idx=PAD)
        self.target_embedding = nn.Embedding(pieces, embedding, padding_idx=PAD)
        self.encoder = nn.LSTM(embedding, units, batch_first=True, bidirectional=True)
        self.first_hidden = nn.Linear(2 * units, units)
        self.first_cell = nn.Linear(2 * units, units)
        self.energy = nn.Linear(config.attention_size, 1, bias=False)
        self.cell = nn.LSTMCell(embedding + 2 * units, units)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, batch: Batch) -> Tensor:
        """logits_BTV by teacher forcing, word after word."""
        mask_BS = batch.source_BS != PAD
        values_BSM, d_BH, cell_BH = self.encode(batch.source_BS, batch.source_lengths_B)
        keys = self.keys(values_BSM)
        logits = []
        for word_B in batch.input_BT.unbind(dim=1):
            embedded_BE = self.dropout(self.target_embedding(word_B))
            scores_BS = self.score(d_BH, keys).masked_fill(~mask_BS, -torch.inf)
            context_BM = torch.bmm(scores_BS.softmax(dim=-1).unsqueeze(1), values_BSM).squeeze(1)
            d_BH, cell_BH = self.cell(torch.cat([embedded_BE, context_BM], dim=-1), (d_BH, cell_BH))
            logits.append(self.logits(embedded_BE, d_BH, context_BM))
        return torch.stack(logits, dim=1)

    def encode(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The memory values_BSM, and the decoder's first state."""
        embedded_BSE = self.dropout(self.source_embedding(source_BS))
        packed = pack_padded_sequence(embedded_BSE, lengths_B, batch_first=True, enforce_sorted=False)
        outputs, (hidden_2BH, cell_2BH) = self.encoder(packed)
        values_BSM, _ = pad_packed_sequence(outputs, batch_first=True)
        d_BH = torch.tanh(self.first_hidden(torch.cat(tuple(hidden_2BH), dim=-1)))
        return values_BSM, d_BH, self.first_cell(torch.cat(tuple(cell_2BH), dim=-1))

    @abstractmethod
    def keys(self, values_BSM: Tensor) -> Tensor:
        """The part of the scores that is computed once per sentence."""

    @abstractmethod
    def score(self, query_BH: Tensor, keys: Tensor) -> Tensor:
        """scores_BS of a query."""

    @abstractmethod
    def logits(self, embedded_BE: Tensor, d_BH: Tensor, context_BM: Tensor) -> Tensor:
        """logits_BV of the next word."""


class Naive(Tutorial):
    """One layer over [d; h] for every pair of positions; the output layer takes [y; d; c]."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        units = config.hidden_size
        self.attention = nn.Linear(3 * units, config.attention_size)
        self.vocabulary = nn.Linear(config.embedding_size + 3 * units, config.vocabulary_size)

    def keys(self, values_BSM: Tensor) -> Tensor:
        """The memory."""
        return values_BSM

    def score(self, query_BH: Tensor, keys: Tensor) -> Tensor:
        """v . tanh(W [d; h]): W is applied to all of the memory again at every word."""
        query_BSH = query_BH.unsqueeze(1).expand(-1, keys.shape[1], -1)
        scores_BS1: Tensor = self.energy(torch.tanh(self.attention(torch.cat([query_BSH, keys], dim=-1))))
        return scores_BS1.squeeze(-1)

    def logits(self, embedded_BE: Tensor, d_BH: Tensor, context_BM: Tensor) -> Tensor:
        """Linear([y; d; c])."""
        logits_BV: Tensor = self.vocabulary(torch.cat([embedded_BE, d_BH, context_BM], dim=-1))
        return logits_BV


class Hoisted(Tutorial):
    """As large as seq2seq/nn/model.py: keys once per sentence, and a bottleneck before the vocabulary."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        units, embedding = config.hidden_size, config.embedding_size
        self.query = nn.Linear(units, config.attention_size, bias=False)
        self.key = nn.Linear(2 * units, config.attention_size)
        self.readout = nn.Linear(3 * units, embedding)
        self.vocabulary = nn.Linear(embedding, config.vocabulary_size)

    def keys(self, values_BSM: Tensor) -> Tensor:
        """U h."""
        keys_BSA: Tensor = self.key(values_BSM)
        return keys_BSA

    def score(self, query_BH: Tensor, keys: Tensor) -> Tensor:
        """v . tanh(W d + U h)."""
        scores_BS1: Tensor = self.energy(torch.tanh(self.query(query_BH).unsqueeze(1) + keys))
        return scores_BS1.squeeze(-1)

    def logits(self, embedded_BE: Tensor, d_BH: Tensor, context_BM: Tensor) -> Tensor:
        """Linear(tanh(Linear([d; c])))."""
        output = self.dropout(torch.cat([d_BH, context_BM], dim=-1))
        logits_BV: Tensor = self.vocabulary(self.dropout(torch.tanh(self.readout(output))))
        return logits_BV
