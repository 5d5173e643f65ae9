"""The translator: order, batches, sentences, unusual input, warnings, attention."""

import json
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq import Translator
from seq2seq.common.errors import UserError
from seq2seq.data import direction
from seq2seq.data.direction import Direction, Side
from seq2seq.data.vocabulary import FILE, WORDS_FILE, Vocabulary, learn
from seq2seq.inference import doubts, sentences
from seq2seq.inference.decoding import FILE as DECODING
from seq2seq.inference.decoding import Decoding
from seq2seq.inference.doubts import Doubts, TextWarning
from seq2seq.inference.hypothesis import Hypothesis
from seq2seq.inference.translation import combined_score, concatenated
from seq2seq.nn import model_folder
from seq2seq.nn.model import Config, Seq2Seq

WORDS = "der Hund die Katze schläft läuft im Haus und nicht".split()
TEXTS = ["der Hund schläft", "die Katze läuft im Haus und schläft nicht", "", "Hund", "  \t ", "東京"]
THREE = ["der Hund schläft.", "die Katze schläft nicht.", "Katze und Hund?"]
# Most texts here are unlike the few words of training.
pytestmark = pytest.mark.filterwarnings("ignore::seq2seq.inference.doubts.TextWarning")


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
def test_order_and_translations_do_not_depend_on_batches(folder, beam):
    translator = Translator.from_folder(folder)
    together = translator.translate(TEXTS, beam=beam, max_length=12, batch_size=2)
    alone = [translator.translate([t], beam=beam, max_length=12)[0] for t in TEXTS]
    assert together == alone
    assert together[2] == together[4] == ""
    assert all(together[i] for i in (0, 1, 3, 5))


def test_no_texts_give_no_translations(folder):
    assert Translator.from_folder(folder).translate([]) == []


def test_a_full_translation_has_attention_weights(folder):
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


def test_attention_to_given_targets_is_that_of_the_search(folder):
    translator = Translator.from_folder(folder)
    full = translator.translate_fully(TEXTS[:3], beam=2, max_length=10)
    given = translator.attend(TEXTS[:3], [t.text for t in full], batch_size=2)
    for found, forced in zip(full, given, strict=True):
        if found.target_pieces != forced.target_pieces or not found.source_pieces:
            continue  # the vocabulary may segment the text into other pieces
        assert forced.text == found.text
        if forced.attention_TS is not None:
            np.testing.assert_allclose(forced.attention_TS, found.attention_TS, atol=1e-5)
    [one] = translator.attend(["Der Hund"], ["A dog"])
    assert one.text == "A dog"
    assert one.score < 0


def test_words_outside_the_training_data_are_named(folder):
    translator = Translator.from_folder(folder)
    assert translator.unknown_words("Der HUND sieht das Xylophon.") == ["sieht", "das", "xylophon"]


@pytest.mark.slow
def test_a_text_that_is_too_long_is_refused_with_the_remedy(folder):
    translator = Translator.from_folder(folder)
    with pytest.raises(
        UserError, match=r"text 1: a sentence of 600 tokens is too long, at most 500: divide it"
    ):
        translator.translate(["Hund", "Hund " * 600])
    long = " ".join(["der Hund läuft."] * 130)
    assert translator.refusals([long, "Hund " * 600], True).keys() == {1}
    assert translator.refusals([long], False) == {
        0: "a text of 520 tokens is too long, at most 500: divide it"
    }
    assert translator.translate([long]) == [" ".join(translator.translate(["der Hund läuft."]) * 130)]


@pytest.mark.slow
def test_a_text_that_is_too_long_is_divided_if_asked(folder):
    translator = Translator.from_folder(folder)
    long = "der Hund läuft, " * 200 + "und die Katze schläft"
    [found, other] = translator.translate_fully([long, "Hund"], max_length=50, divide=True, attend=False)
    assert found.splits >= 15
    assert other.splits == 0
    assert found.attention_TS is None
    assert translator.translate([long, "Hund"], max_length=50, divide=True) == [found.text, other.text]
    [attended, _] = translator.translate_fully([long, "Hund"], max_length=50, divide=True)
    assert (attended.text, attended.splits) == (found.text, found.splits)
    assert attended.source_pieces


