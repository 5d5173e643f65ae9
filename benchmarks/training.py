"""The contestants in training: one model, one loss, one stream of batches, one update a step.

Why: all do a whole update (batching, forward, backward, clipping, Adam) in the same setting, and differ in
the fields of `Contestant`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import setting, tutorial
from seq2seq.common.memory import keep_freed_memory
from seq2seq.data.tokens import TokenSplit
from seq2seq.nn.batches import Batch, Batches, collate
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.nn.precision import choose_precision
from seq2seq.training.fast_loss import summed_loss
from seq2seq.training.loss import cross_entropy

Loss = Callable[[nn.Module, Batch], Tensor]  # summed over the real tokens of a batch, in nats
CPU = torch.device("cpu")
MAX_TOKENS = 200  # a side; longer pairs are left out


class Contestant(NamedTuple):
    """The parts in which contestants differ."""

    model: Callable[[Config], nn.Module]
    loss: Loss
    buckets: bool  # batches of similar lengths; else random ones
    tuned: bool = False  # as seq2seq/training/trainer.py: fused Adam, freed memory kept


def tutorial_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The loss of either tutorial."""
    return cross_entropy(model(batch), batch.output_BT, setting.SMOOTHING)


def reference_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The loss of seq2seq/nn/model.py, by autograd."""
    logits_BTV, _ = model(batch.source_BS, batch.source_lengths_B, batch.input_BT)
    return cross_entropy(logits_BTV, batch.output_BT, setting.SMOOTHING)


def fast_loss(name: str) -> Loss:
    """The loss of seq2seq/training/fast_loss.py, in one of PRECISIONS."""

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(model, Seq2Seq)
        return summed_loss(model, batch, setting.SMOOTHING, choose_precision(name, CPU))

    return loss


CONTESTANTS = {
    setting.NAIVE: Contestant(tutorial.Naive, tutorial_loss, buckets=False),
    setting.HOISTED: Contestant(tutorial.Hoisted, tutorial_loss, buckets=False),
    setting.REFERENCE: Contestant(Seq2Seq, reference_loss, buckets=True),
    setting.FAST: Contestant(Seq2Seq, fast_loss("fp32"), buckets=True, tuned=True),
    setting.FAST_BF16: Contestant(Seq2Seq, fast_loss("bf16"), buckets=True, tuned=True),
}


class Loop:
    """A contestant in training; `loss` is that of its last step, in nats a token."""

    def __init__(self, contestant: Contestant, config: Config, batches: Iterator[Batch]) -> None:
        torch.manual_seed(setting.SEED)
        self.model = contestant.model(config).train()
        self.loss = float("nan")
        self.parameters = sum(p.numel() for p in self.model.parameters())
        self._summed_loss, self._batches = contestant.loss, batches
        self._optimizer = torch.optim.Adam(
            self.model.parameters(), lr=setting.LEARNING_RATE, fused=contestant.tuned
        )

    def step(self) -> int:
        """One update; returns its real target tokens, eos included."""
        batch = next(self._batches)
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._summed_loss(self.model, batch) / batch.tokens
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), setting.CLIP_NORM)
        self._optimizer.step()
        self.loss = loss.item()
        return batch.tokens


def loop(name: str, tokens: Path, vocabulary_size: int) -> Loop:
    """The contestant of that name on the training split below `tokens`."""
    contestant = CONTESTANTS[name]
    if contestant.tuned:
        keep_freed_memory()
    split = TokenSplit(tokens, "train")
    batches = bucketed(split) if contestant.buckets else random_batches(split, setting.SENTENCES)
    return Loop(contestant, setting.config(vocabulary_size), batches)


def random_batches(split: TokenSplit, sentences: int) -> Iterator[Batch]:
    """Batches of so many pairs in random order, without end."""
    random = np.random.default_rng(setting.SEED)
    while True:
        order = random.permutation(len(split))
        for begin in range(0, len(order) - sentences + 1, sentences):
            chosen = order[begin : begin + sentences]
            yield collate(
                [split.source(i).tolist() for i in chosen], [split.target(i).tolist() for i in chosen]
            )


def bucketed(split: TokenSplit) -> Iterator[Batch]:
    """Batches of similar lengths, without end."""
    batches = Batches(split, batch_tokens(split), MAX_TOKENS, setting.SEED)
    for epoch in count():
        yield from batches.epoch(epoch)


def batch_tokens(split: TokenSplit) -> int:
    """The budget of tokens for SENTENCES pairs a batch on average."""
    return round(setting.SENTENCES * float(np.mean(split.source_lengths + split.target_lengths + 2)))
