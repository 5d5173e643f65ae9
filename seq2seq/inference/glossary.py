"""A glossary: terms and the translation that each must get.

Why: names of products and the terms of a trade have one agreed translation, which no corpus teaches reliably.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from seq2seq.common.errors import UserError

KEEP = "keep"  # as a translation: the term itself


class Glossary:
    """Terms of the source language by their exact form, with their translations.

    A term is found as whole words, and with a capital as its first letter too, which its translation then
    gets as well. Of terms that overlap, the one that begins first and is longest counts.
    """

    def __init__(self, terms: Mapping[str, str]) -> None:
        capitalised = {_capital(term): _capital(translation) for term, translation in terms.items()}
        self._terms = capitalised | dict(terms)
        longest_first = sorted(self._terms, key=lambda term: (-len(term), term))
        # Where a term begins or ends with a letter, another letter may not touch it.
        forms = (
            (r"(?<!\w)" if term[0].isalnum() else "")
            + re.escape(term)
            + (r"(?!\w)" if term[-1].isalnum() else "")
            for term in longest_first
        )
        self._pattern = re.compile("|".join(forms) or r"(?!)")

    @classmethod
    def read(cls, path: Path) -> Glossary:
        """Read a file of lines `term<TAB>translation`, or `term<TAB>keep`; `#` begins a comment.

        Raises UserError for a line without two fields, and for a term with two translations.
        """
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"glossary {path}: {error}") from None
        terms: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = [field.strip() for field in line.split("\t")]
            if len(fields) != 2 or not all(fields):
                raise UserError(f"{path}:{number}: write a term, a tab, and its translation or `{KEEP}`")
            term, translation = fields[0], fields[0] if fields[1] == KEEP else fields[1]
            if terms.setdefault(term, translation) != translation:
                raise UserError(f"{path}:{number}: {term!r} has another translation already: {terms[term]!r}")
        return cls(terms)

    def find(self, text: str) -> list[tuple[int, int, str]]:
        """Begin, end and translation of each term in a text, in order."""
        return [(*found.span(), self._terms[found[0]]) for found in self._pattern.finditer(text)]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