def test_a_sentence_whose_translation_does_not_end_is_divided(folder, monkeypatch):
    translator = Translator.from_folder(folder)
    searched = []

    def search(sources, how, batch_size):
        searched.append(list(map(len, sources)))
        return [[Hypothesis(ids, -1.0, ended=len(ids) < 20)] for ids in sources]

    monkeypatch.setattr(translator._engine, "search", search)
    text = "der Hund läuft und die Katze schläft " * 10
    [found] = translator.translate_fully([text.strip()], divide=True, attend=False)
    assert found.text == text.strip()  # nothing is lost
    assert found.splits == sum(map(len, searched[1:])) // 2 > 2
    assert searched[0] > searched[1] > searched[2]
    [cut] = translator.translate_fully([text.strip()])
    assert cut.splits == 0


def test_confidence_needs_a_calibration_and_no_length_penalty(folder, tmp_path):
    plain = Translator.from_folder(folder)
    texts = ["der Hund läuft. die Katze", ""]
    [raw, empty] = plain.translate_fully(texts, beam=2, max_length=10, attend=False)
    assert (raw.confidence, empty.confidence, empty.mean_log_probability) == (None, None, None)
    assert raw.mean_log_probability == raw.score  # the default penalty is 1
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    curve = {"slope": 2.0, "intercept": 1.0, "bad_below": 50.0}
    (copy / "confidence.json").write_text(json.dumps({"calibration": curve}))
    calibrated = Translator.from_folder(copy)
    for penalty in (1.0, 0.0):
        [found, empty] = calibrated.translate_fully(texts, 2, penalty, 10, attend=False)
        exponent = 2.0 * found.mean_log_probability + 1.0
        assert found.confidence == pytest.approx(1 / (1 + np.exp(-exponent)))
        assert empty.confidence is None
    assert found.score < found.mean_log_probability  # without a penalty it is the sum
    (copy / "confidence.json").write_text(json.dumps({"calibration": None}))
    assert Translator.from_folder(copy).calibration is None


def test_a_document_keeps_its_layout(folder):
    translator = Translator.from_folder(folder)
    text = "der Hund läuft\n\n  - die Katze schläft\n  - Hund\n\n\tKatze  \n"
    found = translator.translate_document(text, warn=False)
    lines = translator.translate(["der Hund läuft", "die Katze schläft", "Hund", "Katze"])
    assert found.text == "{}\n\n  - {}\n  - {}\n\n\t{}  \n".format(*lines)
    assert (len(found.segments), found.splits) == (4, 0)
    with pytest.raises(UserError, match="null is not a text"):
        translator.translate_document(None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null is not a text"),
        (float("nan"), "null is not a text"),
        (5, "5 is a number, not a text"),
        (True, "True is a bool, not a text"),
        ({"a": 1}, "{'a': 1} is of type dict, not a text"),
        ("a\ud800", "it is not valid Unicode: half of a surrogate pair"),
    ],
)
def test_values_that_are_not_texts_are_refused_by_their_index(folder, value, reason):
    translator = Translator.from_folder(folder)
    assert translator.refusals(["Hund", value, ""]) == {1: reason}
    for translate in (translator.translate, translator.translate_fully):
        with pytest.raises(UserError) as raised:
            translate(["Hund", value])
        assert str(raised.value).startswith(f"text 1: {reason}")


def test_a_text_of_several_sentences_is_translated_one_by_one(folder):
    translator = Translator.from_folder(folder)
    one, two, three = translator.translate(THREE, beam=2, max_length=10)
    texts = [" ".join(THREE), "\n\n".join(THREE) + "\n", THREE[0], "", f" {THREE[0]}\t{THREE[1]}", "Hund"]
    found = translator.translate(texts, beam=2, max_length=10, batch_size=2)
    assert found[:3] == [f"{one} {two} {three}", f"{one}\n\n{two}\n\n{three}\n", one]
    assert found[3:5] == ["", f" {one}\t{two}"]
    whole = translator.translate(texts, beam=2, max_length=10, split_sentences=False)
    assert whole[0] != found[0]
    assert whole[2:4] + whole[5:] == found[2:4] + found[5:]


