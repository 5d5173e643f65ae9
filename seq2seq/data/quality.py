"""Filters of `clean` for faults that lengths and scripts do not show: each is off or on by a parameter.

Why: the usual faults of collected corpora: sides in another language, translations of another sentence,
damaged encodings, mark-up and addresses. Each predicate reads one tidied pair.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from seq2seq.data import identify
from seq2seq.data.direction import Side
from seq2seq.data.words import WRITTEN_IN, repeated_phrase, script

DIGITS = re.compile(r"\d+(?:[.,:\u2009\u202f\u00a0 ]\d{2,3}(?!\d))*(?:[.,:]\d+)?")
DIGIT = re.compile(r"\d")
NONE: Counter[str] = Counter()
ADDRESS = re.compile(r"https?://[^\s<>\"']+|www\.[^\s<>\"']+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
SPELT = 20  # numbers up to it are often written in words
CLOSING = ".,;:!?)]}'\"»”’"  # marks that follow an address and are no part of it
ENTITY = re.compile(r"&(?:#\d+|#x[0-9A-Fa-f]+|[A-Za-z]{2,8}[1-4]?);")
MARKUP = re.compile(rf"</?[A-Za-z][\w:-]*(?:\s[^<>]*)?/?>|<!--|{ENTITY.pattern}")
ENDS = frozenset(".!?…。！？।॥؟։")
AFTER_END = "\"'”“’‘»«)]›‹」』 "
# Texts that ftfy takes for wrongly decoded have two adjacent characters beyond ASCII, or one of a few others.
# Most texts in Latin letters have neither; the search is ten times faster than ftfy's.
SUSPICIOUS = re.compile(r"[^\x00-\x7f]{2}|[ÃÂŒœ\x80-\x9f]")
REPLACEMENT = "\ufffd"  # written by decoders for bytes that are no text
LONG = 200  # words of a text that are not counted one by one
LATIN_LETTERS = bytes(code for code in range(256) if chr(code).isalpha())
CASED = 6  # letters with a case from which on a text can be in capitals
# Languages that the identifier confuses, since their written forms differ little.
CLOSE = (
    frozenset({"no", "nb", "nn", "da"}),
    frozenset({"bs", "hr", "sr", "sh"}),
    frozenset({"id", "ms"}),
    frozenset({"zh", "yue", "wuu"}),
    frozenset({"es", "gl", "an", "ext"}),
    frozenset({"cs", "sk"}),
    frozenset({"uz", "uzs"}),
    frozenset({"ar", "ary", "arz"}),
    frozenset({"ru", "uk", "be"}),
    frozenset({"af", "nl"}),
    frozenset({"tl", "fil"}),
    frozenset({"he", "hbo"}),
    frozenset({"el", "grc"}),
    frozenset({"fr", "oc", "wa"}),
    frozenset({"it", "vec", "lij"}),
    frozenset({"de", "lb"}),
    frozenset({"fa", "prs", "sdh", "ku"}),
    frozenset({"ht", "gcf", "gcr"}),
)


def numbers(text: str) -> Counter[str]:
    """The numbers in a text by their digits: 1.000,50 and 1,000.50 are equal.

    Those up to SPELT are left out: translators write them in words.
    """
    if DIGIT.search(text) is None:
        return NONE
    found = (int(re.sub(r"\D", "", number)) for number in DIGITS.findall(text))
    return Counter(str(number) for number in found if number > SPELT)


def addresses(text: str) -> Counter[str]:
    """The URLs and e-mail addresses in a text."""
    if "@" not in text and "://" not in text and "www." not in text:
        return NONE
    return Counter(address.rstrip(CLOSING).casefold() for address in ADDRESS.findall(text))


def has_markup(text: str) -> bool:
    """Whether a text has a tag or an entity of HTML or XML."""
    return ("<" in text or "&" in text) and MARKUP.search(text) is not None


def without_entities(text: str) -> str:
    """A text with its entities decoded: `Q&amp;A` becomes `Q&A`; tags stay."""
    return ENTITY.sub(lambda entity: html.unescape(entity[0]), text) if "&" in text else text


def is_mojibake(text: str) -> bool:
    """Whether a text was decoded in a wrong encoding, by ftfy, or has replacement characters."""
    return not text.isascii() and (REPLACEMENT in text or _is_bad(text))


def repaired(text: str) -> str:
    """A text with wrong decodings undone by ftfy, where that is possible without loss."""
    if text.isascii() or not _is_bad(text):
        return text
    import ftfy

    return ftfy.fix_encoding(text)


@lru_cache(2)  # most texts are checked twice, before and after tidying
def _is_bad(text: str) -> bool:
    if SUSPICIOUS.search(text) is None:
        return False
    from ftfy import badness

    return badness.is_bad(text)


def repeats(text: str, times: int) -> bool:
    """Whether words or a phrase follow each other more than `times` times."""
    parts = text.split(" ")
    if len(parts) - len(different := set(parts)) < times:  # fast, and true of most texts
        return False
    if len(parts) < LONG and not any(parts.count(word) > times for word in different):
        return False
    return re.search(repeated_phrase(times + 1), f"{text} ") is not None


def ends_sentence(text: str) -> bool:
    """Whether the last mark is that of a sentence's end, closing quotation marks and brackets aside."""
    return text.rstrip(AFTER_END)[-1:] in ENDS


def in_capitals(text: str) -> bool | None:
    """Whether all letters are capitals; None for too few letters with a case."""
    cased, capitals = 0, True
    for letter in text:
        if letter.lower() != letter.upper():
            cased += 1
            capitals = capitals and letter.isupper()
            if cased >= CASED and not capitals:  # after a few letters of most texts
                return False
    return capitals if cased >= CASED else None


def accepted(side: Side) -> frozenset[str] | None:
    """The labels of the identifier that count as the language of a side; None if it has no label for it."""
    language = (side.language or "").split("-")[0].casefold()
    if language not in identify.identifier().labels:
        return None
    return next((close for close in CLOSE if language in close), frozenset({language}))


def other_languages(texts: Sequence[str], wanted: frozenset[str], probability: float) -> list[bool]:
    """Whether each text is identified as no `wanted` language, with at least this probability.

    Probabilities of a few words are low, so that short texts are rarely dropped.
    """
    found = identify.identify(texts)
    return [certainty >= probability and language not in wanted for language, certainty in found]


def few_letters(text: str, least: float) -> bool:
    """Whether the share of letters in the visible characters of a text is below the least."""
    visible = len(text) - text.count(" ")
    try:  # many texts: by bytes, twenty times faster
        return len(text) - len(text.encode("latin-1").translate(None, LATIN_LETTERS)) < least * visible
    except UnicodeEncodeError:  # of most, words without a mark suffice: eight times faster than all letters
        if sum(map(len, filter(str.isalpha, text.split(" ")))) >= least * visible:
            return False
    if sum(map(str.isalpha, text)) >= least * visible:
        return False
    # Vowel signs and tone marks count as letters: they are half of the characters of Hindi or Thai.
    letters = sum(c.isalpha() or unicodedata.category(c).startswith("M") for c in text)
    return letters < least * visible


def other_script(text: str, wanted: str | None, least: float) -> bool:
    """Whether the share of a script in the letters of a text is below the least."""
    if wanted is None:
        return False
    accepted = WRITTEN_IN.get(wanted, {wanted})
    scripts = [found for found in map(script, text) if found is not None]
    return sum(map(accepted.__contains__, scripts)) < least * len(scripts)
