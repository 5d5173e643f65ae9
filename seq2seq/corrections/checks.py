"""Checks of a correction before it is stored: lengths, characters, languages, a suggestion without a change.

Why: anybody who can reach the server can send one, and an accepted correction becomes training data. A
refusal names the field and the remedy, because a page shows it to the sender.
"""

from __future__ import annotations

import unicodedata

from seq2seq.common.errors import UserError

LONGEST_TEXT = 1000  # characters; the default of clean.max_characters, which drops longer pairs
LONGEST_NAME = 200  # characters of a sender or a version
LONGEST_TAG = 35  # characters of a language's tag
NO_TEXT = {"Cc": "a control character", "Cs": "half a surrogate pair"}  # by Unicode category

Languages = tuple[str | None, str | None]  # source and target; None if unknown


class RefusedError(UserError):
    """A correction that is not stored, with the reason for its sender."""


def text(value: str, field: str) -> str:
    """A sentence without white space around it; raises UserError for one that is no pair's side."""
    found = value.strip()
    if not found:
        raise RefusedError(f"{field} is empty")
    if "\n" in found or "\r" in found:
        raise RefusedError(f"{field} has several lines: send a correction for each line")
    return _checked(found, field, LONGEST_TEXT)


def name(value: str, field: str, longest: int = LONGEST_NAME) -> str:
    """A name, which may be empty, without white space around it; raises UserError."""
    return _checked(value.strip(), field, longest)


def check_differs(suggestion: str, translation: str) -> None:
    """Raise UserError if a suggestion is the translation itself."""
    if translation and _composed(suggestion) == _composed(translation):
        raise RefusedError("the suggestion equals the translation: change it before it is sent")


def languages_of(source: str, target: str, model: Languages | None) -> tuple[str, str]:
    """The tags to store: those of the model, whose regions make no difference; empty for an unknown one.

    Without a model they are as given. Raises UserError for languages that are not the model's.
    """
    given = name(source, "source_language", LONGEST_TAG), name(target, "target_language", LONGEST_TAG)
    if model is None:
        return given
    for field, ours, theirs in zip(("source", "target"), model, given, strict=True):
        if ours and _primary(ours) != _primary(theirs):
            direction = " to ".join(tag or "an unknown language" for tag in model)
            raise RefusedError(
                f"{field} is {theirs or 'empty'}: the model translates {direction}, send {field}={ours}"
            )
    return model[0] or "", model[1] or ""


def _checked(value: str, field: str, longest: int) -> str:
    if len(value) > longest:
        raise RefusedError(f"{field} has {len(value):,} characters, {longest:,} are allowed: shorten it")
    for place, sign in enumerate(value, 1):
        if kind := NO_TEXT.get(unicodedata.category(sign)):
            raise RefusedError(f"{field} has {kind} (U+{ord(sign):04X}) at character {place}: remove it")
    return value


def _composed(value: str) -> str:
    return unicodedata.normalize("NFC", value.strip())


def _primary(tag: str) -> str:
    return tag.casefold().replace("_", "-").partition("-")[0]
