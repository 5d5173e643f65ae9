"""Spans that a translation repeats, and their symbols in training pairs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data.placeholders import SYMBOLS, spans
from seq2seq.data.span_masking import SpanMasker, learn_lexicon

NOUNS = {"Hund": "dog", "Katze": "cat", "Maus": "mouse", "Pferd": "horse", "Kuh": "cow", "Huhn": "hen"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Siehe https://example.org/a?b=1.", ["https://example.org/a?b=1"]),
        ("Hallo {name}, %d Dateien (%s)", ["{name}", "%d", "%s"]),
        ('Drücke <b>OK</b> oder <x id="1"/>', ["<b>", "</b>", '<x id="1"/>']),
        ("an a.b@example.org, 30 km und 5 %", ["a.b@example.org", "30 km", "5 %"]),
        ("1,5 km, 3 Hunde, A4, 3m2", []),
        ("schon ⟦3⟧ da", ["⟦3⟧"]),
        ("100 Prozent sind 10€", ["10€"]),
        ("5 < 6 und 7 > 3", []),
    ],
)
def test_spans_are_placeholders_addresses_tags_and_numbers_with_units(text, expected):
    assert [found[0] for found in spans(text)] == expected


def test_a_lexicon_has_words_that_occur_together():
    pairs = [(f"der {source} schläft", f"the {target} sleeps") for source, target in NOUNS.items()] * 10
    assert learn_lexicon(pairs) == {}  # each is in a sixth of the pairs, as words of grammar are
    assert learn_lexicon(pairs + [("die Stadt schläft", "the city sleeps")] * 1000) == NOUNS
    assert learn_lexicon(pairs[:24] + [("die Stadt", "the city")] * 1000) == {}  # too seldom


def test_both_sides_get_the_same_symbols():
    masker = SpanMasker(1.0, 1, NOUNS)
    source, target = masker.mask("Der Hund liest {name}.", "The dog reads {name}.")
    used = [symbol for symbol in SYMBOLS if symbol in source]
    assert used == [symbol for symbol in SYMBOLS if symbol in target] != []
    restored: dict[str, list[str]] = {}
    for side, text in ((source, "Der Hund liest {name}."), (target, "The dog reads {name}.")):
        for word, original in zip(side.split(), text.split(), strict=True):
            if any(symbol in word for symbol in used):
                restored.setdefault(word.strip("."), []).append(original.strip("."))
    assert set(map(tuple, restored.values())) <= {("Hund", "dog"), ("{name}", "{name}")}


def test_what_occurs_twice_or_on_one_side_stays():
    masker = SpanMasker(1.0, 1, NOUNS)
    assert masker.mask("Hund und Hund {a}", "dog and dog {b}") is None
    assert masker.mask("Hund", "cat") is None
    assert SpanMasker(0.0, 1, NOUNS).mask("Hund", "dog") is None


@given(st.integers(0, 5), st.lists(st.sampled_from([*NOUNS, "{x}", "und"]), min_size=1, max_size=8))
def test_masks_depend_on_seed_and_texts_alone_and_are_as_many_on_both_sides(seed, words):
    source, target = " ".join(words), " ".join(NOUNS.get(word, word) for word in words)
    masked = SpanMasker(1.0, seed, NOUNS).mask(source, target)
    assert masked == SpanMasker(1.0, seed, dict(NOUNS)).mask(source, target)
    if masked is None:
        assert all(words.count(word) > 1 or word == "und" for word in words)
    else:
        counts = [[side.count(symbol) for symbol in SYMBOLS] for side in masked]
        assert counts[0] == counts[1]
        assert set(counts[0]) == {0, 1}


def test_the_share_of_masked_pairs_is_about_the_wanted_one():
    masker = SpanMasker(0.2, 3, NOUNS)
    masked = sum(masker.mask(f"Hund {number}", f"dog {number}") is not None for number in range(2000))
    assert 340 < masked < 460
