"""The laws of the model: padding, attention, shapes, the first state."""

import dataclasses

import pytest
import torch

from seq2seq.data.vocabulary import EOS, PAD
from seq2seq.nn.batches import collate
from seq2seq.nn.model import Seq2Seq, reverse_within_length
from tests.support.models import KINDS, SOURCES, TARGETS, build, loss


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize(("layers", "layer_norm"), [(1, False), (2, False), (2, True)])
def test_a_batch_scores_as_its_sentences_alone(attention, layers, layer_norm):
    model = build(attention, layers, layer_norm=layer_norm)
    together = loss(model, collate(SOURCES, TARGETS))
    alone = sum(loss(model, collate([s], [t])) for s, t in zip(SOURCES, TARGETS, strict=True))
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_with_layer_norm_every_h_has_unit_variance_and_the_readout_does_not_saturate():
    model = build(layer_norm=True)
    batch = collate(SOURCES, TARGETS)
    memory, _ = model.encode(batch.source_BS, batch.source_lengths_B)
    size_BS = memory.values_BSM.square().mean(-1)
    torch.testing.assert_close(size_BS, torch.ones_like(size_BS), rtol=0.02, atol=0)
    assert not torch.allclose(
        build().encode(batch.source_BS, batch.source_lengths_B)[0].values_BSM, memory.values_BSM
    )
    one = torch.randn(3, 36, dtype=torch.float64)
    with torch.no_grad():
        model.decoder.readout.bias.zero_()
    torch.testing.assert_close(
        model.decoder.logits(one), model.decoder.logits(100 * one), rtol=1e-2, atol=1e-3
    )


@pytest.mark.parametrize("attention", KINDS)
def test_padding_changes_neither_loss_nor_gradients(attention):
    model = build(attention)
    batch = collate(SOURCES, TARGETS)
    wider = batch._replace(
        source_BS=torch.nn.functional.pad(batch.source_BS, (0, 4), value=PAD),
        input_BT=torch.nn.functional.pad(batch.input_BT, (0, 3), value=PAD),
        output_BT=torch.nn.functional.pad(batch.output_BT, (0, 3), value=PAD),
    )
    gradients = []
    for each in (batch, wider):
        model.zero_grad()
        value = loss(model, each)
        value.backward()
        gradients.append([value.detach()] + [p.grad.clone() for p in model.parameters()])
    for narrow, wide in zip(*gradients, strict=True):
        torch.testing.assert_close(narrow, wide, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("attention", ["additive", "dot", "general"])
def test_attention_sums_to_one_and_is_zero_at_padding(attention):
    model = build(attention, layers=2)
    batch = collate(SOURCES, TARGETS)
    _, weights_BTS = model(batch.source_BS, batch.source_lengths_B, batch.input_BT)
    assert weights_BTS.shape == (*batch.input_BT.shape, batch.source_BS.shape[1])
    torch.testing.assert_close(weights_BTS.sum(-1), torch.ones_like(weights_BTS[..., 0]))
    assert (weights_BTS.masked_select((batch.source_BS == PAD).unsqueeze(1)) == 0).all()


@pytest.mark.parametrize("kind", ["dot", "general"])
def test_a_dot_score_does_not_grow_with_the_number_of_units(kind):
    """Of memories and queries of unit variance, as layer normalisation makes them."""
    torch.manual_seed(3)
    spread = []
    for units in (16, 1024):
        config = dataclasses.replace(build().config, hidden_size=units, attention=kind)
        attend = Seq2Seq(config).decoder.attention
        values_BSM, query_BH = torch.randn(20, 20, 2 * units), torch.randn(20, units)
        spread.append(attend.score(query_BH, attend.keys(values_BSM)).std().item())
    assert min(spread) > 0.3
    assert max(spread) < 2.0
    assert max(spread) < 1.5 * min(spread)


def test_without_attention_only_the_first_state_depends_on_the_source():
    model = build("none")
    batch = collate(SOURCES, TARGETS)
    memory, state = model.encode(batch.source_BS, batch.source_lengths_B)
    other = memory._replace(values_BSM=torch.randn_like(memory.values_BSM))
    torch.testing.assert_close(
        model.decoder(batch.input_BT, state, memory)[0], model.decoder(batch.input_BT, state, other)[0]
    )
    shifted = state._replace(hidden_LBH=state.hidden_LBH + 1)
    assert not torch.allclose(
        model.decoder(batch.input_BT, state, memory)[0], model.decoder(batch.input_BT, shifted, memory)[0]
    )


@pytest.mark.parametrize("attention", ["additive", "dot", "general"])
def test_a_step_takes_the_previous_context_as_input_and_outputs_its_own(attention):
    model = build(attention, layers=2)
    batch = collate(SOURCES, TARGETS)
    memory, state = model.encode(batch.source_BS, batch.source_lengths_B)

    def context(weights_BS):
        return torch.einsum("bs,bsm->bm", weights_BS, memory.values_BSM)

    c_1, weights_BS = model.decoder.attention(state.hidden_LBH[-1], memory)
    torch.testing.assert_close(state.context_BM, context(weights_BS))
    first_BE = model.decoder.embedding(batch.input_BT[:, 0])
    output_BO, after, weights_BS = model.decoder.step(first_BE, state, memory)
    inputs = torch.cat([first_BE, c_1], -1)
    for lstm_cell, hidden_BH, cell_BH in zip(model.decoder.cells, *state[:2], strict=True):
        d_1 = inputs = lstm_cell(inputs, (hidden_BH, cell_BH))[0]
    c_2, _ = model.decoder.attention(d_1, memory)
    torch.testing.assert_close(after.context_BM, context(weights_BS))
    torch.testing.assert_close(output_BO, torch.cat([d_1, c_2], -1))
    torch.testing.assert_close(after.context_BM, c_2)


def test_attention_depends_on_the_previous_word():
    model = build("additive")
    batch = collate(SOURCES, TARGETS)
    memory, state = model.encode(batch.source_BS, batch.source_lengths_B)
    first_BE = model.decoder.embedding(batch.input_BT[:, 0])
    _, _, weights_BS = model.decoder.step(first_BE, state, memory)
    _, _, others_BS = model.decoder.step(torch.randn_like(first_BE), state, memory)
    assert not torch.allclose(weights_BS, others_BS)


def test_every_parameter_learns():
    for attention in KINDS:
        model = build(attention, layers=2)
        loss(model, collate(SOURCES, TARGETS)).backward()
        idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
        assert idle == [], attention


def test_reversal_leaves_padding_in_place():
    reversed_BS = reverse_within_length(torch.tensor([3, 1, 4]), 4)
    assert reversed_BS.tolist() == [[2, 1, 0, 3], [0, 1, 2, 3], [3, 2, 1, 0]]
    assert torch.gather(reversed_BS, 1, reversed_BS).tolist() == [[0, 1, 2, 3]] * 3


def test_batches_hold_inputs_and_outputs_of_the_decoder():
    batch = collate([[7, 8]], [[5, 6, 9]])
    assert batch.source_BS.tolist() == [[7, 8, EOS]]
    assert batch.input_BT[:, 1:].tolist() == batch.output_BT[:, :-1].tolist() == [[5, 6, 9]]
    assert batch.output_BT[0, -1] == EOS
    assert batch.tokens == 4


def test_a_tied_table_is_one_parameter():
    tied, untied = build(tie=True), build(tie=False)
    assert tied.decoder.vocabulary.weight is tied.decoder.embedding.weight
    size = lambda model: sum(p.numel() for p in model.parameters())  # noqa: E731
    assert size(untied) - size(tied) == 16 * 10
