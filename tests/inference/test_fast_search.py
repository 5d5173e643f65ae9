"""The fast search finds the hypotheses of the reference search."""

import copy
import functools
import random

import pytest
import torch

from seq2seq.common.errors import UserError
from seq2seq.data.vocabulary import EOS
from seq2seq.inference import fast_model, search
from seq2seq.inference.fast_model import BLOCK, FastModel, QuantizedLinear, tanh
from seq2seq.inference.fast_search import beam_search, topk
from seq2seq.nn.batches import collate, source_batch
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.nn.precision import Precision, supports_matmul
from tests.support.models import KINDS, SOURCES, trained

PIECES = BLOCK + 6  # a block and a part of one
EXACT = Precision(torch.float64)
BF16 = [Precision(torch.bfloat16), Precision(torch.bfloat16, emulated=True)]
INT8 = [Precision(torch.int8, emulated=True)]
if supports_matmul(torch.int8):
    INT8.append(Precision(torch.int8))


@functools.cache
def build(attention, layers=1, tie=True, layer_norm=False) -> Seq2Seq:
    """Not trained, in double precision, with weights so large that its distributions are far from uniform."""
    torch.manual_seed(4)
    model = Seq2Seq(Config(PIECES, 10, 12, 7, layers, attention, 0.3, tie, layer_norm)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
        model.decoder.vocabulary.bias[EOS] += 2
    return model


def batches(count) -> list[tuple[torch.Tensor, torch.Tensor]]:
    draw = random.Random(5)
    words = range(EOS + 1, PIECES)
    return [
        source_batch([draw.choices(words, k=draw.randint(1, 12)) for _ in range(draw.randint(1, 12))])
        for _ in range(count)
    ]


def assert_alike(found, expected, tolerance):
    assert [h.ids for h in found] == [h.ids for h in expected]
    assert [h.ended for h in found] == [h.ended for h in expected]
    logs = [h.log_probability for h in expected]
    assert [h.log_probability for h in found] == pytest.approx(logs, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("tie", "layer_norm"), [(True, False), (False, False), (True, True)])
def test_the_hypotheses_are_those_of_the_reference(attention, layers, tie, layer_norm):
    model = build(attention, layers, tie, layer_norm)
    fast = FastModel(model, EXACT)
    ended = []
    for batch, beams in zip(batches(2), ((2, PIECES + 2), (5,)), strict=True):
        for beam in beams:
            expected = search.beam_search(model, *batch, beam, 0.7, max_length=12)
            assert_alike(beam_search(fast, *batch, beam, 0.7, max_length=12), expected, 1e-9)
            ended += [h.ended for h in expected]
        assert_alike(
            beam_search(fast, *batch, 1, 1.0, max_length=12),
            search.greedy(model, *batch, max_length=12),
            1e-9,
        )
    assert sum(ended) > len(ended) / 5


@pytest.mark.slow
@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("count", [fast_model.ENCODER_BATCH - 1, 2 * fast_model.ENCODER_BATCH + 3])
@pytest.mark.parametrize("beam", [1, 3])
def test_few_and_many_sentences_of_any_lengths_give_the_same_hypotheses(attention, count, beam):
    draw = random.Random(6)
    words = range(EOS + 1, PIECES)
    sources = [draw.choices(words, k=1 + 29 * n // count) for n in range(count)]
    draw.shuffle(sources)
    model, fast = build(attention), FastModel(build(attention), EXACT)
    expected = search.beam_search(model, *source_batch(sources), beam, 1.0, max_length=12)
    assert_alike(beam_search(fast, *source_batch(sources), beam, 1.0, max_length=12), expected, 1e-9)
    alone = [beam_search(fast, *source_batch([source]), beam, 1.0, max_length=12)[0] for source in sources]
    assert_alike(alone, expected, 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("beam", [1, 5])
def test_in_single_precision_as_well(attention, beam):
    model = copy.deepcopy(trained(attention)).float()
    expected = search.beam_search(model, *source_batch(SOURCES), beam, 1.0, max_length=12)
    found = beam_search(FastModel(model), *source_batch(SOURCES), beam, 1.0, max_length=12)
    assert any(h.ended for h in expected)
    assert_alike(found, expected, 1e-4)


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("precision", [*BF16, *INT8], ids=str)
def test_rounded_operands_find_hypotheses_about_as_good(precision, attention):
    near = 0.05 if precision.dtype == torch.int8 else 0.02
    model = copy.deepcopy(trained(attention)).float()
    fast = FastModel(model, precision)
    expected = search.beam_search(model, *source_batch(SOURCES), 5, 1.0, max_length=8)
    found = beam_search(fast, *source_batch(SOURCES), 5, 1.0, max_length=8)
    for source, ours, best in zip(SOURCES, found, expected, strict=True):
        batch = collate([source], [ours.ids])
        length = len(ours.ids) + ours.ended
        arguments = (batch.input_BT[:, :length], batch.output_BT[:, :length])
        total, _ = search.force_decode(model, batch.source_BS, batch.source_lengths_B, *arguments)
        assert ours.log_probability == pytest.approx(total.item(), rel=near)
        assert total.item() / length == pytest.approx(best.score(1.0), rel=0.05)


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("beam", [1, 5])
def test_native_and_emulated_products_find_the_same(beam, attention):
    model = copy.deepcopy(trained(attention)).float()
    native, emulated = (
        beam_search(FastModel(model, precision), *source_batch(SOURCES), beam, 1.0, max_length=12)
        for precision in BF16
    )
    assert_alike(emulated, native, 0.01)


@pytest.mark.parametrize("precision", INT8, ids=str)
def test_quantized_products_differ_by_half_a_level_and_depend_on_no_other_row(precision):
    torch.manual_seed(2)
    weight, bias, x = torch.randn(70, 33), torch.randn(70), torch.randn(9, 33).tanh()
    weight[3], bias[5] = 0, -torch.inf
    product = QuantizedLinear(weight, bias, emulated=precision.emulated)
    found = product(x)
    half = 0.5 / QuantizedLinear.LEVELS
    # A product differs by half a level of either operand, times the other, which is at most its largest.
    bound = 33 * half * weight.abs().amax(dim=1) * 2.02
    finite = bias.isfinite()
    differences = (found - (x @ weight.T + bias))[:, finite].abs()
    assert (differences <= bound[finite] + 1e-6).all()
    assert differences.max() > 1e-4  # it is rounded
    assert (found[:, 5] == -torch.inf).all()
    assert torch.equal(found[:, 3], bias[3].expand(9))
    for row in range(9):
        torch.testing.assert_close(product(x[row : row + 1]), found[row : row + 1], rtol=1e-6, atol=1e-6)
    exact = QuantizedLinear(weight, bias, emulated=True)(x)
    torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-5)


def test_without_steps_hypotheses_are_empty():
    found = beam_search(FastModel(build("dot"), EXACT), *batches(1)[0], 3, 1.0, max_length=0)
    assert {(tuple(h.ids), h.log_probability, h.ended) for h in found} == {((), 0.0, False)}


@pytest.mark.parametrize("count", [1, 3, 10, 2 * BLOCK, 5 * BLOCK])
def test_topk_is_torch_s(count):
    torch.manual_seed(6)
    total_NX = torch.randn(7, 4 * BLOCK, dtype=torch.float64)
    total_NX[:, ::3] = -torch.inf
    best_NC, place_NC = topk(total_NX, count)
    expected_NC, _ = total_NX.topk(min(count, 4 * BLOCK))
    assert torch.equal(best_NC, expected_NC)
    assert torch.equal(total_NX.gather(1, place_NC), best_NC)


def test_tanh_is_tanh():
    x = torch.linspace(-30, 30, 1001)
    torch.testing.assert_close(tanh(x), torch.tanh(x), rtol=0, atol=3e-7)


@pytest.mark.parametrize("beam", [1, 5])
def test_a_model_whose_scores_are_no_numbers_is_refused(beam):
    model = copy.deepcopy(build("additive"))
    with torch.no_grad():
        model.decoder.readout.weight[0, 0] = torch.nan
    with pytest.raises(UserError, match="scores are no numbers: its weights are damaged"):
        beam_search(FastModel(model, EXACT), *batches(1)[0], beam, 1.0, max_length=5)
