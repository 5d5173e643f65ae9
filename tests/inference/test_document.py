"""Plain texts: lines that are translated together, and the rest, which stays."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq.inference.document import Segment, parse, translate, wrapped
from seq2seq.inference.translation import Translation

WRAPPED = (
    "Der Hund des alten Mannes aus dem kleinen Haus am Ende\n"
    "der Straße schläft, weil die Katze nicht da ist. Die\n"
    "Maus läuft.\n"
)


def translations(texts, change=str):
    return [Translation(change(text), 0.0, [], [], None, 1) for text in texts]


def segments(text, **how):
    return [piece.text for piece in parse(text, **how) if isinstance(piece, Segment)]


def test_a_wrapped_paragraph_is_one_segment_and_keeps_its_lines():
    assert segments(WRAPPED) == [WRAPPED.replace("\n", " ").strip()]
    assert len(segments(WRAPPED, join_lines=False)) == 3
    found = translate(WRAPPED, lambda texts: translations(texts, str.upper))
    assert found.text == WRAPPED.upper()
    assert found.splits == 1
    quoted = "".join(f"> {line}\n" for line in WRAPPED.splitlines())
    assert translate(quoted, lambda texts: translations(texts, str.upper)).text == quoted.upper()


@pytest.mark.parametrize(
    "text",
    [
        "Rosenweg 5\n10115 Berlin\nDeutschland\n",
        "- eins zwei drei vier fünf sechs sieben acht\n- eins zwei drei vier fünf sechs sieben\n",
        "1. eins zwei drei vier fünf sechs sieben acht\n2. eins zwei drei vier fünf sechs sieben\n",
        "Der Hund schläft im großen Haus.\nDie Katze schläft im großen Haus.\n",
        "Kurz\nDie sehr lange zweite Zeile dieses Textes endet hier\n",
    ],
)
def test_lines_that_are_not_wrapped_are_translated_alone(text):
    assert len(segments(text)) == len(text.splitlines())


def test_marks_and_lines_without_letters_are_not_translated():
    text = "* eins\r\n  (a) zwei\n-----\n\n> drei\n--- \n"
    assert segments(text) == ["eins", "zwei", "drei"]
    assert translate(text, lambda texts: translations(texts, str.upper)).text == (
        "* EINS\r\n  (a) ZWEI\n-----\n\n> DREI\n--- \n"
    )


def test_a_shorter_translation_has_fewer_lines_and_no_new_list():
    segment = next(piece for piece in parse(WRAPPED) if isinstance(piece, Segment))
    assert wrapped(segment, "Kurz") == "Kurz"
    words = wrapped(segment, "eins zwei - drei 4. vier fünf").split("\n")
    assert len(words) == 3
    assert not any(line.startswith(("-", "4.")) for line in words)


ALPHABET = st.sampled_from("aB1 .-*>\n\r\t(),犬")


@pytest.mark.slow
@settings(max_examples=400)
@given(
    st.text(ALPHABET) | st.lists(st.text("ab .", min_size=25, max_size=45), max_size=6).map("\n".join),
    st.booleans(),
)
def test_an_identical_translation_gives_the_same_text(text, join_lines):
    pieces = list(parse(text, join_lines))
    assert "".join(wrapped(p, p.text) if isinstance(p, Segment) else p for p in pieces) == text
    for piece in pieces:
        if isinstance(piece, Segment):
            assert any(map(str.isalnum, piece.text))
