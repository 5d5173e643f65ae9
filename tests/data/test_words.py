"""Words in many scripts: boundaries, equality, and length in words or characters."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data import words

SPACED = [
    "„Ja“, sagte Anna-Lena: don't! Das kostet 3,50 €; x_y z²?",
    "Der O’Neill -- nicht wahr? -- kam am 24.12. nach Übersee…",
    "It's the well-known state-of-the-art B2B e-mail: a@b.c",
    "Кто-то сказал: «Объём — это ёмкость», и ушёл в 5 ч. утра.",
    "L'été, c'est déjà fini, n'est-ce pas ?",
    "Ποιος είναι εκεί; Κανείς·",
    "저는 한국어를 조금 합니다.",
    "",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("मैं हिन्दी बोलता हूँ।", "मैं हिन्दी बोलता हूँ"),
        ("நான் தமிழ் பேசுகிறேன்.", "நான் தமிழ் பேசுகிறேன்"),
        ("আমি বাংলায় গান গাই।", "আমি বাংলায় গান গাই"),
        ("كَتَبَ الوَلَدُ الدَّرْسَ؟", "كَتَبَ الوَلَدُ الدَّرْسَ"),
        ("او می\u200cرود، کتاب\u200cها", "او میرود کتابها"),
        ("שָׁלוֹם עֲלֵיכֶם!", "שָׁלוֹם עֲלֵיכֶם"),
        ("我爱 Python编程。", "我 爱 python 编 程"),
        ("私は犬が好き！", "私 は 犬 が 好 き"),
        ("ฉันกินข้าว 12 จาน", "ฉั น กิ น ข้ า ว 12 จ า น"),
        ("ខ្មែរ", "ខ្ មែ រ"),
        ("མཚན།", "མ ཚ ན"),
        ("저는 한국어를 합니다", "저는 한국어를 합니다"),
        ("İstanbul soft\u00adhyphen \ufeffBOM", "i̇stanbul softhyphen bom"),
        ("❤️ ... – ! \u0301", ""),
    ],
)
def test_a_mark_belongs_to_its_letter_and_a_script_without_spaces_to_its_characters(text, expected):
    normal = unicodedata.normalize("NFC", expected).split()
    assert words.words(text) == normal
    assert words.words(unicodedata.normalize("NFD", text)) == normal


def test_composed_and_decomposed_letters_are_the_same_words():
    text = "Tôi nói tiếng Việt rất tốt"
    assert words.words(unicodedata.normalize("NFD", text)) == words.words(text) == text.casefold().split()


def test_parts_are_split_at_hyphens_and_do_not_depend_on_the_unicode_form():
    assert words.words("Der Hund, die O'Brien-Katze!") == ["der", "hund", "die", "o'brien-katze"]
    assert words.parts("„Ja“, sagte Anna-Lena: don't!") == ["ja", "sagte", "anna", "lena", "don", "t"]
    assert words.parts("soft\u00adhy\u200dphen STRASSE straße") == ["softhyphen", "strasse", "strasse"]
    assert words.parts("हिन्दी में।") == ["हिन्दी", "में"]
    assert words.parts("ＡＢＣ ½") == ["abc", "1", "2"]
    assert words.spelt("Anna-Lena’s ÄB") == ["Anna", "Lena", "s", "ÄB"]
    found = [match[0] for match in words.in_letters("می\u200cرود abc123 O'Neill")]
    assert found == ["می\u200cرود", "abc", "O'Neill"]


@pytest.mark.parametrize("text", SPACED)
def test_words_of_languages_with_spaces_are_those_of_a_plain_pattern(text):
    composed = unicodedata.normalize("NFC", text).casefold()
    assert words.words(text) == re.findall(r"\w+(?:[-'’]\w+)*", composed)
    compatible = unicodedata.normalize("NFKC", text).casefold()
    assert words.parts(text) == re.findall(r"[^\W_]+", compatible)
    letters = [found[0] for found in words.in_letters(text)]
    assert letters == re.findall(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*", text)
    assert words.length(text) == len(text.split())


@pytest.mark.slow
@given(st.text(max_size=30))
def test_the_fast_rule_finds_the_same(text):
    rules = words._rules()
    if not words.SPECIAL.search(text):
        assert not rules.unspaced.search(text)
        assert not any(unicodedata.category(c) in ("Cf", "Mn", "Mc", "Me") for c in text)
        for rule in (rules.words, rules.parts, rules.letters):
            assert rule.plain.findall(text) == rule.full.findall(text)


def test_length_is_in_words_or_else_in_characters():
    assert words.length("Das ist - naja - gut .") == 7
    assert words.length("我喜欢吃苹果。") == 6
    assert words.length("我在 Berlin 工作 。") == 6
    assert words.length(" ") == 0
    assert words.unit(["我爱你", "你好", "hello"]) == words.CHARACTER
    assert words.unit(["สวัสดี"]) == words.CHARACTER
    assert words.unit(["नमस्ते", "我"]) == words.unit([]) == words.WORD
