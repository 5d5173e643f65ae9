"""The filters of faults that lengths and scripts do not show."""

import re
import unicodedata
from collections import Counter

import ftfy
import pytest
from ftfy import badness
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.common import params
from seq2seq.data import filters, quality, tidying, words
from seq2seq.data.direction import Direction, Side
from tests.support.projects import ROOT

OFF = params.load(ROOT / "params.yaml").clean.model_copy(update={"typical_length_ratio": 1.0})
DE_EN = Direction(Side("de", "Latin"), Side("en", "Latin"))


def reason(source: str, target: str, direction: Direction = DE_EN, **changes: object) -> str | None:
    return filters.Filters(OFF.model_copy(update=changes), direction).reason(source, target)


@pytest.mark.parametrize(
    ("source", "target", "name", "setting"),
    [
        ("Er kam <b>gestern</b> an.", "He arrived yesterday.", "markup", {"markup": "drop"}),
        ("Er kam gestern an.", "He arrived &quot;yesterday&quot;.", "markup", {"markup": "drop"}),
        ("Das ist schÃ¶n fÃ¼r uns.", "That is nice for us.", "mojibake", {"mojibake": "drop"}),
        ("Das ist sch\ufffdn.", "That is nice.", "mojibake", {"mojibake": "repair"}),
        ("Es kostet 25 Euro.", "It costs 26 euros.", "numbers", {"same_numbers": True}),
        ("Siehe www.a.de/x.", "See www.b.de/x.", "addresses", {"same_addresses": True}),
        ("An a@b.de schreiben.", "Write to them.", "addresses", {"same_addresses": True}),
        ("Nein nein nein nein.", "No, not at all.", None, {"max_repetition": 2}),
        ("gut so gut so gut so gut", "all is well with it", "repetition", {"max_repetition": 2}),
        ("Er kam gestern an.", "He arrived yesterday", "sentence_end", {"same_sentence_end": True}),
        ("ACHTUNG STUFE", "Mind the step", "case", {"same_case": True}),
        (
            "Wir haben uns gestern im Garten getroffen.",
            "Nous nous sommes rencontrés hier dans le jardin.",
            "target_language",
            {"other_language": 0.9},
        ),
    ],
)
def test_each_filter_drops_its_fault_where_it_is_on(source, target, name, setting):
    assert reason(source, target) is None
    assert reason(source, target, **setting) == name


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Es kostet 1.000,50 Euro um 8:30 Uhr.", "It costs 1,000.50 euros at 8:30."),
        ("5 < 6 und 7 > 6, Q&A; AT&T", "5 < 6 and 7 > 6, Q&A; AT&T"),
        ("Siehe (http://a.de/x).", "See http://a.de/x, please."),
        ("„Wirklich?“", "“Really?”"),
        ("Ja, ja, ja!", "Yes, yes, yes!"),
        ("USA", "USA!"),
        ("Guten Tag.", "Hello."),
        ("Ärger über Öl – naïve Café", "Trouble about oil – naïve café"),
    ],
)
def test_ordinary_pairs_pass_all_filters(source, target):
    everything = {
        "markup": "drop",
        "mojibake": "repair",
        "same_numbers": True,
        "same_addresses": True,
        "max_repetition": 2,
        "same_sentence_end": source != "USA",
        "same_case": True,
        "other_language": 0.9,
        "min_letters": 0.2,
        "drop_identical": False,
    }
    assert reason(source, target, **everything) is None


def test_mojibake_is_repaired_where_nothing_is_lost():
    chosen = filters.Filters(OFF.model_copy(update={"mojibake": "repair"}), DE_EN)
    assert chosen.tidy("Das ist schÃ¶n fÃ¼r uns.") == "Das ist schön für uns."
    assert chosen.tidy("Das ist schön für uns.") == "Das ist schön für uns."
    assert filters.Filters(OFF, DE_EN).tidy("schÃ¶n") == "schÃ¶n"


