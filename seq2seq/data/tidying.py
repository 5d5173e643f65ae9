"""The form that `clean` gives a text: repaired, in one Unicode form, without invisible characters.

Why: texts that look alike are to be equal, and invisible characters are not to be learnt.
"""

from __future__ import annotations

import re
import unicodedata

from seq2seq.common.schema import Clean
from seq2seq.data import quality
from seq2seq.data.corpus import NEEDLESS

# Invisible characters: controls other than whitespace, and format characters that are not part of a spelling.
# The joiners U+200C and U+200D (Persian, Hindi, emoji) and U+180E (Mongolian) stay.
INVISIBLE = re.compile(f"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f{NEEDLESS}]")


def tidy(text: str, form: str) -> str:
    """`text` in a Unicode form (NFC, NFKC or "none"), without invisibles, with single spaces.

    Idempotent: invisibles are removed first, since they can separate characters that compose.
    """
    printable = text.isprintable()
    if not printable:
        text = INVISIBLE.sub("", text)
    if form != "none" and not text.isascii():
        text = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    if printable and form != "NFKC" and "  " not in text and text[:1] != " " and text[-1:] != " ":
        return text  # most texts: a blank is the only white space that is printable
    return " ".join(text.split())


def tidied(text: str, params: Clean) -> str:
    """A text as the settings want it: repaired, in one Unicode form, without invisibles."""
    if params.mojibake == "repair":
        text = quality.repaired(text)
    if params.markup == "repair":
        text = quality.without_entities(text)
    return tidy(text, params.unicode_form)
