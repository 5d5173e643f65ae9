"""Suggestions that are refused before they are stored, with a message that names field and remedy."""

from __future__ import annotations

import pytest

from seq2seq.common.errors import UserError
from seq2seq.corrections import checks


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "the source is empty"),
        (" \t\n", "the source is empty"),
        ("a\nb", "several lines: send a correction for each line"),
        ("a\rb", "several lines"),
        ("a\x1b[2Jb", r"a control character \(U\+001B\) at character 2: remove it"),
        ("a\tb", r"a control character \(U\+0009\)"),
        ("a\x85b", r"a control character \(U\+0085\)"),
        ("a\ud800", r"half a surrogate pair \(U\+D800\)"),
        ("a" * 1001, "has 1,001 characters, 1,000 are allowed"),
    ],
)
def test_a_text_that_cannot_be_a_side_of_a_pair_is_refused(value: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        checks.text(value, "the source")


def test_a_text_keeps_its_characters_and_loses_the_space_around_it() -> None:
    assert checks.text("  Grüße 👩‍🚀 שלום\u200f \n", "the source") == "Grüße 👩‍🚀 שלום\u200f"
    assert checks.text("a" * 1000, "the source") == "a" * 1000
    assert checks.name("", "the sender") == ""


def test_a_suggestion_that_changes_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="equals the translation: change it"):
        checks.check_differs(" caf\u00e9", "cafe\u0301 ")
    checks.check_differs("the dog", "The dog")
    checks.check_differs("the dog", "")


def test_languages_that_are_not_the_models_are_refused() -> None:
    of = checks.languages_of
    assert of("de-AT", "EN", ("de", "en-GB")) == ("de", "en-GB")
    assert of("xx", "en", (None, "en")) == ("", "en")
    assert of("fr", "nl", None) == ("fr", "nl")
    with pytest.raises(UserError, match="source is fr: the model translates de to en, send source=de"):
        of("fr", "en", ("de", "en"))
    with pytest.raises(UserError, match=r"target is empty: .* send target=en"):
        of("de", "", ("de", "en"))
    with pytest.raises(UserError, match="target is de"):
        of("de", "de", ("de", "en"))
