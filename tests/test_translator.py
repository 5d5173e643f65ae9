"""The translator: order, batches, edges of input, what it explains."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from seq2seq import Translator, model_folder
from seq2seq.errors import UserError
from seq2seq.model import Config, Seq2Seq
from seq2seq.translator import DECODING, Decoding
from seq2seq.vocabulary import FILE, WORDS_FILE, Vocabulary, learn

WORDS = "der Hund die Katze schläft läuft im Haus und nicht".split()
TEXTS = ["der Hund schläft", "die Katze läuft im Haus und schläft nicht", "", "Hund", "  \t ", "東京"]


@pytest.fixture(scope="module", params=["additive", "none"])
def folder(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    draw = random.Random(2)
    sentences = [" ".join(draw.choices(WORDS, k=6)) for _ in range(200)]
    model, size = learn(
        sentences, algorithm="unigram", size=300, character_coverage=1.0, normalization="nmt_nfkc"
    )
    (folder / FILE).write_bytes(model)
    (folder / WORDS_FILE).write_text("\n".join(w.casefold() for w in WORDS) + "\n")
    torch.manual_seed(1)
    built = Seq2Seq(
        Config(
            vocabulary_size=size,
            embedding_size=8,
            hidden_size=8,
            attention_size=8,
            layers=1,
            attention=request.param,
            dropout=0.5,
            tie_embeddings=True,
        )
    )
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.mul_(3)
    model_folder.save(built, folder)
    return folder


@pytest.mark.parametrize("beam", [1, 3])
def test_texts_come_back_in_order_and_alike_in_any_batch(folder, beam):
    translator = Translator.from_folder(folder)
    together = translator.translate(TEXTS, beam=beam, max_length=12, batch_size=2)
    alone = [translator.translate([t], beam=beam, max_length=12)[0] for t in TEXTS]
    assert together == alone
    assert together[2] == together[4] == ""
    assert all(together[i] for i in (0, 1, 3, 5))


def test_no_texts_give_no_translations(folder):
    assert Translator.from_folder(folder).translate([]) == []


def test_a_full_translation_says_where_it_looked(folder):
    translator = Translator.from_folder(folder)
    full = translator.translate_fully(TEXTS[:3], beam=2, max_length=10)
    assert [t.text for t in full] == translator.translate(TEXTS[:3], beam=2, max_length=10)
    for translation in full[:2]:
        assert translation.score < 0
        assert translation.source_pieces[-1] == translation.target_pieces[-1] == "</s>"
        if translator.model.config.attention == "none":
            assert translation.attention_TS is None
        else:
            rows, columns = translation.attention_TS.shape
            assert (rows, columns) == (len(translation.target_pieces), len(translation.source_pieces))
            np.testing.assert_allclose(translation.attention_TS.sum(1), 1, atol=1e-5)


def test_attention_to_given_targets_is_that_of_saying_them(folder):
    translator = Translator.from_folder(folder)
    full = translator.translate_fully(TEXTS[:3], beam=2, max_length=10)
    given = translator.attend(TEXTS[:3], [t.text for t in full], batch_size=2)
    for found, said in zip(full, given, strict=True):
        if found.target_pieces != said.target_pieces or not found.source_pieces:
            continue  # what was found need not be how the vocabulary spells it
        assert said.text == found.text
        if said.attention_TS is not None:
            np.testing.assert_allclose(said.attention_TS, found.attention_TS, atol=1e-5)
    [one] = translator.attend(["Der Hund"], ["A dog"])
    assert one.text == "A dog"
    assert one.score < 0


def test_words_never_seen_in_training_are_named(folder):
    translator = Translator.from_folder(folder)
    assert translator.unknown_words("Der HUND sieht das Xylophon.") == ["sieht", "das", "xylophon"]


def test_a_text_beyond_all_sentences_is_refused_with_the_remedy(folder):
    with pytest.raises(UserError, match=r"too long, at most 500: split it into sentences"):
        Translator.from_folder(folder).translate(["Hund " * 600])


def test_decoding_settings_of_a_registered_model_are_its_defaults(folder, tmp_path):
    registered = tmp_path / "registered"
    shutil.copytree(folder, registered)
    (registered / DECODING).write_text('{"beam": 3, "length_penalty": 0.6, "max_length": 4}')
    translator = Translator.from_folder(registered)
    assert translator.decoding == Decoding(3, 0.6, 4)
    plain = Translator.from_folder(folder)
    assert translator.translate(TEXTS) == plain.translate(TEXTS, 3, 0.6, 4)
    assert model_folder.digest(registered) == model_folder.digest(folder)


def test_the_precision_of_a_registered_model_is_honoured(folder, tmp_path):
    registered = tmp_path / "registered"
    shutil.copytree(folder, registered)
    how = Decoding(2, 1.0, 8, "bf16")
    (registered / DECODING).write_text(json.dumps(how._asdict()))
    translator = Translator.from_folder(registered)
    assert translator.decoding == how
    scores = {
        precision: [t.score for t in translator.translate_fully(TEXTS[:2], precision=precision)]
        for precision in (None, "bf16", "fp32")
    }
    assert scores[None] == scores["bf16"] != scores["fp32"]
    assert scores["bf16"] == pytest.approx(scores["fp32"], rel=0.1)


def test_settings_that_make_no_search_are_refused(folder):
    translator = Translator.from_folder(folder)
    with pytest.raises(UserError, match="beam: 0 is not allowed"):
        translator.translate(["Hund"], beam=0)
    with pytest.raises(UserError, match="max_length: 0 is not allowed, it should be from 1 to 1000"):
        translator.translate(["Hund"], max_length=0)
    for penalty in (float("nan"), 1000.0):
        with pytest.raises(UserError, match=r"length_penalty: .* is not allowed"):
            translator.translate(["Hund"], length_penalty=penalty)
    with pytest.raises(UserError, match="precision: 'fp16' is not allowed, it should be fp32 or bf16"):
        translator.translate(["Hund"], precision="fp16")
    with pytest.raises(UserError, match="batch_size: 0 is not allowed"):
        translator.translate(["Hund"], batch_size=0)


def test_a_missing_folder_or_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere is not a model folder"):
        Translator.from_folder(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"config\.json is missing"):
        Translator.from_folder(tmp_path)


def test_the_vocabulary_of_a_model_folder_is_its_own(folder):
    assert Vocabulary.load(folder).decode(Vocabulary.load(folder).encode("der Hund")) == "der Hund"
