"""Scores of pairs by forced decoding: the mean log-probability of the target's tokens given the source.

Why: scoring a corpus takes as many products as a third of an epoch of training, so it uses training's fast
path, and computes the logits of a batch for some rows at a time. Tests compare it with search.force_decode.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seq2seq.data.scores import SCORE, Values
from seq2seq.data.vocabulary import PAD, Vocabulary
from seq2seq.nn import model_folder
from seq2seq.nn.batches import Batch, collate, plan_batches
from seq2seq.nn.model import Seq2Seq
from seq2seq.nn.precision import Precision
from seq2seq.training import fast_loss
from seq2seq.training.loss import ROWS

BATCH_TOKENS = 8192  # padded tokens of source and target in one batch
LONGEST = 500  # tokens of a side: longer pairs get no score


class PairScorer:
    """A model and its vocabulary, which need not be those of the run."""

    def __init__(self, model: Seq2Seq, vocabulary: Vocabulary, device: torch.device) -> None:
        self.model, self.vocabulary, self.device = model.eval().to(device), vocabulary, device

    @classmethod
    def from_folder(cls, folder: Path, device: torch.device) -> PairScorer:
        """Load a model folder; raises UserError if it is incomplete or of another format."""
        return cls(model_folder.load(folder), Vocabulary.load(folder), device)

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> Values:
        """The score of each pair, in order; NaN if a side has no token or more than LONGEST."""
        ids = self.vocabulary.encode_all([*sources]), self.vocabulary.encode_all([*targets], "target")
        lengths = [np.array([*map(len, side)], np.int64) for side in ids]
        fits = (np.maximum(*lengths) <= LONGEST) & (np.minimum(*lengths) > 0)
        rows = np.flatnonzero(fits)
        scores = np.full(len(fits), np.nan, SCORE)
        for chosen in plan_batches(lengths[0][rows], lengths[1][rows], BATCH_TOKENS, None):
            places = rows[chosen]
            batch = collate(*([side[row] for row in places] for side in ids)).to(self.device)
            sums_B = log_probabilities(self.model, batch).cpu().numpy()
            scores[places] = sums_B / (lengths[1][places] + 1)
        return scores


@torch.no_grad()
def log_probabilities(model: Seq2Seq, batch: Batch) -> Tensor:
    """The summed log-probability of each target of a batch (B), `</s>` included."""
    decoder = model.decoder
    memory, hidden_LBH, cell_LBH = model.encode_source(batch.source_BS, batch.source_lengths_B)
    if len(decoder.cells) == 1:
        sides = (decoder, batch.input_BT, hidden_LBH[0], cell_LBH[0], memory)
        output_BTO = fast_loss.outputs(*sides, Precision(decoder.readout.weight.dtype))
    else:
        state, steps = decoder.initial_state(hidden_LBH, cell_LBH, memory), []
        for embedded_BE in decoder.embedding(batch.input_BT).unbind(dim=1):
            output, state, _ = decoder.step(embedded_BE, state, memory)
            steps.append(output)
        output_BTO = torch.stack(steps, dim=1)
    output_NO, right_N = output_BTO.flatten(0, 1), batch.output_BT.flatten()
    size = ROWS[right_N.device.type]
    logs = []
    for begin in range(0, len(right_N), size):
        right_N1 = right_N[begin : begin + size].unsqueeze(1)
        logits_NV = decoder.logits(output_NO[begin : begin + size])
        logs.append(logits_NV.gather(1, right_N1).squeeze(1) - logits_NV.logsumexp(dim=1))
    logs_BT = torch.cat(logs).view_as(batch.output_BT)
    return logs_BT.masked_fill(batch.output_BT == PAD, 0.0).sum(dim=1)
