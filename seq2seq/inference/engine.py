"""Search and forced decoding of a model for any number of sentences, in batches of similar lengths.

Why: `Translator` is about texts; this is about ids.
"""

from __future__ import annotations

import torch

from seq2seq.data.vocabulary import Vocabulary
from seq2seq.inference.decoding import Decoding
from seq2seq.inference.fast_model import FastModel
from seq2seq.inference.fast_search import n_best
from seq2seq.inference.hypothesis import Hypothesis
from seq2seq.inference.parts import portions
from seq2seq.inference.search import force_decode
from seq2seq.inference.translation import Translation
from seq2seq.nn.batches import collate, source_batch
from seq2seq.nn.model import Seq2Seq
from seq2seq.nn.precision import Precision, choose_precision


class Engine:
    """A model, its vocabulary, and the device that they run on."""

    def __init__(self, model: Seq2Seq, vocabulary: Vocabulary, device: torch.device | None) -> None:
        self.device = device or torch.device("cpu")
        self.model = model.eval().to(self.device)
        self.vocabulary = vocabulary
        self._fast: dict[str, FastModel] = {}  # by precision; created at first use

    def search(self, sources: list[list[int]], how: Decoding, batch_size: int) -> list[list[Hypothesis]]:
        """The hypotheses for each source, the best first; none for a source without a token."""
        if how.precision not in self._fast:
            double = next(self.model.parameters()).dtype == torch.float64  # searched as it is
            precision = Precision(torch.float64) if double else choose_precision(how.precision, self.device)
            self._fast[how.precision] = FastModel(self.model, precision)
        fast = self._fast[how.precision]
        found: list[list[Hypothesis]] = [[] for _ in sources]
        order = sorted((i for i, source in enumerate(sources) if source), key=lambda i: len(sources[i]))
        for rows in portions(order, batch_size):
            source_BS, lengths_B = source_batch([sources[i] for i in rows])
            source_BS, lengths_B = source_BS.to(self.device), lengths_B.to(self.device)
            hypotheses = n_best(fast, source_BS, lengths_B, how.beam, how.length_penalty, how.max_length)
            for i, of_source in zip(rows, hypotheses, strict=True):
                found[i] = of_source
        return found

    def attend(
        self, sources: list[list[int]], targets: list[list[int]], length_penalty: float, batch_size: int
    ) -> list[Translation]:
        """Given targets as translations with pieces and attention, by forced decoding."""
        translations: dict[int, Translation] = {}
        order = sorted(range(len(sources)), key=lambda i: (len(targets[i]), len(sources[i])))
        for rows in portions(order, batch_size):
            batch = collate([sources[i] for i in rows], [targets[i] for i in rows]).to(self.device)
            logs_B, weights_BTS = force_decode(
                self.model, batch.source_BS, batch.source_lengths_B, batch.input_BT, batch.output_BT
            )
            for row, (i, log) in enumerate(zip(rows, logs_B.tolist(), strict=True)):
                source, target = (self.vocabulary.pieces(ids) for ids in (sources[i], targets[i]))
                attention_TS = None
                if weights_BTS is not None:
                    attention_TS = weights_BTS[row, : len(target) + 1, : len(source) + 1].cpu().numpy()
                translations[i] = Translation(
                    self.vocabulary.decode(targets[i]),
                    Hypothesis(targets[i], log, ended=True).score(length_penalty),
                    [*source, "</s>"],
                    [*target, "</s>"],
                    attention_TS,
                )
        return [translations[i] for i in range(len(sources))]
