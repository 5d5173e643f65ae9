"""Greedy and beam search with onnxruntime and NumPy: the hypotheses of inference/fast_search.py.

Why: an exported model runs without PyTorch. The steps of the search are those of fast_search.py; the graph of
a step already returns the best words of each row.

Tensors are named as in inference/fast_model.py; besides, C are the candidates of a row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from seq2seq.common.errors import UserError
from seq2seq.data.vocabulary import BOS, EOS, PAD
from seq2seq.inference.hypothesis import ENDED_SHARE, NO_NUMBERS, Hypothesis, backtrace

ENCODER, STEP = "encoder.onnx", "step.onnx"
MEMORY = ("values", "keys", "mask")  # of a sentence; other values are of a row
WEIGHTS = "weights"  # of attention, which a search does not need

Values = dict[str, npt.NDArray[Any]]


class OnnxModel:
    """The graphs of a folder, loaded."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        """`threads` of a product; without it onnxruntime chooses: one for each core."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._sessions = {
            name: onnxruntime.InferenceSession(
                str(folder / name), options, providers=["CPUExecutionProvider"]
            )
            for name in (ENCODER, STEP)
        }
        self._names = {
            name: [output.name for output in one.get_outputs()] for name, one in self._sessions.items()
        }

    def encode(self, sources: Sequence[Sequence[int]]) -> tuple[Values, Values]:
        """The memory of sentences, without bos and eos, and the decoder's first state."""
        lengths = np.array([len(ids) + 1 for ids in sources], np.int32)
        source_NS = np.full((len(sources), int(lengths.max())), PAD, np.int64)
        for row, ids in enumerate(sources):
            source_NS[row, : len(ids) + 1] = [*ids, EOS]
        found = self._run(ENCODER, {"source": source_NS, "lengths": lengths})
        memory = {name: found.pop(name) for name in MEMORY if name in found}
        return memory, found

    def step(
        self, word_R: npt.NDArray[np.int64], state: Values, memory: Values, count: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], Values]:
        """Log-probabilities (R, C) and ids of the best words after `word_R`, and the new state."""
        found = self._run(STEP, {"word": word_R, "count": np.array([count]), **state, **memory}, {WEIGHTS})
        best_RC, words_RC = found.pop("best"), found.pop("words")
        return best_RC, words_RC, _before(found)

    def attention(self, source: Sequence[int], target: Sequence[int]) -> npt.NDArray[np.float32] | None:
        """The weights (T, S) of a given target, a row for each piece and for eos; None without attention."""
        if WEIGHTS not in self._names[STEP]:
            return None
        memory, state = self.encode([source])
        rows = []
        for word in (BOS, *target):
            values = {"word": np.array([word]), "count": np.array([1]), **state, **memory}
            found = self._run(STEP, values, {"best", "words"})
            rows.append(found.pop(WEIGHTS)[0, 0])
            state = _before(found)
        return np.stack(rows)

    def _run(self, graph: str, values: Values, without: Set[str] = frozenset()) -> Values:
        names = [name for name in self._names[graph] if name not in without]
        return dict(zip(names, self._sessions[graph].run(names, values), strict=True))


def _before(found: Values) -> Values:
    """The state after a step, named as that before the next one."""
    return {name.removesuffix("_after"): value for name, value in found.items()}


def beam_search(
    model: OnnxModel, sources: Sequence[Sequence[int]], beam: int, length_penalty: float, max_length: int
) -> list[Hypothesis]:
    """The best hypothesis for each source; with a beam of 1 the likeliest word at every step.

    Raises UserError if the model's scores are no numbers.
    """
    return [found[0] for found in n_best(model, sources, beam, length_penalty, max_length)]