def test_sentences_have_one_score_and_one_attention(folder):
    translator = Translator.from_folder(folder)
    [whole, empty] = translator.translate_fully([" ".join(THREE), ""], beam=2, max_length=10)
    parts = translator.translate_fully(THREE, beam=2, max_length=10)
    assert whole.text == " ".join(part.text for part in parts)
    for side in ("source_pieces", "target_pieces"):
        joined = [piece for part in parts for piece in getattr(part, side)[:-1]]
        assert getattr(whole, side) == [*joined, "</s>"]
    # Under length penalty 1 a score is the mean of a sentence's tokens.
    assert min(part.score for part in parts) <= whole.score <= max(part.score for part in parts)
    assert (empty.text, empty.score, empty.source_pieces) == ("", 0.0, [])
    if translator.model.config.attention == "none":
        assert whole.attention_TS is None
        return
    attention = whole.attention_TS
    assert attention.shape == (len(whole.target_pieces), len(whole.source_pieces))
    np.testing.assert_allclose(attention.sum(1), 1, atol=1e-5)
    rows, columns = len(parts[0].target_pieces) - 1, len(parts[0].source_pieces) - 1
    np.testing.assert_allclose(attention[:rows, :columns], parts[0].attention_TS[:-1, :-1], atol=1e-6)
    assert not attention[:rows, columns:-1].any()
    assert not attention[rows:, :columns].any()
    np.testing.assert_allclose(attention[-1, -1], parts[2].attention_TS[-1, -1], atol=1e-6)


def test_the_score_of_sentences_is_by_all_their_tokens():
    one, two = Hypothesis([5, 6], -3.0, True), Hypothesis([5] * 10, -8.0, False)
    assert combined_score([one], 0.7) == one.score(0.7)
    assert combined_score([one, two], 1.0) == pytest.approx(-11 / 13)
    assert combined_score([one, two], 0.0) == -11
    assert combined_score([], 1.0) == 0.0
    assert concatenated([]).source_pieces == []


@given(st.text(st.sampled_from("ab Hundkrä,-'’12\t東मि")))
@settings(max_examples=50)
def test_a_text_without_a_boundary_is_not_split(text):
    assert sentences.split(text, None) is None
    assert sentences.split(text.strip() + ".", "de") is None
    assert sentences.split(text + "\n", "de") is None


