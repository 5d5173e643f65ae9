"""The search of search.py, sooner: the same hypotheses from weights laid out for searching.

Why: search.py computes at every step what changes only with the sentence, or never. Here

- what a word says to the gates is looked up in a table, made once per model;
- what a source position says through the context, to the gates and to the readout, is one product per
  sentence, W c = sum_j a_j (W h_j), and all hypotheses of a sentence read the same W h_j; not for many
  sentences with one hypothesis each: there are about as many c as h_j then, and c is shorter than W h;
- on a CPU the encoder reads a few sentences of like lengths at a time, so that hardly any padding is read;
- the best of all continuations are looked for in the best blocks of the vocabulary only;
- weights are laid out once for the processor; products run in bfloat16 if asked, while the cell, the
  attention, the softmaxes and the scores stay in float32.

Tensors are named as in search.py; besides, N are the sentences in hand, each with K hypotheses, which
makes R = N K rows; G = 4 H are the gates of an LSTM, P = G + E what a context says.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq.common.errors import UserError
from seq2seq.data.vocabulary import BOS, EOS, PAD
from seq2seq.inference.search import NEVER, Hypothesis
from seq2seq.nn.model import AdditiveAttention, Seq2Seq
from seq2seq.nn.precision import Precision, has_products

BLOCK = 64  # pieces of the vocabulary
TOGETHER = 16  # sentences that the encoder reads at once on a CPU, as quickly as more
GONE = 1 / 8  # of greedy search's sentences have ended when they leave the batch
SINGLE = Precision(torch.float32)
NO_NUMBERS = "the model's scores are no numbers: its weights are damaged, or were never trained"


class Memory(NamedTuple):
    """What the steps read of the source, once per sentence."""

    values_NSP: Tensor  # W h_j, for the gates and the readout; or h_j itself: see FastModel.encode
    keys_NSA: Tensor
    padding_N1S: Tensor  # True at padding, for all hypotheses


class State(NamedTuple):
    """The hypotheses between two words: a tensor a layer."""

    heard: list[Tensor]  # (R, G): what d_i and, in the first layer, c_{i+1} say to the next gates
    cell: list[Tensor]  # (R, H)

    def rows(self, index_R: Tensor) -> State:
        """The states of some hypotheses, in the order of `index_R`."""
        return State(*([part.index_select(0, index_R) for part in parts] for parts in self))


class FastModel:
    """A model in eval mode as the search reads it; made anew when its weights change.

    `precision` is that of products with a weight: of the model's own type (float32, float64) or bfloat16.
    """

    @torch.no_grad()
    def __init__(self, model: Seq2Seq, precision: Precision = SINGLE) -> None:
        self.model, self.precision, self.exact = model, precision, precision.wide
        self._rounded: dict[int, Tensor] = {}  # parameters of the encoder, where bfloat16 is emulated
        decoder, attend = model.decoder, model.decoder.attention
        first, *upper = cells = cast("list[nn.LSTMCell]", list(decoder.cells))
        pieces, embedding = decoder.embedding.weight.shape
        units = first.hidden_size
        # The vocabulary is filled up to whole blocks, with what is never said.
        filling = -pieces % BLOCK
        every_V = torch.arange(pieces, device=first.weight_ih.device)
        words_VG = F.linear(decoder.embedding(every_V), first.weight_ih[:, :embedding])
        self.words_VG = F.pad(words_VG + first.bias_ih + first.bias_hh, (0, 0, 0, filling))
        vocabulary_VE = F.pad(decoder.vocabulary.weight, (0, 0, 0, filling))
        bias_V = F.pad(decoder.vocabulary.bias, (0, filling), value=-torch.inf)
        self.vocabulary = Product(vocabulary_VE, bias_V, precision)
        self.upper = [Product(c.weight_ih, c.bias_ih + c.bias_hh, precision) for c in upper]
        recurrent = [cell.weight_hh for cell in cells]
        self.additive = isinstance(attend, AdditiveAttention)
        # The last state is multiplied once, for the next gates, the query and the readout.
        last = [recurrent.pop()]
        if isinstance(attend, AdditiveAttention):
            last.append(2 * attend.query.weight)  # why twice: see _attend
            self.energy_1A = 2 * attend.energy.weight
        last.append(decoder.readout.weight[:, :units])
        self.embedding = embedding
        last_bias = F.pad(decoder.readout.bias, (sum(map(len, last)) - embedding, 0))
        self.never = torch.tensor(NEVER, device=every_V.device)
        self.recurrent = [Product(weight, None, precision) for weight in recurrent]
        self.recurrent.append(Product(torch.cat(last), last_bias, precision))
        if attend is not None:
            from_context = torch.cat([first.weight_ih[:, embedding:], decoder.readout.weight[:, units:]])
            self.context = Product(from_context, None, precision)
            self.reach = len(from_context)  # P, which is more than M

    def encode(self, source_BS: Tensor, lengths_B: Tensor, beam: int) -> tuple[Memory | None, State]:
        """The memory, None without attention, and the decoder's first state; for a search with that beam.

        W h_j is made here (hoisted) if it is read often, or if W would have to be read for a few rows only.
        """
        together = TOGETHER if source_BS.device.type == "cpu" else len(source_BS)
        hoist = beam > 1 or len(source_BS) < TOGETHER
        order_N = lengths_B.argsort(stable=True)
        parts = [
            self._read(source_BS[rows, : int(lengths_B[rows[-1]])], lengths_B[rows], hoist=hoist)
            for rows in torch.split(order_N, together)
        ]
        place_N = order_N.argsort()  # of each sentence among the parts
        first = (torch.cat([part[i] for part in parts], dim=1).index_select(1, place_N) for i in (2, 3))
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
                values.index_select(0, place_N), keys.index_select(0, place_N), padding_NS.unsqueeze(1)
            )
        heard, _ = self._tell(hidden, memory)
        return memory, State(heard, cell)

    def _read(
        self, source_BS: Tensor, lengths_B: Tensor, *, hoist: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Values and keys of a few sentences as Memory has them, d_0 and its cell (L, B, H)."""
        device = source_BS.device.type
        with self.precision.casting(device, encoder=True, rounded=self._rounded):
            memory, *first = self.model.read(source_BS, lengths_B)
        values, keys = memory.values_BSM, memory.keys_BSA.to(self.exact)
        if self.model.decoder.attention is not None:
            values = self.context(values) if hoist else values.to(self.exact)
        hidden_LBH, cell_LBH = (part_LBH.to(self.exact) for part_LBH in first)
        return values, keys * 2 if self.additive else keys, hidden_LBH, cell_LBH

    def step(self, word_R: Tensor, state: State, memory: Memory | None) -> tuple[Tensor, State]:
        """Log-probabilities (R, V) of the next word after `word_R`, and the state behind it."""
        hidden: list[Tensor] = []
        cell: list[Tensor] = []
        for layer, (heard_RG, cell_RH) in enumerate(zip(*state, strict=True)):
            read_RG = self.upper[layer - 1](hidden[-1]) if layer else self.words_VG.index_select(0, word_R)
            d_RH, cell_RH = _recur(read_RG.add_(heard_RG), cell_RH)
            hidden.append(d_RH)
            cell.append(cell_RH)
        heard, said_RE = self._tell(hidden, memory)
        logs_RV = torch.log_softmax(self.vocabulary(tanh(self.model.decoder.norm(said_RE))), dim=-1)
        logs_RV.index_fill_(1, self.never, -torch.inf)
        return logs_RV, State(heard, cell)

    def _tell(self, hidden: list[Tensor], memory: Memory | None) -> tuple[list[Tensor], Tensor]:
        """The part of the next gates that d_i and c_{i+1} make, layer by layer, and the readout (R, E)."""
        gates, embedding = self.words_VG.shape[1], self.embedding
        from_d = [product(d_RH) for product, d_RH in zip(self.recurrent, hidden, strict=True)]
        heard = [part[:, :gates] for part in from_d]
        said_RE = from_d[-1][:, -embedding:]
        if memory is None:
            return heard, said_RE
        context_RP = self._attend(from_d[-1][:, gates:-embedding] if self.additive else hidden[-1], memory)
        if context_RP.shape[1] != self.reach:
            context_RP = self.context(context_RP)
        heard[0] = heard[0] + context_RP[:, :gates]
        return heard, said_RE + context_RP[:, gates:]

    def _attend(self, query_RA: Tensor, memory: Memory) -> Tensor:
        """The mean of a memory's values that a query finds (R, P or M)."""
        query_NKA = query_RA.reshape(len(memory.keys_NSA), -1, query_RA.shape[1])
        if self.additive:
            # v . tanh(x) = 2 v . sigmoid(2 x) - sum v, and the softmax does not hear a constant.
            energy_NKSA = (query_NKA.unsqueeze(2) + memory.keys_NSA.unsqueeze(1)).sigmoid_()
            scores_NKS = F.linear(energy_NKSA, self.energy_1A).squeeze(-1)
        else:
            scores_NKS = torch.bmm(query_NKA, memory.keys_NSA.transpose(1, 2))
        weights_NKS = scores_NKS.masked_fill_(memory.padding_N1S, -torch.inf).softmax(dim=-1)
        return torch.bmm(weights_NKS, memory.values_NSP).flatten(0, 1)


