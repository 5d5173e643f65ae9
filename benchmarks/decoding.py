"""The contestants in decoding: one model, one implementation of search, batches of text to translate.

Why: untrained models are sufficient if every hypothesis has the same length, so that all do the same work.
A folder with a trained model measures the effect of real lengths.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import setting
from seq2seq.common.memory import keep_freed_memory
from seq2seq.data.corpus import read_split
from seq2seq.data.vocabulary import EOS, Vocabulary
from seq2seq.inference import fast_model, fast_search, search
from seq2seq.inference.hypothesis import Hypothesis
from seq2seq.nn import model_folder
from seq2seq.nn.batches import source_batch
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.nn.precision import choose_precision

CPU = torch.device("cpu")
LONGEST = 100  # tokens of a trained model's translation

Search = Callable[[Tensor, Tensor, int, int], list[Hypothesis]]  # source_BS, lengths_B, beam, max_length


def reference_search(model: Seq2Seq) -> Search:
    """seq2seq/inference/search.py."""

    def run(source_BS: Tensor, lengths_B: Tensor, beam: int, max_length: int) -> list[Hypothesis]:
        if beam == 1:
            return search.greedy(model, source_BS, lengths_B, max_length)
        return search.beam_search(model, source_BS, lengths_B, beam, 1.0, max_length)

    return run


def fast(name: str) -> Callable[[Seq2Seq], Search]:
    """seq2seq/inference/fast_search.py, in one of PRECISIONS."""

    def prepare(model: Seq2Seq) -> Search:
        prepared = fast_model.FastModel(model, choose_precision(name, CPU))

        def run(source_BS: Tensor, lengths_B: Tensor, beam: int, max_length: int) -> list[Hypothesis]:
            return fast_search.beam_search(prepared, source_BS, lengths_B, beam, 1.0, max_length)

        return run

    return prepare


CONTESTANTS = {
    setting.REFERENCE_SEARCH: reference_search,
    setting.FAST: fast("fp32"),
    setting.FAST_BF16: fast("bf16"),
    setting.FAST_INT8: fast("int8"),
}


class Decoder:
    """A contestant in decoding; `found` are the hypotheses of its last batch."""

    def __init__(
        self, name: str, model: Seq2Seq, vocabulary: Vocabulary, texts: list[str], max_length: int
    ) -> None:
        self.parameters = sum(p.numel() for p in model.parameters())
        self.found: list[Hypothesis] = []
        self._search = CONTESTANTS[name](model.eval())
        self._vocabulary, self._max_length = vocabulary, max_length
        self._batched, self._alone = (chain.from_iterable(repeat(texts)) for _ in range(2))

    def batch(self, sentences: int = setting.TOGETHER, beam: int = setting.BEAM) -> int:
        """Translate the next sentences as a batch; returns their number."""
        self._translate([next(self._batched) for _ in range(sentences)], beam)
        return sentences

    def singles(self, sentences: int = setting.SINGLES) -> list[float]:
        """Translate the next sentences one by one; returns the seconds of each."""
        return list(self._singles(sentences))

    def _singles(self, sentences: int) -> Iterator[float]:
        for _ in range(sentences):
            text = next(self._alone)
            began = time.perf_counter()
            self._translate([text], setting.BEAM)
            yield time.perf_counter() - began

    def _translate(self, texts: list[str], beam: int) -> None:
        source_BS, lengths_B = source_batch(self._vocabulary.encode_all(texts))
        self.found = self._search(source_BS, lengths_B, beam, self._max_length)


def decoder(name: str, corpus: Path, vocabulary: Path, folder: Path | None) -> Decoder:
    """The contestant of that name on the test split: the model in `folder`, or an untrained one."""
    if name != setting.REFERENCE_SEARCH:
        keep_freed_memory()  # as seq2seq/evaluate.py does
    texts = [pair.source for pair in read_split(corpus, "test")]
    if folder is not None:
        return Decoder(name, model_folder.load(folder), Vocabulary.load(folder), texts, LONGEST)
    shared = Vocabulary.load(vocabulary)
    return Decoder(name, endless(setting.config(shared.size)), shared, texts, setting.FORCED)


def endless(config: Config) -> Seq2Seq:
    """An untrained model that never generates eos."""
    torch.manual_seed(setting.SEED)
    model = Seq2Seq(config)
    with torch.no_grad():
        model.decoder.vocabulary.bias[EOS] = -torch.inf
    return model
