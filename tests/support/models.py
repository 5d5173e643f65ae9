"""Tiny models in double precision, untrained and trained a little, and sentences for them."""

import functools

import torch

from seq2seq.nn.batches import collate
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.training.loss import cross_entropy

KINDS = ["additive", "dot", "general", "none"]
SOURCES = [[7, 8, 9], [5], [6, 5, 4, 9, 10, 11, 7], [12, 4], [13, 14, 15, 4, 4]]
TARGETS = [[8, 7], [9, 10, 4, 5, 6, 7], [5], [11, 12, 4], [6, 6, 14, 15]]


def build(attention="additive", layers=1, dropout=0.0, tie=True, layer_norm=False) -> Seq2Seq:
    torch.manual_seed(3)
    config = Config(
        vocabulary_size=16,
        embedding_size=10,
        hidden_size=12,
        attention_size=7,
        layers=layers,
        attention=attention,
        dropout=dropout,
        tie_embeddings=tie,
        layer_norm=layer_norm,
    )
    return Seq2Seq(config).double()


def loss(model, batch) -> torch.Tensor:
    logits_BTV, _ = model(batch.source_BS, batch.source_lengths_B, batch.input_BT)
    return cross_entropy(logits_BTV, batch.output_BT, 0.1)


@functools.cache
def trained(attention="additive"):
    """Trained a little, to end its sentences; in double precision, to avoid ties by rounding."""
    built = build(attention, layers=2)
    optimizer = torch.optim.Adam(built.parameters(), lr=0.02)
    batch = collate(SOURCES, TARGETS)
    for _ in range(25):
        optimizer.zero_grad()
        loss(built, batch).backward()
        optimizer.step()
    return built.eval()
