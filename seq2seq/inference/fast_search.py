"""The search of search.py, faster: the same hypotheses with the prepared model of fast_model.py.

Why: the reference sorts all continuations of all sentences at every step. Here the best ones are searched for
in the best blocks of the vocabulary only, and sentences with enough hypotheses leave the batch.

Tensors are named as in fast_model.py.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seq2seq.common.errors import UserError
from seq2seq.data.vocabulary import BOS, EOS
from seq2seq.inference.fast_model import BLOCK, FastModel, Memory
from seq2seq.inference.hypothesis import ENDED_SHARE, NO_NUMBERS, Hypothesis, backtrace


def topk(total_NX: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """torch.topk along rows of whole blocks: the best of a row are in its best blocks."""
    blocks_NYB = total_NX.view(len(total_NX), -1, BLOCK)
    _, block_NC = blocks_NYB.amax(dim=2).topk(min(count, blocks_NYB.shape[1]))
    best_NCB = blocks_NYB.gather(1, block_NC.unsqueeze(2).expand(-1, -1, BLOCK))
    best_NC, position_NC = best_NCB.flatten(1).topk(min(count, total_NX.shape[1]))
    return best_NC, block_NC.gather(1, position_NC // BLOCK) * BLOCK + position_NC % BLOCK


def beam_search(
    fast: FastModel,
    source_BS: Tensor,
    lengths_B: Tensor,
    beam: int,
    length_penalty: float,
    max_length: int,
) -> list[Hypothesis]:
    """The hypotheses of search.beam_search; with a beam of 1, those of search.greedy.

    Raises UserError if the model's scores are no numbers.
    """
    found = n_best(fast, source_BS, lengths_B, beam, length_penalty, max_length)
    return [hypotheses[0] for hypotheses in found]


@torch.inference_mode()
def n_best(
    fast: FastModel,
    source_BS: Tensor,
    lengths_B: Tensor,
    beam: int,
    length_penalty: float,
    max_length: int,
) -> list[list[Hypothesis]]:
    """All hypotheses of `beam_search` for each sentence, the best first: at least one, about `beam`."""
    if beam == 1:
        return [[hypothesis] for hypothesis in _greedy(fast, source_BS, lengths_B, max_length)]
    memory, state = fast.encode(source_BS, lengths_B, beam)
    active = list(range(len(source_BS)))  # the sentence of each K rows
    finished: list[list[Hypothesis]] = [[] for _ in active]
    back_pointers: list[tuple[list[int], list[int]]] = []  # a step: of each row, its previous row and word
    word_R = torch.full_like(lengths_B, BOS)
    logs_NK = torch.zeros((len(active), 1), dtype=fast.dtype, device=source_BS.device)  # at first K is 1

    for _ in range(max_length):
        logs_RV, state = fast.step(word_R, state, memory)
        width, pieces = logs_NK.shape[1], logs_RV.shape[1]
        total_NX = logs_RV.add_(logs_NK.view(-1, 1)).view(len(active), -1)
        # 2 K candidates: even if K of them end with eos, K others continue.
        best_NC, candidate_NC = topk(total_NX, 2 * beam)
        parent_NC, word_NC = candidate_NC // pieces, candidate_NC % pieces

        is_eos = (word_NC[:, :beam] == EOS) & best_NC[:, :beam].isfinite()
        n_F, rank_F = is_eos.nonzero(as_tuple=True)
        ends = zip(*(x.tolist() for x in (n_F, parent_NC[n_F, rank_F], best_NC[n_F, rank_F])), strict=True)
        for n, parent, log in ends:
            ids = backtrace(back_pointers, n * width + parent)
            finished[active[n]].append(Hypothesis(ids, log, ended=True))
        unfinished = [n for n, sentence in enumerate(active) if len(finished[sentence]) < beam]
        if not unfinished:
            active = []
            break

        rows = torch.tensor(unfinished, device=source_BS.device)
        continuing_NC = best_NC.masked_fill(word_NC == EOS, -torch.inf)[rows]
        logs_NK, choice_NK = continuing_NC.topk(min(beam, continuing_NC.shape[1]))
        row_R = (rows.unsqueeze(1) * width + parent_NC[rows].gather(1, choice_NK)).flatten()
        word_R = word_NC[rows].gather(1, choice_NK).flatten()
        back_pointers.append((row_R.tolist(), word_R.tolist()))
        state = state.rows(row_R)
        if len(unfinished) < len(active):
            active = [active[n] for n in unfinished]
            if memory is not None:
                memory = Memory(*(part.index_select(0, rows) for part in memory))

    if active and logs_NK.isnan().any():  # such hypotheses never end with eos
        raise UserError(NO_NUMBERS)
    for n, sentence in enumerate(active):
        if not finished[sentence]:
            ids = backtrace(back_pointers, n * logs_NK.shape[1])
            finished[sentence].append(Hypothesis(ids, logs_NK[n, 0].item(), ended=False))
    return [sorted(found, key=lambda h: h.score(length_penalty), reverse=True) for found in finished]


def _greedy(fast: FastModel, source_BS: Tensor, lengths_B: Tensor, max_length: int) -> list[Hypothesis]:
    """The hypotheses of search.greedy; ended sentences are removed once they are ENDED_SHARE of the batch."""
    memory, state = fast.encode(source_BS, lengths_B, beam=1)
    ids: list[list[int]] = [[] for _ in range(len(source_BS))]
    logs, ended = [0.0] * len(ids), [False] * len(ids)
    active = list(range(len(ids)))  # the sentence of each row
    word_R = torch.full_like(lengths_B, BOS)
    for _ in range(max_length):
        logs_RV, state = fast.step(word_R, state, memory)
        best_R1, word_R1 = topk(logs_RV, 1)
        word_R = word_R1.squeeze(1)
        for n, word, log in zip(active, word_R.tolist(), best_R1.squeeze(1).tolist(), strict=True):
            if ended[n]:
                continue
            logs[n] += log
            if word == EOS:
                ended[n] = True
            else:
                ids[n].append(word)
        active_rows = [row for row, n in enumerate(active) if not ended[n]]
        if not active_rows:
            break
        if len(active) - len(active_rows) >= ENDED_SHARE * len(active):
            active = [active[row] for row in active_rows]
            row_R = torch.tensor(active_rows, device=word_R.device)
            word_R, state = word_R.index_select(0, row_R), state.rows(row_R)
            if memory is not None:
                memory = Memory(*(part.index_select(0, row_R) for part in memory))
    if any(math.isnan(log) for log in logs):
        raise UserError(NO_NUMBERS)
    return [Hypothesis(*found) for found in zip(ids, logs, ended, strict=True)]
