"""Placeholders of documents: text that a model with symbols copies, else marks that alignment places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data.placeholders import SYMBOLS
from seq2seq.data.vocabulary import Vocabulary, learn
from seq2seq.documents import pages
from seq2seq.inference.decoding import Decoding
from seq2seq.inference.translator import Translator
from seq2seq.nn.model import Config, Seq2Seq
from tests.support.words import Words, rendered

pytest.importorskip("markdown_it", reason="the extra `documents` is not installed")

TEXT = "{name} hat **%d rote** Äpfel von https://a.org/b_c, und [{{ x }}](a) nicht.\n"
WORDS, UPPER = ("eins", "und", "zwei"), ("EINS", "UND", "ZWEI")
XLIFF = """<xliff version="1.2"><file><body><trans-unit id="1">
<source>Hallo {% if a &gt; b %}<g id="1">lieber {name}</g> von <x id="2"/>Haus.</source>
</trans-unit></body></file></xliff>"""


def segments(text: str, format: str, protects: bool) -> list[str]:
    """The texts that a model gets."""
    words = Words()
    assert rendered(pages.parse(text, format), words, protects) == text
    return words.texts


def test_a_model_with_symbols_gets_placeholders_as_text():
    assert segments(TEXT, "md", protects=False) == ["hat rote Äpfel von , und  nicht."]
    whole = "{name} hat %d rote Äpfel von https://a.org/b_c, und {{ x }} nicht."
    assert segments(TEXT, "md", protects=True) == [whole]
    assert segments("<p><b>{a}</b> kommt</p>", "html", protects=False) == ["kommt"]
    assert segments("<p><b>{a}</b> kommt</p>", "html", protects=True) == ["{a} kommt"]
    assert segments("<p>{a} %s</p>", "html", protects=True) == []


@pytest.mark.parametrize("protects", [False, True])
def test_they_are_written_as_the_document_has_them(protects):
    change = lambda word: word if "{" in word or "/" in word else word.upper()  # noqa: E731
    page = "<p>Eins &amp; {{a&gt;b&&c}} zwei https://a.org/?b&amp;c_d drei</p>"
    upper = "<p>EINS &amp; {{a&gt;b&&c}} ZWEI https://a.org/?b&amp;c_d DREI</p>"
    assert rendered(pages.parse(page, "html"), Words(change), protects) == upper
    special = lambda word: word.replace("zwei", "z_i")  # noqa: E731
    assert rendered(pages.parse("{a_b} zwei\n", "md"), Words(special), protects) == "{a_b} z\\_i\n"


def test_a_sentence_with_more_placeholders_than_symbols_has_marks():
    many = "Hallo " + " ".join(f"{{v{number}}}" for number in range(len(SYMBOLS) + 1))
    assert segments(many, "md", protects=True) == ["Hallo"]
    assert segments(many.removesuffix(" {v9}"), "md", protects=True) == [many.removesuffix(" {v9}")]


def test_markup_around_a_placeholder_stays_around_it():
    assert rendered(pages.parse("Das **{name} da** schläft\n", "md"), Words(reverse=True), True) == (
        "schläft **da {name}** Das\n"
    )
    assert rendered(pages.parse("<p>Ein <b>{a}</b> und {a}</p>", "html"), Words(reverse=True), True) == (
        "<p><b>{a}</b> und {a} Ein</p>"
    )


@pytest.mark.parametrize("end", ["</p>", " <b>da</b></p>"])
def test_equal_placeholders_keep_the_forms_of_the_document(end):
    change = lambda word: word if "a>b" in word else word.upper()  # noqa: E731
    page, upper = (f"<p>{one} {{{{a&gt;b}}}} {two} {{{{a>b}}}} {three}" for one, two, three in (WORDS, UPPER))
    assert rendered(pages.parse(page + end, "html"), Words(change), True) == upper + end.replace("da", "DA")


def test_code_before_a_placeholder_has_a_blank_after_it():
    text = "Das Haus `x` {{y}} steht\n"
    assert rendered(pages.parse(text, "md"), Words(str.upper), True) == "DAS HAUS `x` {{Y}} STEHT\n"


@given(
    st.lists(st.sampled_from(["{a}", "%s", "<b>", "</b>", "eins", "Zwei.", "&amp;", "5 km", "x@y.org"])),
    st.booleans(),
    st.booleans(),
)
def test_no_placeholder_and_no_tag_is_lost(words, reverse, protects):
    text = " ".join(words)
    found = rendered(pages.parse(text, "html"), Words(reverse=reverse), protects)
    for one in ("{a}", "%s", "<b>", "</b>", "x@y.org"):
        assert found.count(one) == text.count(one)


@pytest.fixture(scope="module")
def translator() -> Translator:
    """An untrained model with symbols, whose translations lack most of them before they are put back."""
    pieces, size = learn(
        ["Hallo lieber Hund, die Katze hat rote Äpfel", "hello dear dog, the cat has red apples"] * 20,
        algorithm="unigram",
        size=330,
        character_coverage=1.0,
        normalization="nmt_nfkc",
        symbols=SYMBOLS,
    )
    torch.manual_seed(1)
    sizes: Any = {"embedding_size": 8, "hidden_size": 8, "attention_size": 8, "layers": 1}
    config = Config(vocabulary_size=size, attention="dot", dropout=0.0, tie_embeddings=True, **sizes)
    return Translator(Seq2Seq(config), Vocabulary(pieces), Decoding(beam=2, max_length=9))


@pytest.mark.parametrize(("text", "name"), [(TEXT, "a.md"), (f"<p>{TEXT}</p>", "a.html"), (XLIFF, "a.xlf")])
def test_a_translator_with_symbols_copies_them(translator, text, name, tmp_path: Path):
    asked: list[str] = []

    def translate(texts, attend):
        asked.extend(texts)
        return translator.translate_fully(texts, warn=False, divide=True, attend=attend)

    (tmp_path / name).write_text(text, encoding="utf-8")
    format = {"a.md": "md", "a.html": "html", "a.xlf": "xliff"}[name]
    how = pages.Settings(languages=("de", "en"), protects=translator.protects)
    found = pages.translate(tmp_path / name, format, translate, how).data.decode()
    target = found.partition("<target")[2] or found
    wanted = ["{% if a &gt; b %}", "{name}", '<g id="1">', "</g>", '<x id="2"/>']
    for one in wanted if format == "xliff" else ["{name}", "%d", "https://a.org/b_c", "{{ x }}"]:
        assert target.count(one) == 1, found
    assert any("{name}" in text for text in asked)
    assert "⟦" not in found