def test_entities_are_decoded_and_tags_dropped():
    chosen = filters.Filters(OFF.model_copy(update={"markup": "repair"}), DE_EN)
    assert chosen.tidy("Q&amp;A &#228; AT&T &copy") == "Q&A ä AT&T &copy"
    assert chosen.reason("Er kam.", chosen.tidy("&lt;b&gt;He&lt;/b&gt; came.")) == "markup"


def test_numbers_are_compared_by_their_digits():
    assert (
        quality.numbers("1.000,50 und 077") == quality.numbers("1,000.50 and 77") == Counter(["100050", "77"])
    )
    assert quality.numbers("٣٠ und 30, 3") == Counter(["30", "30"])


def test_a_language_that_the_identifier_lacks_is_not_checked():
    unknown = Direction(Side(None, "Latin"), Side("tlh", "Latin"))
    chosen = filters.Filters(OFF.model_copy(update={"other_language": 0.9}), unknown)
    assert chosen.unchecked() == ["source", "target"]
    assert chosen.reason("Wir haben uns getroffen.", "Nous nous sommes rencontrés hier.") is None
    assert filters.Filters(OFF, unknown).unchecked() == []


def test_close_languages_count_as_one():
    norwegian = Direction(Side("nb", "Latin"), Side("en", "Latin"))
    text = "Vi mødtes i går i haven og talte om vejret."
    assert reason(text, "We met in the garden.", norwegian, other_language=0.5) is None
    assert reason(text, "We met in the garden.", other_language=0.5) == "source_language"


def test_lengths_are_compared_by_the_spread_of_the_corpus():
    spread = 0.8
    chosen = filters.Filters(OFF.model_copy(update={"max_length_deviation": 3.2}), DE_EN, spread)
    assert chosen.reason("x" * 60, "y" * 30) == "length_deviation"
    assert chosen.reason("x" * 60, "y" * 50) is None
    assert chosen.reason("xxxxxxxx", "yyyyy") is None  # short texts vary more
    assert filters.Filters(OFF, DE_EN, spread).reason("x" * 60, "y" * 30) is None


@given(
    st.lists(st.sampled_from([*"aZöÃ¤Œœœ°ßÂ €…вЂВ×²éД漢.\u0090\ufffd ", "fÃ¼r", "â€™", "ein "])).map("".join)
)
def test_the_fast_search_finds_all_that_ftfy_does(text):
    assert quality._is_bad(text) == badness.is_bad(text)
    assert quality.repaired(text) == ftfy.fix_encoding(text)


@given(st.lists(st.sampled_from(["gut", "so", "a", "b", ""]), max_size=12).map(" ".join), st.integers(1, 3))
def test_the_fast_check_of_repetitions_is_the_pattern_s(text, times):
    found = re.search(words.repeated_phrase(times + 1), f"{text} ") is not None
    assert quality.repeats(text, times) == found


@given(st.text("aAßẞ1ǅ字. ", max_size=12))
def test_capitals_are_counted_by_letter(text):
    cased = [letter for letter in text if letter.lower() != letter.upper()]
    expected = None if len(cased) < quality.CASED else all(map(str.isupper, cased))
    assert quality.in_capitals(text) == expected


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=6))
def test_pairs_are_filtered_together_as_alone(pairs):
    chosen = filters.Filters(OFF.model_copy(update={"other_language": 0.3, "same_numbers": True}), DE_EN)
    assert chosen.reasons(pairs) == [chosen.reason(*pair) for pair in pairs]


@given(st.text(), st.sampled_from(["NFC", "NFKC", "none"]))
def test_tidy_is_its_plain_definition(text, form):
    plain = tidying.INVISIBLE.sub("", text)
    plain = plain if form == "none" else unicodedata.normalize(form, plain)
    assert tidying.tidy(text, form) == " ".join(plain.split())
