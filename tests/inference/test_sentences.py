"""Splitting into sentences: boundaries by language, spaces kept, spaces of the target's script."""

import pytest
import sentencex
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.inference import sentences


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        ("de", "Der Hund schläft. Die Katze schläft nicht. Wann kommt der Zug?", 3),
        ("de-AT", "Am 3. Mai kommt Dr. Müller. Er ist z. B. groß.", 2),
        ("en", "Mr. Smith paid $3.50. He left at 5 p.m. on Monday.", 2),
        ("fr", "M. Dupont est là. Où est-il ? Ici !", 3),
        ("ru", "Собака спит. Кошка не спит!", 2),
        ("zh-Hans", "狗在睡觉。猫没睡。火车什么时候来？", 3),
        ("ja", "犬が寝ている。猫は寝ていない。", 2),
        ("hi", "कुत्ता सो रहा है। बिल्ली नहीं सो रही।", 2),
        ("ar", "الكلب نائم. متى يأتي القطار؟ الآن!", 3),
        ("ur", "کتا سو رہا ہے۔ بلی نہیں سو رہی۔", 2),
        ("my", "ခွေးအိပ်နေသည်။ ကြောင်မအိပ်ပါ။", 2),
        ("el", "Πότε έρχεται; Τώρα.", 2),
        ("xx", "Dies hier. Und das.", 2),
        (None, "狗在睡觉。猫没睡。", 2),
        (None, "Titel\n- eins\n- zwei", 3),
        (None, "1. Der Hund", 1),
        (None, "Ja!! ...", 1),
        (None, "Der Hund, der Hund", 1),
        (None, "Der Hund.\n", 1),
        (None, "สุนัขนอนหลับ แมวไม่นอน", 1),
        (None, "...", 1),
        (None, "", 1),
    ],
)
def test_sentences_are_found_in_many_languages(language, text, count):
    found = sentences.split(text, language)
    assert (len(found.parts) if found else 1) == count


@given(
    st.text(st.sampled_from('aB 1.?!。।,\n\r\t\u2028\u3000"”)犬é'), max_size=40),
    st.sampled_from(["de", "ja", None]),
)
def test_the_parts_concatenated_are_the_text(text, language):
    if found := sentences.split(text, language):
        assert "".join(part.before + part.text for part in found.parts) + found.after == text
        assert all(part.text == part.text.strip() != "" for part in found.parts)
        assert len(found.parts) > 1


def test_a_text_without_a_mark_inside_never_reaches_the_library(monkeypatch):
    monkeypatch.setattr(sentencex, "segment", lambda *_: pytest.fail("the library was called"))
    for text in ("Der Hund, die Katze und 'das' Haus", "Der Hund schläft.", "  Ja?! ", "", "शेर" + "।"):
        assert sentences.split(text, "de") is None


def test_translations_are_spaced_as_the_source_and_by_their_script():
    chinese, english = (
        sentences.split("狗在睡觉。猫没睡。", "zh"),
        sentences.split("It is a dog. A cat is here.", "en"),
    )
    assert sentences.join(chinese, ["A dog.", "A cat."]) == "A dog. A cat."
    assert sentences.join(chinese, ["犬。", "猫。"]) == "犬。猫。"
    assert sentences.join(english, ["狗。", "「猫」。"]) == "狗。「猫」。"
    assert sentences.join(english, ["หมา", "แมว"]) == "หมา แมว"
    lines = sentences.split("Eins hier.\n\n  Zwei da. \n", "de")
    assert sentences.join(lines, ["狗。", "猫。"]) == "狗。\n\n  猫。 \n"


@pytest.mark.parametrize("text", ["." * 100_000, '"' * 50_000 + "a. ", "Der Hund " * 10_000 + "!" * 10_000])
def test_long_texts_of_marks_never_reach_the_library(monkeypatch, text):
    monkeypatch.setattr(sentencex, "segment", lambda *_: pytest.fail("the library was called"))
    assert sentences.split(text, "de") is None


@pytest.mark.parametrize(("text", "count"), [("Der Hund. " * 10_000, 10_000), ("=a" * 50_000, 1)])
def test_a_long_line_is_one_call_of_the_library(monkeypatch, text, count):
    calls, segment = [], sentencex.segment
    monkeypatch.setattr(sentencex, "segment", lambda *how: calls.append(how) or segment(*how))
    found = sentences.split(text, "de")
    assert (len(found.parts) if found else 1) == count
    assert calls == [("de", text)]
