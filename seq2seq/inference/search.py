"""Search for the best translation under a model: greedy and beam.

Why: the model gives a probability to every target; finding a likely one is a problem of its own. This is
the reference implementation, written to be read; tests compare the hypotheses of fast_search.py with its.

Tensors are named as in model.py; besides, K is the beam size: hypotheses kept per sentence.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq.data.vocabulary import BOS, EOS, PAD, UNK
from seq2seq.inference.hypothesis import Hypothesis
from seq2seq.nn.attention import Memory
from seq2seq.nn.model import Seq2Seq, State

FORBIDDEN = [PAD, BOS, UNK]  # byte pieces encode characters without a piece


@torch.inference_mode()
def greedy(model: Seq2Seq, source_BS: Tensor, lengths_B: Tensor, max_length: int) -> list[Hypothesis]:
    """The likeliest word at every step, until eos or `max_length` words."""
    memory, state = model.encode(source_BS, lengths_B)
    count = source_BS.shape[0]
    word_B = source_BS.new_full((count,), BOS)
    ids: list[list[int]] = [[] for _ in range(count)]
    scores = [0.0] * count
    ended = [False] * count
    for _ in range(max_length):
        logs_BV, state = _next_words(model, word_B, state, memory)
        best_B, word_B = logs_BV.max(dim=-1)
        for row, (word, log) in enumerate(zip(word_B.tolist(), best_B.tolist(), strict=True)):
            if ended[row]:
                continue
            scores[row] += log
            if word == EOS:
                ended[row] = True
            else:
                ids[row].append(word)
        if all(ended):
            break
    return [Hypothesis(*found) for found in zip(ids, scores, ended, strict=True)]


@torch.inference_mode()
def beam_search(
    model: Seq2Seq,
    source_BS: Tensor,
    lengths_B: Tensor,
    beam: int,
    length_penalty: float,
    max_length: int,
) -> list[Hypothesis]:
    """The best hypothesis of beam search (Graves 2012; length penalty as in `Hypothesis`).

    At every step each sentence keeps its K likeliest unfinished hypotheses; those of its K best
    continuations that end with eos are finished. A sentence leaves the batch with K finished hypotheses.
    At `max_length` the best unfinished one counts only if none is finished.
    """
    memory, state = model.encode(source_BS, lengths_B)
    count = source_BS.shape[0]
    device = source_BS.device
    memory = Memory(*(part.repeat_interleave(beam, dim=0) for part in memory))
    state = state.rows(torch.arange(count, device=device).repeat_interleave(beam))
    active = list(range(count))  # the sentence of each K rows
    finished: list[list[Hypothesis]] = [[] for _ in range(count)]
    ids_NKT = torch.empty((count, beam, 0), dtype=torch.long, device=device)
    word_R = torch.full((count * beam,), BOS, dtype=torch.long, device=device)
    # At first all K hypotheses of a sentence are the same: all but one get probability 0.
    logs_NK = torch.full((count, beam), -torch.inf, device=device)
    logs_NK[:, 0] = 0.0

    for length in range(max_length):
        logs_RV, state = _next_words(model, word_R, state, memory)
        pieces = logs_RV.shape[-1]
        total_NKV = logs_NK.unsqueeze(-1) + logs_RV.view(len(active), beam, pieces)
        # 2 K candidates: even if K of them end with eos, K others continue.
        best_NC, candidate_NC = total_NKV.flatten(1).topk(min(2 * beam, beam * pieces), dim=-1)
        parent_NC, word_NC = candidate_NC // pieces, candidate_NC % pieces

        unfinished: list[int] = []
        is_eos = (word_NC[:, :beam] == EOS) & best_NC[:, :beam].isfinite()
        for n, rank in is_eos.nonzero().tolist():
            history = ids_NKT[n, parent_NC[n, rank]].tolist()
            finished[active[n]].append(Hypothesis(history, best_NC[n, rank].item(), ended=True))
        for n, sentence in enumerate(active):
            if len(finished[sentence]) < beam:
                unfinished.append(n)
        if not unfinished:
            active = []
            break

        continuing_NC = best_NC.masked_fill(word_NC == EOS, -torch.inf)
        rows = torch.tensor(unfinished, device=device)
        logs_NK, choice_NK = continuing_NC[rows].topk(beam, dim=-1)
        parent_NK = parent_NC[rows].gather(1, choice_NK)
        word_NK = word_NC[rows].gather(1, choice_NK)
        history_NKT = ids_NKT[rows].gather(1, parent_NK.unsqueeze(-1).expand(-1, -1, length))
        ids_NKT = torch.cat([history_NKT, word_NK.unsqueeze(-1)], dim=-1)
        word_R = word_NK.flatten()
        row_R = (rows.unsqueeze(1) * beam + parent_NK).flatten()
        state = state.rows(row_R)
        if len(unfinished) < len(active):  # the memory is the same for all hypotheses of a sentence
            active = [active[n] for n in unfinished]
            memory = Memory(*(part.index_select(0, row_R) for part in memory))

    for n, sentence in enumerate(active):
        if not finished[sentence]:
            cut = Hypothesis(ids_NKT[n, 0].tolist(), logs_NK[n, 0].item(), ended=False)
            finished[sentence].append(cut)
    return [max(found, key=lambda h: h.score(length_penalty)) for found in finished]


def _next_words(model: Seq2Seq, word_B: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
    """Log-probabilities (B, V) of the word after `word_B`, and the new state."""
    embedded_BE = model.decoder.embedding(word_B)
    output, state, _ = model.decoder.step(embedded_BE, state, memory)
    logs_BV = torch.log_softmax(model.decoder.logits(output), dim=-1)
    logs_BV[:, FORBIDDEN] = -torch.inf
    return logs_BV, state


@torch.inference_mode()
def force_decode(
    model: Seq2Seq, source_BS: Tensor, lengths_B: Tensor, input_BT: Tensor, output_BT: Tensor
) -> tuple[Tensor, Tensor | None]:
    """The log-probabilities of given targets, and the attention weights.

    Returns the summed log-probabilities (B) over real positions of output_BT, and weights_BTS.
    """
    logits_BTV, weights_BTS = model(source_BS, lengths_B, input_BT)
    logs_BTV = torch.log_softmax(logits_BTV, dim=-1)
    logs_BT = logs_BTV.gather(-1, output_BT.unsqueeze(-1)).squeeze(-1)
    return logs_BT.masked_fill(output_BT == PAD, 0.0).sum(dim=1), weights_BTS