@pytest.mark.slow
def test_texts_unlike_the_training_data_give_one_warning_a_call(folder):
    translator = Translator.from_folder(folder)
    texts = [
        "der Hund schläft",
        "DER HUND SCHLÄFT",
        "東京は雨です",
        "das Xylophon sieht Ypsilon",
        "Katze 12 34",
        "HUND",
    ]
    assert [bool(translator.doubts(text)) for text in texts] == [False, True, True, True, False, False]
    with pytest.warns(TextWarning) as caught:
        translator.translate(texts)
    [warning] = caught
    assert str(warning.message) == (
        "text 1: it is in capitals, which are rare in the training data; "
        "text 2: it is written in Han, Hiragana, the training source in Latin; "
        "text 3: 4 of its 4 words are not in the training data"
    )
    assert warning.filename == __file__
    with pytest.warns(TextWarning, match=r"text 0: .*; and 2 more$"):
        translator.translate_fully(["DER HUND SCHLÄFT"] * 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        translator.translate(texts, warn=False)
        translator.translate(texts[:1])


def test_stored_warnings_are_bounded(folder, monkeypatch):
    monkeypatch.setattr(doubts, "MAX_WARNED", 5)
    translator = Translator.from_folder(folder)
    before = len(globals().get("__warningregistry__", {}))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for count in [1, 1, *range(1, 13)]:
            translator.translate(["Xylophon " * count], max_length=1)
    assert len(caught) == 12  # the same one at the same line is shown once
    assert len(globals().get("__warningregistry__", {})) == before
    assert 0 < len(translator._warnings.shown) <= 5


def letters(first, count):
    return map(chr, range(first, first + count))


LATIN = [f"a{number}" for number in range(6000)]
HAN, HANGUL = [*letters(0x4E00, 3000)], [*letters(0xAC00, 4000)]
KANA = [*letters(0x3041, 83), *letters(0x30A1, 86)]
THAI = [c + mark for c in letters(0xE01, 46) for mark in ("", *letters(0xE34, 4))]


@pytest.mark.parametrize(
    ("known", "usual", "unusual"),
    [
        ([*HAN, *KANA, *LATIN], ["これはペンです", "ピアノ", "一丁七万丈", "noraan"], ["это дом", "บ้านหลังนี้"]),
        ([*HAN, *KANA[:20], *LATIN], ["一丁七万丈"], ["これはペンです", "한국어입니다"]),
        ([*HANGUL, *HAN[:20], *LATIN], ["한국어", "一丁"], ["これはペンです", "это дом"]),
        ([*THAI, *(f"{word}b{n}" for word in LATIN for n in range(5))], ["กขคงจ"], ["これはペンです"]),
        ([*LATIN, *THAI[:40]], ["nanr"], ["กขคงจ", "一丁"]),
    ],
)  # fmt: skip
def test_scripts_of_one_language_count_together(folder, known, usual, unusual):
    found = Doubts(Vocabulary.load(folder), frozenset(known))

    def foreign(texts):
        return [any("it is written in" in reason for reason in found.of(text)) for text in texts]

    assert (foreign(usual), foreign(unusual)) == ([False] * len(usual), [True] * len(unusual))


def test_a_folder_without_words_detects_only_capitals(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / WORDS_FILE).unlink()
    translator = Translator.from_folder(tmp_path / "copy")
    assert translator.doubts("das Xylophon") == translator.doubts("東京") == []
    assert translator.doubts("DER HUND SCHLÄFT")


def test_a_version_from_before_the_splitter_does_not_split(folder, tmp_path):
    registered = tmp_path / "registered"
    shutil.copytree(folder, registered)
    text = " ".join(THREE)
    (registered / DECODING).write_text('{"beam": 2, "length_penalty": 1.0, "max_length": 10}')
    old = Translator.from_folder(registered)
    assert old.decoding == Decoding(2, 1.0, 10, "fp32", False)
    (registered / DECODING).write_text(json.dumps(Decoding(2, 1.0, 10).stored("de-AT")))
    new = Translator.from_folder(registered)
    assert (new.decoding, new.source_language) == (Decoding(2, 1.0, 10), "de-AT")
    assert old.translate([text]) == new.translate([text], split_sentences=False) != new.translate([text])


@pytest.mark.slow
def test_the_source_language_is_that_of_the_model_folder(folder, tmp_path):
    assert Translator.from_folder(folder).source_language is None
    shutil.copytree(folder, tmp_path / "copy")
    direction.write(tmp_path / "copy", Direction(Side("de")))
    translator = Translator.from_folder(tmp_path / "copy")
    assert translator.source_language == "de"
    # An ordinal number ends no sentence in German.
    assert len(translator.translate_fully(["am 3. Mai"])[0].source_pieces) == len(
        translator.translate_fully(["am 3. Mai"], split_sentences=False)[0].source_pieces
    )


def test_decoding_settings_of_a_registered_model_are_its_defaults(folder, tmp_path):
    registered = tmp_path / "registered"
    shutil.copytree(folder, registered)
    (registered / DECODING).write_text('{"beam": 3, "length_penalty": 0.6, "max_length": 4}')
    translator = Translator.from_folder(registered)
    assert translator.decoding == Decoding(3, 0.6, 4, split_sentences=False)
    plain = Translator.from_folder(folder)
    assert translator.translate(TEXTS) == plain.translate(TEXTS, 3, 0.6, 4)
    assert model_folder.digest(registered) == model_folder.digest(folder)


@pytest.mark.parametrize("rounded", ["bf16", "int8"])
def test_the_precision_of_a_registered_model_is_honoured(folder, tmp_path, rounded):
    registered = tmp_path / "registered"
    shutil.copytree(folder, registered)
    how = Decoding(2, 1.0, 8, rounded)
    (registered / DECODING).write_text(json.dumps(how._asdict()))
    translator = Translator.from_folder(registered)
    assert translator.decoding == how
    scores = {
        precision: [t.score for t in translator.translate_fully(TEXTS[:2], precision=precision)]
        for precision in (None, rounded, "fp32")
    }
    assert scores[None] == scores[rounded] != scores["fp32"]
    assert scores[rounded] == pytest.approx(scores["fp32"], rel=0.1 if rounded == "bf16" else 0.3)


def test_settings_outside_their_limits_are_refused(folder):
    translator = Translator.from_folder(folder)
    with pytest.raises(UserError, match="beam: 0 is not allowed"):
        translator.translate(["Hund"], beam=0)
    with pytest.raises(UserError, match="max_length: 0 is not allowed, it should be from 1 to 1000"):
        translator.translate(["Hund"], max_length=0)
    for penalty in (float("nan"), 1000.0):
        with pytest.raises(UserError, match=r"length_penalty: .* is not allowed"):
            translator.translate(["Hund"], length_penalty=penalty)
    with pytest.raises(UserError, match="precision: 'fp16' is not allowed, it should be fp32, bf16, int8"):
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
