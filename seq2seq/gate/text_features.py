"""Features of a text in any language that checks compare: numbers, words, repetitions, its last mark.

Why: a check judges a translation by what it shares with its source, without knowledge of either language.
"""

from __future__ import annotations

import random
import re
import unicodedata

from seq2seq.data import words

SHORTEST_MISSPELT = 5  # letters: with two swapped, a shorter word is often another word
NO_WORD = re.compile(r"(?!(?<=\w)['’](?=\w))[^\w\s]|_")  # punctuation, but no apostrophe inside a word


def numbers(text: str) -> frozenset[str]:
    """The runs of digits in a text, of any script, in ASCII."""
    return frozenset(map(in_ascii, re.findall(r"\d+", text)))


def in_ascii(text: str) -> str:
    """A text with its decimal digits in ASCII."""
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


def misspelt(text: str, rng: random.Random) -> str:
    """The text with two neighbouring letters inside a word swapped; unchanged if no word is long enough.

    Letters with a combining mark stay: the mark would move to another letter.
    """
    places = [
        i
        for word in words.in_letters(text)
        if len(word[0]) >= SHORTEST_MISSPELT
        for i in range(word.start() + 1, word.end() - 2)
        if text[i] != text[i + 1]
        and text[i : i + 2].isalpha()
        and not unicodedata.category(text[i + 2]).startswith("M")
    ]
    if not places:
        return text
    i = rng.choice(places)
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :]


def repetition(text: str, times: int) -> str:
    """The first phrase, or piece of a word, that occurs so many times in a row; empty if there is none.

    Punctuation does not count: `ja, ja, ja` repeats as `ja ja ja` does.
    """
    spaced = " ".join(NO_WORD.sub(" ", text).split()) + " "
    pieces = rf"(\S{{2,{words.LONGEST_PHRASE}}}?)\2{{{times - 1}}}"
    for found in re.finditer(f"{words.repeated_phrase(times)}|{pieces}", spaced):
        phrase = (found[1] or found[2]).strip()
        if any(map(str.isalpha, phrase)):
            return phrase
    return ""


def mark(text: str) -> str:
    """The punctuation mark at the end of a text; empty if it ends otherwise."""
    last = text.rstrip()[-1:]
    return last if last and unicodedata.category(last).startswith("P") else ""


def spelt(text: str) -> list[str]:
    """The words of a text, without digits, in NFC: both sides may encode a name in different forms."""
    return [word[0] for word in words.in_letters(unicodedata.normalize("NFC", text))]
