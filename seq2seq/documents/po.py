"""PO: the messages without a translation get one, marked fuzzy, by translate-toolkit.

Why: the library leaves messages that are not changed as they are written. A fuzzy message is one to review:
gettext does not use it before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seq2seq.common import document_formats as formats
from seq2seq.common.errors import UserError
from seq2seq.documents.segments import Document, Mark, protected, segmented
from seq2seq.inference import document as plain


class Catalogue:
    """The messages of a PO file as one document, and the way back."""

    def __init__(self, data: bytes, again: bool) -> None:
        try:
            from translate.storage import pypo
        except ModuleNotFoundError as error:
            raise formats.missing(error) from None
        try:
            self._store = pypo.pofile.parsestring(data)
        except ValueError as error:
            raise UserError(f"not a PO file: {error}") from None
        self._messages = [unit for unit in self._store.units if _is_open(unit, again)]

    def documents(self) -> Iterator[Document]:
        """A document for each text of each message: of a plural the singular and the plural."""
        for unit in self._messages:
            for text in _texts(unit):
                yield _document(text)

    def write(self, translations: Iterator[str]) -> bytes:
        """The file with the translations of its documents."""
        forms = self._store.getheaderplural()[0] or "2"
        for unit in self._messages:
            found = [next(translations) for _ in _texts(unit)]
            if unit.hasplural():
                count = int(forms) if str(forms).isdecimal() else 2
                found = [found[0], *[found[1]] * (count - 1)] if count > 1 else [found[1]]
                unit.target = found
            else:
                unit.target = found[0]
            unit.markfuzzy()
        return bytes(self._store)


def _is_open(unit: Any, again: bool) -> bool:
    if unit.isheader() or unit.isobsolete() or not unit.source:
        return False
    return again or not any(_targets(unit))


def _targets(unit: Any) -> list[str]:
    return [str(text) for text in getattr(unit.target, "strings", [unit.target]) if text]


def _texts(unit: Any) -> list[str]:
    return [str(text) for text in unit.source.strings] if unit.hasplural() else [str(unit.source)]


def _document(text: str) -> Document:
    """Each line as segments; line breaks at the ends are part of the message."""
    found: Document = []
    for piece in plain.parse(text, join_lines=False):
        if isinstance(piece, str):
            found.append(piece)
        else:
            parts = list(protected(piece.text))
            found += segmented(parts, [part.raw if isinstance(part, Mark) else part for part in parts])
    return found