def n_best(
    model: OnnxModel, sources: Sequence[Sequence[int]], beam: int, length_penalty: float, max_length: int
) -> list[list[Hypothesis]]:
    """All hypotheses of `beam_search` for each source, the best first: at least one, about `beam`."""
    if beam == 1:
        return [[hypothesis] for hypothesis in _greedy(model, sources, max_length)]
    memory, state = model.encode(sources)
    active = list(range(len(sources)))  # the sentence of each K rows
    finished: list[list[Hypothesis]] = [[] for _ in active]
    back_pointers: list[tuple[list[int], list[int]]] = []  # a step: of each row, its previous row and word
    word_R = np.full(len(sources), BOS, np.int64)
    logs_NK = np.zeros((len(active), 1), np.float32)  # at first K is 1

    for _ in range(max_length):
        logs_RC, words_RC, state = model.step(word_R, state, memory, 2 * beam)
        width, candidates = logs_NK.shape[1], logs_RC.shape[1]
        total_NX = (logs_RC + logs_NK.reshape(-1, 1)).reshape(len(active), -1)
        # 2 K candidates: even if K of them end with eos, K others continue.
        best_NC, candidate_NC = _topk(total_NX, 2 * beam)
        parent_NC = candidate_NC // candidates
        word_NC = np.take_along_axis(words_RC.reshape(len(active), -1), candidate_NC, axis=1)

        is_eos = (word_NC[:, :beam] == EOS) & np.isfinite(best_NC[:, :beam])
        for n, rank in zip(*(found.tolist() for found in is_eos.nonzero()), strict=True):
            ids = backtrace(back_pointers, n * width + int(parent_NC[n, rank]))
            finished[active[n]].append(Hypothesis(ids, float(best_NC[n, rank]), ended=True))
        unfinished = [n for n, sentence in enumerate(active) if len(finished[sentence]) < beam]
        if not unfinished:
            active = []
            break

        rows = np.array(unfinished)
        continuing_NC = np.where(word_NC == EOS, -np.inf, best_NC)[rows]
        logs_NK, choice_NK = _topk(continuing_NC, beam)
        row_R = (rows[:, None] * width + np.take_along_axis(parent_NC[rows], choice_NK, 1)).ravel()
        word_R = np.take_along_axis(word_NC[rows], choice_NK, 1).ravel()
        back_pointers.append((row_R.tolist(), word_R.tolist()))
        state = {name: value[row_R] for name, value in state.items()}
        if len(unfinished) < len(active):
            active = [active[n] for n in unfinished]
            memory = {name: value[rows] for name, value in memory.items()}

    if active and np.isnan(logs_NK).any():  # such hypotheses never end with eos
        raise UserError(NO_NUMBERS)
    for n, sentence in enumerate(active):
        if not finished[sentence]:
            ids = backtrace(back_pointers, n * logs_NK.shape[1])
            finished[sentence].append(Hypothesis(ids, float(logs_NK[n, 0]), ended=False))
    return [sorted(found, key=lambda h: h.score(length_penalty), reverse=True) for found in finished]


def _greedy(model: OnnxModel, sources: Sequence[Sequence[int]], max_length: int) -> list[Hypothesis]:
    """The likeliest word at every step; ended sentences are removed as in fast_search.py."""
    memory, state = model.encode(sources)
    ids: list[list[int]] = [[] for _ in sources]
    logs, ended = [0.0] * len(ids), [False] * len(ids)
    active = list(range(len(ids)))  # the sentence of each row
    word_R = np.full(len(ids), BOS, np.int64)
    for _ in range(max_length):
        best_R1, word_R1, state = model.step(word_R, state, memory, 1)
        word_R = word_R1[:, 0]
        for n, word, log in zip(active, word_R.tolist(), best_R1[:, 0].tolist(), strict=True):
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
            word_R = word_R[active_rows]
            state = {name: value[active_rows] for name, value in state.items()}
            memory = {name: value[active_rows] for name, value in memory.items()}
    if any(math.isnan(log) for log in logs):
        raise UserError(NO_NUMBERS)
    return [Hypothesis(*found) for found in zip(ids, logs, ended, strict=True)]


def _topk(
    total_NX: npt.NDArray[np.float32], count: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """The largest values of each row, in descending order, and their columns."""
    order_NC = np.argsort(-total_NX, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(total_NX, order_NC, axis=1), order_NC
