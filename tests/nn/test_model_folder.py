"""A model folder: a saved model is loaded unchanged, and errors name the file."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from seq2seq.common.errors import UserError
from seq2seq.nn import model_folder
from seq2seq.nn.batches import collate
from seq2seq.nn.model import Seq2Seq
from seq2seq.nn.model_folder import CONFIG, FORMAT, WEIGHTS
from tests.support.models import KINDS, SOURCES, TARGETS, build

ADDITIVE = build().config


def saved(folder: Path, **changes) -> Seq2Seq:
    """A model, written into a folder."""
    model = Seq2Seq(dataclasses.replace(ADDITIVE, **changes))
    model_folder.save(model, folder)
    return model


def rewrite(folder: Path, change) -> None:
    """Apply `change` to the stored config of a folder."""
    stored = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(change(stored)))


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize(("tie", "layer_norm"), [(True, False), (False, False), (True, True)])
def test_saved_and_loaded_is_the_same_model(tmp_path: Path, attention, tie, layer_norm):
    model = saved(tmp_path, attention=attention, tie_embeddings=tie, layer_norm=layer_norm)
    batch = collate(SOURCES, TARGETS)
    arguments = (batch.source_BS, batch.source_lengths_B, batch.input_BT)
    loaded = model_folder.load(tmp_path)
    assert loaded.config == model.config
    assert torch.equal(model(*arguments)[0], loaded(*arguments)[0])


def test_a_folder_without_the_key_layer_norm_has_none(tmp_path: Path):
    saved(tmp_path)
    rewrite(tmp_path, lambda stored: stored["model"].pop("layer_norm") or stored)
    assert model_folder.load(tmp_path).config == ADDITIVE


def test_parameters_keep_their_names_in_files_and_load_by_those_of_the_modules_too(tmp_path: Path):
    model = saved(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    assert "encoder.rightward.0.weight_ih_l0" in weights
    assert "encoder.backward_lstm.0.weight_hh_l0" in dict(model.named_parameters())
    by_module = {name: p.detach().contiguous() for name, p in model.named_parameters()}
    assert weights.keys() != by_module.keys()
    save_file(by_module, tmp_path / WEIGHTS)
    for (name, p), loaded in zip(
        model.named_parameters(), model_folder.load(tmp_path).parameters(), strict=True
    ):
        assert torch.equal(p, loaded), name


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("before", [1, 2])
def test_earlier_formats_are_read_where_they_mean_the_same(tmp_path: Path, attention, before):
    model = saved(tmp_path, attention=attention)
    rewrite(tmp_path, lambda stored: stored | {"format": before})
    if attention == "none":
        assert model_folder.load(tmp_path).config == model.config
    else:
        with pytest.raises(UserError, match=f"format {before}, this code reads format {FORMAT}"):
            model_folder.load(tmp_path)


@pytest.mark.parametrize("rest", [{"model": dataclasses.asdict(ADDITIVE)}, {}])  # whatever its layout
def test_an_unknown_format_is_named(tmp_path: Path, rest):
    saved(tmp_path)
    rewrite(tmp_path, lambda _: {"format": 7} | rest)
    with pytest.raises(UserError, match=f"format 7, this code reads format {FORMAT}"):
        model_folder.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "odd"),
    [("attention", "dot", r"decoder\.attention"), ("attention_size", 1, r"decoder\.attention\.energy")],
)
def test_weights_that_do_not_fit_the_config_are_named(tmp_path: Path, key, value, odd):
    saved(tmp_path)
    rewrite(tmp_path, lambda stored: stored | {"model": stored["model"] | {key: value}})
    with pytest.raises(UserError, match=f"disagree about {odd}"):
        model_folder.load(tmp_path)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_missing_file_is_named(tmp_path: Path, name):
    saved(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        model_folder.load(tmp_path)
