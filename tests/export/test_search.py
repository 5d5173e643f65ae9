"""The exported graphs and their search give the hypotheses of the fast path; int8 comes close."""

import copy

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

from seq2seq.common.errors import UserError
from seq2seq.export import graphs, search
from seq2seq.export.builder import MOST, quantized
from seq2seq.inference import fast_search
from seq2seq.inference.fast_model import FastModel
from seq2seq.nn.batches import collate, source_batch
from tests.support.models import KINDS, SOURCES, TARGETS, build, trained


def exported(model, folder, precision="fp32") -> search.OnnxModel:
    graphs.encoder(model, precision).write(folder / search.ENCODER, {})
    graphs.step(model, precision).write(folder / search.STEP, {})
    return search.OnnxModel(folder, threads=1)


def single(kind, layer_norm=False):
    """A model in float32: trained a little, or with layer normalisation."""
    model = build(kind, layers=2, layer_norm=True) if layer_norm else copy.deepcopy(trained(kind))
    return model.float().eval()


@pytest.mark.slow
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_float32_gives_the_hypotheses_of_the_fast_path(kind, layer_norm, tmp_path):
    model = single(kind, layer_norm)
    ours, fast = exported(model, tmp_path), FastModel(model)
    for beam in (1, 3, 5):
        for penalty in (0.0, 1.0):
            found = search.beam_search(ours, SOURCES, beam, penalty, 12)
            wanted = fast_search.beam_search(fast, *source_batch(SOURCES), beam, penalty, 12)
            assert [(h.ids, h.ended) for h in found] == [(h.ids, h.ended) for h in wanted]
            logs = [h.log_probability for h in wanted]
            assert [h.log_probability for h in found] == pytest.approx(logs, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_attention_of_a_given_target_is_that_of_the_model(kind, tmp_path):
    model = single(kind)
    ours = exported(model, tmp_path)
    for source, target in zip(SOURCES, TARGETS, strict=True):
        batch = collate([source], [target])
        _, weights_BTS = model(batch.source_BS, batch.source_lengths_B, batch.input_BT)
        found = ours.attention(source, target)
        if weights_BTS is None:
            assert found is None
        else:
            assert found == pytest.approx(weights_BTS[0].detach().numpy(), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_int8_is_close(kind, tmp_path):
    model = single(kind)
    ours, fast = exported(model, tmp_path, "int8"), FastModel(model)
    found = search.beam_search(ours, SOURCES, 5, 1.0, 12)
    wanted = fast_search.beam_search(fast, *source_batch(SOURCES), 5, 1.0, 12)
    assert sum(a.ids == b.ids for a, b in zip(found, wanted, strict=True)) >= len(SOURCES) - 1
    logs = [h.log_probability for h in wanted]
    assert [h.log_probability for h in found] == pytest.approx(logs, abs=0.3)


def test_a_sentence_alone_has_the_hypothesis_that_it_has_in_a_batch(tmp_path):
    ours = exported(single("additive", layer_norm=True), tmp_path)
    together = search.beam_search(ours, SOURCES, 3, 1.0, 12)
    alone = [search.beam_search(ours, [source], 3, 1.0, 12)[0] for source in SOURCES]
    assert [h.ids for h in alone] == [h.ids for h in together]


@pytest.mark.parametrize("beam", [1, 4])
def test_damaged_weights_are_named(beam, tmp_path):
    model = single("dot")
    with torch.no_grad():
        model.decoder.readout.bias[0] = torch.nan
    with pytest.raises(UserError, match="scores are no numbers"):
        search.beam_search(exported(model, tmp_path), SOURCES, beam, 1.0, 12)


def test_weights_are_rounded_row_by_row():
    weight = np.random.default_rng(1).normal(size=(5, 300)) * [[0.01], [1], [10], [0], [3]]
    whole, scale = quantized(weight.astype(np.float32))
    assert np.abs(whole).max() == MOST
    assert (np.abs(whole * scale[:, None] - weight) <= scale[:, None] / 2 + 1e-6).all()
