"""Scores of pairs are those of forced decoding, whatever stands beside a pair in its batch."""

import math

import numpy as np
import pytest
import torch

from seq2seq.data.vocabulary import Vocabulary, learn
from seq2seq.inference.search import force_decode
from seq2seq.nn.batches import collate
from seq2seq.training import loss, pair_scores
from seq2seq.training.pair_scores import PairScorer, log_probabilities
from tests.support import models
from tests.support.untrained import SENTENCES

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", models.KINDS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("rows", [3, 1000])
def test_a_sum_is_that_of_forced_decoding(kind, layers, rows, monkeypatch):
    monkeypatch.setitem(loss.ROWS, "cpu", rows)  # logits of a part of a batch, or of all
    model = models.build(kind, layers, layer_norm=True).eval()
    batch = collate(models.SOURCES, models.TARGETS)
    sides = (batch.source_BS, batch.source_lengths_B, batch.input_BT, batch.output_BT)
    wanted, _ = force_decode(model, *sides)
    torch.testing.assert_close(log_probabilities(model, batch), wanted, rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def scorer():
    vocabulary, size = learn(
        SENTENCES * 20, algorithm="unigram", size=300, character_coverage=1.0, normalization="nmt_nfkc"
    )
    config = models.build().config
    torch.manual_seed(1)
    model = type(models.build())(type(config)(**{**vars(config), "vocabulary_size": size}))
    return PairScorer(model, Vocabulary(vocabulary), CPU)


def test_a_score_is_the_mean_per_token_and_does_not_depend_on_the_other_pairs(scorer, monkeypatch):
    targets = [*SENTENCES[1:], SENTENCES[0]]
    together = scorer.score(SENTENCES, targets)
    for row, (source, target) in enumerate(zip(SENTENCES, targets, strict=True)):
        [alone] = scorer.score([source], [target])
        assert alone == pytest.approx(together[row], abs=1e-5)
        ids = scorer.vocabulary.encode(target, "target")
        batch = collate([scorer.vocabulary.encode(source)], [ids])
        total = log_probabilities(scorer.model, batch).item()
        assert together[row] == pytest.approx(total / (len(ids) + 1), abs=1e-5)
    assert together.dtype == np.float32
    monkeypatch.setattr(pair_scores, "BATCH_TOKENS", 1)
    np.testing.assert_allclose(scorer.score(SENTENCES, targets), together, atol=1e-5)


def test_empty_and_overlong_sides_have_no_score(scorer):
    long = "Hund " * 900
    found = scorer.score(["", "der Hund", long, "der Hund"], ["der Hund", "", "der Hund", "die Katze"])
    assert [math.isnan(score) for score in found] == [True, True, True, False]
    assert len(scorer.score([], [])) == 0
