"""The laws of search: beam 1 is greedy, scores are those of forced decoding, batches change nothing."""

import itertools

import pytest

from seq2seq.data.vocabulary import EOS
from seq2seq.inference.hypothesis import Hypothesis
from seq2seq.inference.search import FORBIDDEN, beam_search, force_decode, greedy
from seq2seq.nn.batches import collate, source_batch
from tests.support.models import KINDS, SOURCES, build
from tests.support.models import trained as model


@pytest.mark.parametrize("attention", KINDS)
def test_beam_of_one_is_greedy(attention):
    for batch in (source_batch(SOURCES), source_batch(SOURCES[:1])):
        one = beam_search(model(attention), *batch, beam=1, length_penalty=1.0, max_length=12)
        best = greedy(model(attention), *batch, max_length=12)
        assert [h.ids for h in one] == [h.ids for h in best]
        assert [h.log_probability for h in one] == pytest.approx([h.log_probability for h in best])


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("beam", [1, 4])
def test_a_score_is_the_forced_decoding_score(attention, beam):
    found = beam_search(model(attention), *source_batch(SOURCES), beam, 0.7, max_length=9)
    assert len({len(h.ids) for h in found if h.ended}) > 1
    for source, hypothesis in zip(SOURCES, found, strict=True):
        batch = collate([source], [hypothesis.ids])
        length = len(hypothesis.ids) + hypothesis.ended
        arguments = (batch.input_BT[:, :length], batch.output_BT[:, :length])
        total, _ = force_decode(model(attention), batch.source_BS, batch.source_lengths_B, *arguments)
        assert hypothesis.log_probability == pytest.approx(total.item(), rel=1e-9)
        assert hypothesis.score(0.7) == pytest.approx(total.item() / length**0.7)


@pytest.mark.slow
@pytest.mark.parametrize("beam", [1, 3, 5])
def test_a_batch_finds_the_hypotheses_of_its_sentences_alone(beam):
    together = beam_search(model(), *source_batch(SOURCES), beam, 1.0, max_length=12)
    for source, hypothesis in zip(SOURCES, together, strict=True):
        (alone,) = beam_search(model(), *source_batch([source]), beam, 1.0, max_length=12)
        assert alone.ids == hypothesis.ids
        assert alone.log_probability == pytest.approx(hypothesis.log_probability, rel=1e-9)


@pytest.mark.slow
def test_a_wide_beam_finds_the_best_of_all_short_targets():
    """Against brute force over every target of up to two words."""
    searched, words = model(), [w for w in range(16) if w not in (*FORBIDDEN, EOS)]
    source_BS, lengths_B = source_batch([SOURCES[0]])
    candidates = [list(t) for n in range(3) for t in itertools.product(words, repeat=n)]
    best = None
    for ids in candidates:
        batch = collate([SOURCES[0]], [ids])
        ended = len(ids) < 2  # at max_length it is cut before eos
        length = len(ids) + ended
        total, _ = force_decode(
            searched, source_BS, lengths_B, batch.input_BT[:, :length], batch.output_BT[:, :length]
        )
        hypothesis = Hypothesis(ids, total.item(), ended)
        if ended and (best is None or hypothesis.score(1.0) > best.score(1.0)):
            best = hypothesis
    (found,) = beam_search(searched, source_BS, lengths_B, beam=160, length_penalty=1.0, max_length=2)
    assert found.ended
    assert found.ids == best.ids
    assert found.log_probability == pytest.approx(best.log_probability)


def test_no_special_piece_is_ever_generated_and_max_length_holds():
    untrained = build()
    for hypothesis in (
        *greedy(untrained, *source_batch(SOURCES), max_length=6),
        *beam_search(untrained, *source_batch(SOURCES), 4, 1.0, max_length=6),
    ):
        assert len(hypothesis.ids) <= 6
        assert not {*FORBIDDEN, EOS} & set(hypothesis.ids)


def test_the_length_penalty_weighs_length():
    short, long = Hypothesis([4], -2.0, True), Hypothesis([4] * 9, -5.0, True)
    assert short.score(0.0) > long.score(0.0)
    assert long.score(1.0) == pytest.approx(-0.5)
    assert long.score(1.0) > short.score(1.0)