class Product:
    """x W^T + b for one W and many x, of a precision of its own.

    On a CPU W is laid out for oneDNN's kernels once: at the sizes of a step, F.linear takes 1.1 to 1.4
    times as long (float32 and bfloat16, PyTorch 2.13).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, precision: Precision) -> None:
        self.weight = precision.round(weight.detach()).contiguous()
        self.bias = None if bias is None else precision.round(bias.detach())
        self.precision = precision
        self.packed = weight.device.type == "cpu" and has_products(precision.kept)
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight)

    def __call__(self, x: Tensor) -> Tensor:
        """The product, in the type of everything else."""
        x = self.precision.round(x)
        if self.packed:
            y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        else:
            y = F.linear(x, self.weight, self.bias)
        return y.to(self.precision.wide)


def tanh(x: Tensor) -> Tensor:
    """2 sigmoid(2 x) - 1: PyTorch's own tanh takes six times as long as its sigmoid on a CPU.

    Off by less than 1e-6, also where tanh itself is smaller than that.
    """
    return (2 * x).sigmoid_().mul_(2).sub_(1)


def _recur(gates_RG: Tensor, cell_RH: Tensor) -> tuple[Tensor, Tensor]:
    """An LSTM cell from its gates before their activation: d and the new cell (R, H)."""
    let_in, keep, new, let_out = gates_RG.chunk(4, dim=1)
    cell_RH = torch.addcmul(keep.sigmoid() * cell_RH, let_in.sigmoid(), tanh(new))
    return let_out.sigmoid() * tanh(cell_RH), cell_RH


def topk(total_NX: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """torch.topk along rows of whole blocks: the best of a row lie in its best blocks."""
    blocks_NYB = total_NX.view(len(total_NX), -1, BLOCK)
    _, block_NC = blocks_NYB.amax(dim=2).topk(min(count, blocks_NYB.shape[1]))
    best_NCB = blocks_NYB.gather(1, block_NC.unsqueeze(2).expand(-1, -1, BLOCK))
    best_NC, place_NC = best_NCB.flatten(1).topk(min(count, total_NX.shape[1]))
    return best_NC, block_NC.gather(1, place_NC // BLOCK) * BLOCK + place_NC % BLOCK


@torch.inference_mode()
def beam_search(
    fast: FastModel,
    source_BS: Tensor,
    lengths_B: Tensor,
    beam: int,
    length_penalty: float,
    max_length: int,
) -> list[Hypothesis]:
    """What search.beam_search finds; with a beam of 1, what search.greedy finds.

    Raises UserError if the model's scores are no numbers.
    """
    if beam == 1:
        return _greedy(fast, source_BS, lengths_B, max_length)
    memory, state = fast.encode(source_BS, lengths_B, beam)
    active = list(range(len(source_BS)))  # which sentence each K rows belong to
    finished: list[list[Hypothesis]] = [[] for _ in active]
    trail: list[tuple[list[int], list[int]]] = []  # of each step: the row before, and the word, of each row
    word_R = torch.full_like(lengths_B, BOS)
    logs_NK = torch.zeros((len(active), 1), dtype=fast.exact, device=source_BS.device)  # at first K is 1

    for _ in range(max_length):
        logs_RV, state = fast.step(word_R, state, memory)
        width, pieces = logs_NK.shape[1], logs_RV.shape[1]
        total_NX = logs_RV.add_(logs_NK.view(-1, 1)).view(len(active), -1)
        # 2 K candidates: even if K of them say eos, K others go on.
        best_NC, candidate_NC = topk(total_NX, 2 * beam)
        parent_NC, word_NC = candidate_NC // pieces, candidate_NC % pieces

        says_eos = (word_NC[:, :beam] == EOS) & best_NC[:, :beam].isfinite()
        n_F, rank_F = says_eos.nonzero(as_tuple=True)
        ends = zip(*(x.tolist() for x in (n_F, parent_NC[n_F, rank_F], best_NC[n_F, rank_F])), strict=True)
        for n, parent, log in ends:
            ids = _spell(trail, n * width + parent)
            finished[active[n]].append(Hypothesis(ids, log, ended=True))
        kept = [n for n, sentence in enumerate(active) if len(finished[sentence]) < beam]
        if not kept:
            active = []
            break

        rows = torch.tensor(kept, device=source_BS.device)
        going_NC = best_NC.masked_fill(word_NC == EOS, -torch.inf)[rows]
        logs_NK, choice_NK = going_NC.topk(min(beam, going_NC.shape[1]))
        row_R = (rows.unsqueeze(1) * width + parent_NC[rows].gather(1, choice_NK)).flatten()
        word_R = word_NC[rows].gather(1, choice_NK).flatten()
        trail.append((row_R.tolist(), word_R.tolist()))
        state = state.rows(row_R)
        if len(kept) < len(active):
            active = [active[n] for n in kept]
            if memory is not None:
                memory = Memory(*(part.index_select(0, rows) for part in memory))

    if active and logs_NK.isnan().any():  # what is no number never says eos
        raise UserError(NO_NUMBERS)
    for n, sentence in enumerate(active):
        if not finished[sentence]:
            ids = _spell(trail, n * logs_NK.shape[1])
            finished[sentence].append(Hypothesis(ids, logs_NK[n, 0].item(), ended=False))
    return [max(found, key=lambda h: h.score(length_penalty)) for found in finished]


def _greedy(fast: FastModel, source_BS: Tensor, lengths_B: Tensor, max_length: int) -> list[Hypothesis]:
    """What search.greedy finds; sentences that have ended leave the batch together, once GONE of it have."""
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
        going = [row for row, n in enumerate(active) if not ended[n]]
        if not going:
            break
        if len(active) - len(going) >= GONE * len(active):
            active = [active[row] for row in going]
            row_R = torch.tensor(going, device=word_R.device)
            word_R, state = word_R.index_select(0, row_R), state.rows(row_R)
            if memory is not None:
                memory = Memory(*(part.index_select(0, row_R) for part in memory))
    if any(math.isnan(log) for log in logs):
        raise UserError(NO_NUMBERS)
    return [Hypothesis(*found) for found in zip(ids, logs, ended, strict=True)]


def _spell(trail: list[tuple[list[int], list[int]]], row: int) -> list[int]:
    """The words that led to a row of the last step, from its back-pointers."""
    ids = []
    for row_R, word_R in reversed(trail):
        ids.append(word_R[row])
        row = row_R[row]
    return ids[::-1]
