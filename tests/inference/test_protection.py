"""Protected spans: the input of the model, the choice of a hypothesis, and the restored translation."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.common.errors import UserError
from seq2seq.data.placeholders import SYMBOLS, spans
from seq2seq.data.vocabulary import FILE, Vocabulary, learn
from seq2seq.inference.engine import Engine
from seq2seq.inference.glossary import Glossary
from seq2seq.inference.hypothesis import Hypothesis
from seq2seq.inference.protection import Protection
from seq2seq.inference.translation import Translation
from seq2seq.inference.translator import Translator
from seq2seq.nn import model_folder
from seq2seq.nn.model import Config, Seq2Seq

SENTENCES = ["der Hund schläft im Haus", "die Katze läuft in den Garten", "the dog and a cat"] * 5


def learnt(symbols):
    """A model file of SentencePiece."""
    model, _ = learn(
        SENTENCES,
        algorithm="unigram",
        size=320,
        character_coverage=1.0,
        normalization="nmt_nfkc",
        symbols=symbols,
    )
    return model


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(learnt(SYMBOLS))


def untrained(vocabulary, attention="dot"):
    torch.manual_seed(1)
    return Seq2Seq(
        Config(
            vocabulary_size=vocabulary.size,
            embedding_size=8,
            hidden_size=8,
            attention_size=8,
            layers=1,
            attention=attention,
            dropout=0.0,
            tie_embeddings=True,
        )
    )


def hypothesis(vocabulary, text, score=-1.0):
    return Hypothesis(vocabulary.encode(text), score, ended=True)


def settled(vocabulary, text, outputs, attention="dot", glossary=None):
    """The translation of a sentence for which a search has found `outputs`, the best first."""
    protection = Protection(vocabulary, glossary)
    marked = protection.mark(text)
    [ids] = protection.encode([marked])
    found = [hypothesis(vocabulary, output) for output in outputs]
    [chosen] = protection.settle(
        [marked], [ids], [found], Engine(untrained(vocabulary, attention), vocabulary, None)
    )
    return protection.restore(marked, vocabulary.decode(chosen.ids))


def test_symbols_are_pieces_of_their_own_and_only_with_masked_spans(vocabulary):
    assert len(vocabulary.symbols) == len(SYMBOLS)
    assert vocabulary.decode(vocabulary.encode("der ⟦2⟧Hund⟦9⟧")) == "der ⟦2⟧Hund⟦9⟧"
    assert set(vocabulary.encode("⟦2⟧Hund")) & set(vocabulary.symbols) == {vocabulary.symbols[1]}
    plain = Vocabulary(learnt(()))
    assert plain.symbols == []
    protection = Protection(plain, None)
    assert protection.mark("siehe {name}") == "siehe {name}"
    assert protection.restore("siehe {name}", "see ⟦1⟧") == "see ⟦1⟧"


def test_the_model_reads_symbols_and_the_user_the_spans(vocabulary):
    text = "Hund {a} läuft nach www.example.org"
    protection = Protection(vocabulary, None)
    [ids] = protection.encode([protection.mark(text)])
    assert vocabulary.decode(ids) == "Hund ⟦1⟧ läuft nach ⟦2⟧"
    assert settled(vocabulary, text, ["to ⟦2⟧ runs dog ⟦1⟧"]) == "to www.example.org runs dog {a}"


def test_a_term_gets_the_translation_of_the_glossary(vocabulary):
    glossary = Glossary({"Hund": "hound", "example": "no"})
    assert (
        settled(vocabulary, "Hund www.example.org", ["⟦1⟧ ⟦2⟧"], glossary=glossary) == "hound www.example.org"
    )


def test_the_best_hypothesis_with_all_symbols_is_taken(vocabulary):
    assert (
        settled(vocabulary, "{a} und {b}", ["⟦1⟧", "⟦1⟧ ⟦1⟧", "⟦2⟧ and ⟦1⟧", "⟦1⟧ and ⟦2⟧"]) == "{b} and {a}"
    )


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["dot", "none"])
@given(words=st.lists(st.sampled_from(["dog", "⟦1⟧", "⟦2⟧", "⟦7⟧", "and"]), max_size=6))
def test_every_span_is_in_the_translation_once(vocabulary, attention, words):
    found = settled(vocabulary, "{a} und {b} schläft", [" ".join(words)], attention)
    assert (found.count("{a}"), found.count("{b}")) == (1, 1)
    assert "⟦" not in found
    assert [word for word in found.split() if word in ("dog", "and")] == [
        w for w in words if w in ("dog", "and")
    ]


def test_a_sentence_without_a_span_gets_no_symbol(vocabulary):
    assert settled(vocabulary, "der Hund", ["the ⟦1⟧ dog", "a dog"]) == "a dog"
    for glued in ("the dog⟦2⟧ runs", "the dog⟦2⟧"):
        assert settled(vocabulary, "der Hund", [glued, glued]) == glued.replace("⟦2⟧", "")
    assert settled(vocabulary, "der Hund", ["the ⟦1⟧ dog ⟦2⟧", "⟦3⟧"]) == "the dog"


def test_more_spans_than_symbols_are_left_to_the_model(vocabulary):
    text = " ".join(f"{{v{number}}}" for number in range(12))
    protection = Protection(vocabulary, None)
    [ids] = protection.encode([protection.mark(text)])
    assert vocabulary.decode(ids) == " ".join([*SYMBOLS, "{v9}", "{v10}", "{v11}"])


@given(text=st.text(st.sampled_from("a \U000f0000\U000f0001⟦1⟧{}%s")))
def test_texts_with_marks_or_symbols_of_their_own_come_back(vocabulary, text):
    protection = Protection(vocabulary, None)
    protection.mark("{first} {second}")
    marked = protection.mark(text)
    [ids] = protection.encode([marked])
    symbols = sum(piece in vocabulary.symbols for piece in ids)
    if symbols < len(SYMBOLS):
        assert protection.restore(marked, vocabulary.decode(ids)) == vocabulary.normalise(
            protection.restore(marked, protection._with_symbols(marked))
        )


def test_pieces_have_the_spans(vocabulary):
    protection = Protection(vocabulary, Glossary({"Hund": "hound"}))
    marked = protection.mark("Hund")
    shown = protection.restore_pieces(
        marked, Translation("a ⟦1⟧", 0.0, ["⟦1⟧", "</s>"], ["▁a", "⟦1⟧", "</s>"], None)
    )
    assert (shown.text, shown.source_pieces, shown.target_pieces) == (
        "a hound",
        ["Hund", "</s>"],
        ["▁a", "hound", "</s>"],
    )


def test_a_translator_protects_by_itself_and_by_a_glossary(tmp_path, vocabulary):
    (tmp_path / FILE).write_bytes(learnt(SYMBOLS))
    model_folder.save(untrained(vocabulary), tmp_path)
    terms = tmp_path / "terms.tsv"
    terms.write_text("Katze\tfelid\n", encoding="utf-8")
    texts = ["Die Katze {name}. Der Hund geht nach www.example.org.", "ohne Spanne", ""]
    translator = Translator.from_folder(tmp_path, glossary=terms)
    found = translator.translate(texts, beam=2, max_length=8, warn=False)
    assert all(found[0].count(span) == 1 for span in ("felid", "{name}", "www.example.org"))
    full = translator.translate_fully(texts, beam=2, max_length=8, warn=False)
    assert [one.text for one in full] == found
    assert "felid" in full[0].target_pieces
    assert (
        found[1:] == Translator.from_folder(tmp_path).translate(texts, beam=2, max_length=8, warn=False)[1:]
    )


def test_a_glossary_without_masked_spans_is_refused(tmp_path):
    plain = Vocabulary(learnt(()))
    with pytest.raises(UserError, match=r"a glossary needs a model trained with masked spans: set tokenize"):
        Translator(untrained(plain), plain, glossary=Glossary({"Hund": "dog"}))


def test_spans_inside_others_and_symbols_as_text_come_back_once(vocabulary):
    assert settled(vocabulary, "⟦2⟧ {name}", ["⟦1⟧ ⟦2⟧"]) == "⟦2⟧ {name}"
    assert settled(vocabulary, "www.a.org/\U000f0000b c", ["⟦1⟧ c"]) == "www.a.org/\U000f0000b c"


@pytest.mark.parametrize(
    "text", ["{" * 100_000, "a" * 100_000, "{{a" * 30_000, "a.b-" * 25_000, "<a " * 30_000]
)
def test_no_text_takes_long_to_search_for_spans(text):
    began = time.process_time()
    assert not list(spans(text))
    assert time.process_time() - began < 2
