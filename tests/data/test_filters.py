"""Each filter by itself, and the laws of tidying."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.common import params
from seq2seq.common.errors import UserError
from seq2seq.data import filters, tidying, words
from seq2seq.data.words import script
from tests.support.projects import ROOT

SHIPPED = params.load(ROOT / "params.yaml").clean
PARAMS = SHIPPED.model_copy(
    update={
        "unicode_form": "NFC",
        "max_characters": 40,
        "max_length_ratio": 3.0,
        "typical_length_ratio": 1.0,
        "min_letters": 0.5,
        "source_script": None,
        "target_script": None,
        "min_script": 0.5,
        "drop_identical": True,
    }
)
FORMS = ("NFC", "NFKC", "none")


def reason(source: str, target: str, **changes: object) -> str | None:
    return filters.Filters(PARAMS.model_copy(update=changes)).reason(source, target)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("Der Hund schläft.", "The dog sleeps.", None),
        ("", "The dog sleeps.", "empty"),
        ("Der Hund schläft.", "", "empty"),
        ("x" * 41, "The dog sleeps.", "too_long"),
        ("x" * 40, "The dog sleeps.", None),
        ("Der Hund", "y" * 24, None),
        ("Der Hund", "y" * 25, "length_ratio"),
        ("y" * 25, "Der Hund", "length_ratio"),
        ("12 34 56", "The dog", "garbage"),
        ("Der Hund", "#### ab", "garbage"),
        ("Der Hund", "der HUND", "identical"),
        ("मैं हिंदी सीख रही हूँ", "I am learning Hindi", None),
        ("ผมไม่รู้ที่นี่", "I do not know", None),
    ],
)
def test_the_first_filter_that_drops_a_pair_gives_the_reason(source, target, expected):
    assert reason(source, target) == expected


TEXTS = st.text(st.sampled_from("aAäÄßKK. 1#éनि́ะ漢\u0301"), max_size=14)


@given(
    st.lists(st.tuples(TEXTS, TEXTS) | TEXTS.map(lambda text: (text, text.swapcase())), max_size=12),
    st.booleans(),
    st.sampled_from(
        [{}, {"same_sentence_end": True}, {"drop_identical": False, "typical_length_ratio": 0.7}]
    ),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_pairs_together_have_the_reasons_that_each_has_by_the_filters_in_order(pairs, form, changes, least):
    """Most filters are called only for suspects, which are found in arrays."""
    given_params = PARAMS.model_copy(update={"max_characters": 10, "min_letters": least, **changes})
    chosen = filters.Filters(given_params)
    tidied = [(chosen.tidy(source), chosen.tidy(target)) for source, target in pairs] if form else pairs
    off = filters._off(given_params)
    active = [one for one in filters.FILTERS if one.__name__ not in off]

    def first(pair):
        return next((one.__name__ for one in active if one(pair[0], pair[1], given_params)), None)

    assert chosen.reasons(tidied) == [first(pair) for pair in tidied]


def test_thresholds_come_from_params():
    assert reason("x" * 41, "The dog sleeps.", max_characters=41) is None
    assert reason("Der Hund", "y" * 25, max_length_ratio=4.0) is None
    assert reason("12 34 56", "The dog", min_letters=0.0) is None
    assert reason("Der Hund", "Der Hund", drop_identical=False) is None


def test_scripts_are_checked_per_side_and_only_if_set():
    assert reason("Привет, мир", "Hello, world") is None
    assert reason("Привет, мир", "Hello, world", source_script="Cyrillic") is None
    assert reason("Hello, world", "Привет, мир", source_script="Cyrillic") == "source_script"
    assert reason("Привет, мир", "Добрый день", target_script="Latin") == "target_script"
    assert reason("Привет IBM", "Hello IBM", source_script="Cyrillic") is None
    assert reason("Привет IBM", "Hello IBM", source_script="Cyrillic", min_script=0.9) is not None


def test_a_side_without_letters_has_no_wrong_script():
    assert reason("1984", "1985", min_letters=0.0, source_script="Cyrillic") is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("漢字", "Han"),
        ("我们时时刻刻", "Han"),
        ("時々コーヒーを飲みます", "Japanese"),
        ("ｺｰﾋｰ", "Katakana"),
        ("한국어", "Hangul"),
        ("한국어와 漢字", "Korean"),
        ("Ｈｅｌｌｏ", "Latin"),
        ("Ελληνικά", "Greek"),
    ],
)
def test_script_of_many_writings(text, wanted):
    wanted_only = {"source_script": wanted, "min_script": 1.0}
    assert reason(text, "a word", **wanted_only) is None


def test_every_letter_has_a_script_or_is_a_symbol():
    assert script("a") == "Latin"
    assert script("я") == "Cyrillic"
    assert script("1") is script(".") is script(" ") is None


@pytest.mark.slow
def test_an_unknown_script_is_named():
    with pytest.raises(UserError, match=r"clean\.target_script: .*'Cyrilic'.*Cyrillic"):
        filters.check(PARAMS.model_copy(update={"target_script": "Cyrilic"}))
    filters.check(PARAMS.model_copy(update={"source_script": "Japanese", "target_script": "Latin"}))


def test_every_filter_has_a_remedy():
    assert set(filters.REMEDIES) == set(filters.NAMES)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("\ufeffDer  Hund\u00a0schläft.\r\n", "Der Hund schläft."),
        ("Der\tHund\u2028schläft", "Der Hund schläft"),
        ("Schla\u0308ft", "Schläft"),
        ("zero\u200bwidth \u202eabc\u202c so\u00adft \x00\x07", "zerowidth abc soft"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        (" \u200b\ufeff ", ""),
    ],
)
def test_tidy(raw, expected):
    assert tidying.tidy(raw, "NFC") == expected


def test_tidying_keeps_characters_of_the_spelling():
    mongolian, persian, emoji = "ᠰᠠᠷ\u180eᠠ", "می\u200cخواهم", "\u2764\ufe0f"
    assert [tidying.tidy(text, "NFC") for text in (mongolian, persian, emoji)] == [mongolian, persian, emoji]
    assert tidying.tidy("\u061c5 كم", "NFC") == "5 كم"


def test_tidy_keeps_or_folds_compatibility_characters_by_form():
    assert tidying.tidy("ﬁne ①", "NFC") == "ﬁne ①"
    assert tidying.tidy("ﬁne ①", "NFKC") == "fine 1"
    assert tidying.tidy("a\u0308", "none") == "a\u0308"


@pytest.mark.parametrize("form", FORMS)
def test_tidying_any_single_character_is_idempotent(form):
    for character in map(chr, range(sys.maxunicode + 1)):
        if unicodedata.category(character) in ("Cn", "Co", "Cs"):  # no text
            continue
        if not character.isprintable() or unicodedata.normalize("NFKD", character) != character:
            text = tidying.tidy("a" + character + "\u0301 b", form)
            assert tidying.tidy(text, form) == text, hex(ord(character))


@given(st.text(), st.sampled_from(FORMS))
def test_tidy_is_idempotent_and_leaves_single_spaces(text, form):
    tidied = tidying.tidy(text, form)
    assert tidying.tidy(tidied, form) == tidied
    assert tidied == " ".join(tidied.split())
    assert not any(unicodedata.category(c) == "Cc" for c in tidied)


@pytest.mark.parametrize(
    ("texts", "script"),
    [
        (["Der Hund.", "Ein П."], "Latin"),
        (["我喜欢猫。"], "Han"),
        (["私は猫が好きです。", "東京都庁舎"], "Japanese"),
        (["コーヒーを飲む"], "Japanese"),
        (["고양이를 좋아해요", "漢字"], "Korean"),
        (["ฉันชอบแมว"], "Thai"),
        (["मुझे बिल्ली पसंद है"], "Devanagari"),
        (["12 :-)"], None),
        ([], None),
    ],
)
def test_the_script_of_most_letters(texts, script):
    assert words.main_script(texts) == script


def test_the_length_ratio_is_relative_to_that_of_the_corpus():
    chinese, english = "他每天早上都喝一杯咖啡。", "He drinks a cup of coffee every single morning."
    assert reason(chinese, english, max_characters=100) == "length_ratio"
    assert reason(chinese, english, max_characters=100, typical_length_ratio=3.6) is None
    assert reason(english, chinese, max_characters=100, typical_length_ratio=1 / 3.6) is None
    assert reason(english, english, max_characters=100, typical_length_ratio=3.6) == "length_ratio"
