"""Batches of padded token ids, bucketed by length.

Why: random batches of sentences are half padding, buckets of similar lengths have hardly any. A budget
of tokens instead of sentences keeps updates equally large.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seq2seq.data.tokens import TokenSplit
from seq2seq.data.vocabulary import BOS, EOS, PAD


class Batch(NamedTuple):
    """Padded pairs of one batch: B sentences, S source and T target positions."""

    source_BS: Tensor  # ends with eos
    source_lengths_B: Tensor  # real positions, eos included
    input_BT: Tensor  # of the decoder: bos y_1 .. y_n
    output_BT: Tensor  # its targets:   y_1 .. y_n eos
    tokens: int  # real output tokens, eos included; of the whole batch where ranks share it

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; copies to a GPU are asynchronous, from pinned memory."""

        def move(tensor: Tensor) -> Tensor:
            return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)

        return Batch(
            move(self.source_BS),
            move(self.source_lengths_B),
            move(self.input_BT),
            move(self.output_BT),
            self.tokens,
        )


def pad(sentences: list[list[int]]) -> Tensor:
    """Sentences as rows of one tensor (B, longest), filled with PAD."""
    rows = np.full((len(sentences), max(map(len, sentences))), PAD, np.int64)
    for row, sentence in zip(rows, sentences, strict=True):
        row[: len(sentence)] = sentence
    return torch.from_numpy(rows)


def source_batch(sentences: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Source ids (without eos) as (source_BS with eos, lengths_B)."""
    ended = [[*ids, EOS] for ids in sentences]
    return pad(ended), torch.tensor([len(ids) for ids in ended])


def collate(sources: list[list[int]], targets: list[list[int]]) -> Batch:
    """Pairs of ids (without bos and eos) as one batch."""
    source_BS, lengths_B = source_batch(sources)
    input_BT = pad([[BOS, *ids] for ids in targets])
    output_BT = pad([[*ids, EOS] for ids in targets])
    return Batch(source_BS, lengths_B, input_BT, output_BT, sum(len(ids) + 1 for ids in targets))


def plan_batches(
    source_lengths: npt.NDArray[np.int64],
    target_lengths: npt.NDArray[np.int64],
    batch_tokens: int,
    shuffle: np.random.Generator | None,
) -> list[npt.NDArray[np.int64]]:
    """Assign pairs to batches: indices, every pair exactly once.

    Pairs are sorted by target and then source length, and cut where another pair would lift the
    padded batch (source and target together, bos or eos included) above `batch_tokens`; a longer pair
    is a batch of its own. `shuffle` permutes pairs of equal lengths, and the batches.
    """
    count = len(source_lengths)
    order = np.arange(count) if shuffle is None else shuffle.permutation(count)
    order = order[np.lexsort((source_lengths[order], target_lengths[order]))]
    batches, begin, longest_source = [], 0, 0
    for position, index in enumerate(order):
        longest = max(longest_source, int(source_lengths[index]) + 1)
        cost = (position - begin + 1) * (longest + int(target_lengths[index]) + 1)
        if cost > batch_tokens and position > begin:
            batches.append(order[begin:position])
            begin, longest = position, int(source_lengths[index]) + 1
        longest_source = longest
    if count:
        batches.append(order[begin:])
    if shuffle is not None:
        shuffle.shuffle(batches)
    return batches


class Batches:
    """The batches of a split: `epoch(n)` is the same for the same seed, n and data.

    Pairs with a side longer than `max_tokens` or an empty side are left out; `skipped` counts them.
    With `shard` (rank, ranks) batches are planned as for one process, and this rank gets every
    ranks-th row, so that all ranks have sentences of similar lengths.
    """

    def __init__(
        self,
        split: TokenSplit,
        batch_tokens: int,
        max_tokens: int,
        seed: int,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self._split, self._batch_tokens, self._seed, self._shard = split, batch_tokens, seed, shard
        source, target = split.source_lengths, split.target_lengths
        fits = (np.maximum(source, target) <= max_tokens) & (np.minimum(source, target) > 0)
        self._kept = np.flatnonzero(fits)
        self.pairs = len(self._kept)
        self.skipped = len(split) - self.pairs

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Shuffled batches of an epoch (counted from 0), from batch `start` on."""
        return self._batches(np.random.default_rng([self._seed, number]), start)

    def in_order(self) -> Iterator[Batch]:
        """Batches by length, not shuffled: for validation."""
        return self._batches(None, 0)

    def _batches(self, shuffle: np.random.Generator | None, start: int) -> Iterator[Batch]:
        source = self._split.source_lengths[self._kept]
        target = self._split.target_lengths[self._kept]
        rank, ranks = self._shard
        for chosen in plan_batches(source, target, self._batch_tokens, shuffle)[start:]:
            mine = chosen[rank::ranks]
            # A rank without a row computes the first one with padding as output: loss and gradients are 0.
            indices = self._kept[mine if len(mine) else chosen[:1]]
            batch = collate(
                [self._split.source(i).tolist() for i in indices],
                [self._split.target(i).tolist() for i in indices],
            )
            if not len(mine):
                batch.output_BT.fill_(PAD)
            yield batch._replace(tokens=int((target[chosen] + 1).sum()))
