"""Training further: the weights are those of the version, which is refused if it does not fit."""

import json
import shutil
from typing import Any

import pytest
import torch

from seq2seq.common import paths
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.schema import NamedVersion
from seq2seq.data import direction
from seq2seq.data.direction import Direction, Side
from seq2seq.data.vocabulary import FILE, PARENT_WORDS_FILE, TARGET_FILE, WORDS_FILE
from seq2seq.nn import model_folder
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.tracking import registry
from seq2seq.training import start
from tests.support import untrained


@pytest.fixture
def version(project, monkeypatch):
    """Version 3 of `wise`, and data/vocabulary as taken over from it."""
    untrained.make()
    paths.VOCABULARY.mkdir(parents=True)
    for name in (FILE, direction.FILE):
        shutil.copyfile(paths.MODEL / name, paths.VOCABULARY / name)
    monkeypatch.setattr(registry, "download_model", {"models:/wise/3": paths.MODEL}.__getitem__)
    return NamedVersion(model="wise", version=3, digest=model_folder.digest(paths.MODEL))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["additive", "dot", "general", "none"])
def test_every_kind_of_attention_is_trained_further(version, kind):
    parent = another(attention=kind)
    model_folder.save(parent, paths.MODEL)
    torch.manual_seed(8)
    model = Seq2Seq(parent.config)
    start.load(model, version.model_copy(update={"digest": model_folder.digest(paths.MODEL)}))
    for name, weight in parent.named_parameters():
        assert torch.equal(weight, dict(model.named_parameters())[name])


def another(**changes) -> Seq2Seq:
    """A model of the version's sizes, except for the changes, and of other weights."""
    config = json.loads((paths.MODEL / model_folder.CONFIG).read_text())["model"]
    torch.manual_seed(7)
    return Seq2Seq(Config(**config | changes))


def test_the_weights_are_those_of_the_version_and_dropout_may_differ(version, capsys):
    model, parent = another(dropout=0.3), model_folder.load(paths.MODEL)
    start.load(model, version)
    for name, weight in parent.named_parameters():
        assert torch.equal(weight, dict(model.named_parameters())[name])
    assert model.config.dropout == 0.3
    assert capsys.readouterr().out == "train: starts from the weights of wise version 3\n"


def test_other_sizes_are_refused_with_the_keys_and_the_command(version):
    wanted = r"start_from: train\.hidden_size is 8 in wise version 3, train\.layers is 1 in .*"
    wanted += r"`seq2seq use --set train\.hidden_size=8 --set train\.layers=1` takes these"
    with pytest.raises(UserError, match=wanted):
        start.load(another(hidden_size=6, layers=2), version)
    with pytest.raises(UserError, match=r"--set train\.attention=additive --set train\.tie_embeddings=true"):
        start.load(another(attention="dot", tie_embeddings=False), version)


def test_the_size_of_additive_attention_matters_to_it_alone():
    model = another_config(attention="dot", attention_size=5)
    assert start.different_keys(model, another_config(attention="general", attention_size=6)) == ["attention"]
    assert start.different_keys(model, another_config(attention="dot", attention_size=6)) == []
    additive = [another_config(attention="additive", attention_size=size) for size in (5, 6)]
    assert start.different_keys(*additive) == ["attention_size"]


def another_config(**changes) -> Config:
    sizes: dict[str, Any] = {"vocabulary_size": 9, "embedding_size": 4, "hidden_size": 4, "layers": 1}
    return Config(**sizes, dropout=0.0, tie_embeddings=True, **changes)


def test_another_vocabulary_is_refused(version):
    shutil.copyfile(paths.VOCABULARY / FILE, paths.VOCABULARY / TARGET_FILE)
    with pytest.raises(UserError, match=r"data/vocabulary is not the vocabulary of wise version 3: .*repro"):
        start.load(another(), version)


def test_other_languages_are_refused(version):
    direction.write(paths.VOCABULARY, Direction(Side("en", "Latin"), Side("de", "Latin")))
    with pytest.raises(UserError, match=r"wise version 3 translates de → en, the corpus is en → de: .*null`"):
        start.load(another(), version)


def test_another_model_under_the_number_is_refused(version):
    with pytest.raises(UserError, match=r"start_from\.digest: .* it is another model; `seq2seq use --set tr"):
        start.load(another(), version.model_copy(update={"digest": "0" * 64}))


def test_an_unreachable_registry_is_no_mistake(version, monkeypatch):
    def fail(name):
        raise TransientError("MLflow is away")

    monkeypatch.setattr(registry, "download_model", fail)
    with pytest.raises(TransientError, match=r"^MLflow is away$"):
        start.load(another(), version)


@pytest.mark.slow
def test_the_words_of_the_version_remain_known(tmp_path):
    (tmp_path / WORDS_FILE).write_text("hund\nneu\n", encoding="utf-8")
    (tmp_path / PARENT_WORDS_FILE).write_text("alt\nhund\n", encoding="utf-8")
    start.add_words(tmp_path, tmp_path)
    assert (tmp_path / WORDS_FILE).read_text(encoding="utf-8") == "alt\nhund\nneu\n"
    (tmp_path / PARENT_WORDS_FILE).unlink()  # the version has none: its words are not known
    start.add_words(tmp_path, tmp_path)
    assert not (tmp_path / WORDS_FILE).exists()
