"""The words of a text: one segmentation for warnings, checks, slices, samples and lengths.

Why: two segmentations would count different words. A mark (a vowel sign, a vowel point, a combining accent)
belongs to its letter, and a joiner (ZWJ, ZWNJ) to its word. In a script without spaces between words each
letter, with its marks, counts as a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Literal, NamedTuple

LONGEST_PHRASE = 60  # characters of a repeated phrase, at most
# Blocks of scripts without spaces between words: first and last code point.
HAN_AND_KANA = (
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),  # signs of repetition, zero
    (0x3040, 0x312F),  # hiragana, katakana, bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),
)
OTHER_UNSPACED = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0xA980, 0xA9FF),  # Javanese, Burmese
    (0xAA60, 0xAADF),  # Burmese, Tai Viet
)
# Blocks without marks, invisible characters and scripts without spaces: most texts have no other.
SIMPLE = "\0-\u00ac\u00ae-\u02ff\u0370-\u0482\u048a-\u0590\u10a0-\u135c\u1e00-\u200a\u2010-\u2029"
SIMPLE += "\u202f-\u205f\u2070-\u20cf\u2100-\u2bff\uac00-\ud7a3"
SPECIAL = re.compile(f"[^{SIMPLE}]")
LAST_MARK = 0x1EFFF  # beyond it there are only variation selectors
# `unicodedata` has no script property, but the names of letters begin with it: CYRILLIC SMALL ...
WIDTHS = {"FULLWIDTH", "HALFWIDTH"}
WRITTEN_IN = {"Japanese": {"Han", "Hiragana", "Katakana"}, "Korean": {"Hangul", "Han"}}
LEAST_KANA = 0.05  # share of the letters that makes a text in Han Japanese: Chinese has none
RENAMED = {"Cjk": "Han", "Ideographic": "Han"}
WORD, CHARACTER = "word", "character"  # units of `length`


class _Rule(NamedTuple):
    """One segmentation; in a text of simple blocks `plain` finds the same as `full`, and faster."""

    plain: re.Pattern[str]
    full: re.Pattern[str]

    def find(self, text: str) -> Iterator[re.Match[str]]:
        return (self.full if SPECIAL.search(text) else self.plain).finditer(text)


class _Rules(NamedTuple):
    """The compiled rules, created at first use."""

    words: _Rule  # not split at hyphens and apostrophes
    parts: _Rule  # split at them
    letters: _Rule  # as `words`, of letters alone
    invisible: re.Pattern[str]
    unspaced: re.Pattern[str]  # a letter of a script without spaces
    east_asian: re.Pattern[str]  # Han or kana


@cache
def _rules() -> _Rules:
    east = _ranges(code for block in HAN_AND_KANA for code in _letters(block))
    unspaced = east + _ranges(code for block in OTHER_UNSPACED for code in _letters(block))
    kinds = {code: unicodedata.category(chr(code)) for code in range(LAST_MARK)}
    marks = _ranges(code for code, kind in kinds.items() if kind[0] == "M") + "\U000e0100-\U000e01ef"
    # Format characters: joiners (ZWJ, ZWNJ), soft hyphens, marks of direction and of byte order.
    invisible = _ranges(code for code, kind in kinds.items() if kind == "Cf")

    def rule(letter: str, joined: bool) -> _Rule:
        first = f"(?![{unspaced}]){letter}"
        word = f"{first}(?:[{marks}]|[{invisible}]+(?={letter}|[{marks}])|{first})*"
        plain, full = f"{letter}+", f"{word}"
        if joined:
            plain, full = f"{plain}(?:[-'’]{plain})*", f"{word}(?:[-'’]{word})*"
        return _Rule(re.compile(plain), re.compile(f"[{unspaced}][{marks}]*|{full}"))

    return _Rules(
        rule(r"\w", True),
        rule(r"[^\W_]", False),
        rule(r"[^\W\d_]", True),
        re.compile(f"[{invisible}]"),
        re.compile(f"[{unspaced}]"),
        re.compile(f"[{east}]"),
    )


def words(text: str) -> list[str]:
    """The words of a text in a form in which equal words agree: NFC, case folded, without invisibles."""
    return _folded(_rules().words, "NFC", text)


def parts(text: str) -> list[str]:
    """As `words`, but NFKC and split at hyphens, apostrophes and low lines; used by slices."""
    return _folded(_rules().parts, "NFKC", text)


def spelt(text: str) -> list[str]:
    """As `parts`, in the spelling of the text."""
    return [found[0] for found in _rules().parts.find(text)]


def in_letters(text: str) -> Iterator[re.Match[str]]:
    """The words of letters alone in a text, with hyphens and apostrophes inside them."""
    return _rules().letters.find(text)


def _folded(rule: _Rule, form: Literal["NFC", "NFKC"], text: str) -> list[str]:
    folded = unicodedata.normalize(form, text).casefold()
    if not SPECIAL.search(folded):
        return rule.plain.findall(folded)
    return rule.full.findall(_rules().invisible.sub("", folded))


def length(text: str) -> int:
    """The number of words separated by spaces; of characters in scripts without spaces."""
    return sum(len(parts(token)) if is_unspaced(token) else 1 for token in text.split())


def unit(texts: Iterable[str]) -> str:
    """The unit of `length` for most of the texts."""
    balance = sum(1 if is_unspaced(text) else -1 for text in texts)
    return CHARACTER if balance > 0 else WORD


def is_unspaced(text: str) -> bool:
    """Whether a text has a letter of a script without spaces between words."""
    return SPECIAL.search(text) is not None and _rules().unspaced.search(text) is not None


def is_east_asian(character: str) -> bool:
    """Whether a character is Han or kana, whose sentences follow each other without a space."""
    return _rules().east_asian.match(character) is not None


def _letters(block: tuple[int, int]) -> Iterable[int]:
    return (code for code in range(block[0], block[1] + 1) if unicodedata.category(chr(code))[0] == "L")


def _ranges(codes: Iterable[int]) -> str:
    """Code points, in order, as the inside of a character class."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in runs)


@cache
def script(character: str) -> str | None:
    """The script of a letter, the first word of its Unicode name (Latin, Han); None for other characters."""
    if not character.isalpha():
        return None
    words = re.split("[ -]", unicodedata.name(character, ""))
    first = words[1] if words[0] in WIDTHS else words[0]
    return RENAMED.get(first.title(), first.title())


def main_script(texts: Iterable[str]) -> str | None:
    """The script of most letters of some texts; None without letters.

    As in `clean.*_script`, Japanese is Han with kana, Korean is Hangul with or without Han.
    """
    counts = Counter(found for text in texts for found in map(script, text) if found is not None)
    if not counts:
        return None
    kana, total = counts["Hiragana"] + counts["Katakana"], counts.total()
    most = counts.most_common(1)[0][0]
    if most in WRITTEN_IN["Japanese"] and kana >= LEAST_KANA * total:
        return "Japanese"
    return "Korean" if most == "Hangul" else most


def repeated_phrase(times: int) -> str:
    """A pattern of words that stand `times` times in a row, each time followed by a blank; its group 1."""
    return rf"(?<!\S)(\S.{{0,{LONGEST_PHRASE}}}? )\1{{{times - 1}}}"
