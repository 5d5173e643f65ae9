"""Whole documents: text with markup in, the same with translated text out.

Why: a page is small, and its parts depend on each other, so it is read and written at once.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from seq2seq.common import document_formats as formats
from seq2seq.common.errors import UserError
from seq2seq.documents import html, po, xliff_tmx
from seq2seq.documents.placing import write
from seq2seq.documents.records import BOM, not_utf8
from seq2seq.documents.segments import (
    Document,
    Kind,
    Mark,
    Part,
    Translate,
    prepared,
    segmented,
    translated,
)
from seq2seq.inference import document as plain
from seq2seq.inference.translation import Translation

UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
CUE = re.compile(r"(?:\A|(?<=\n))(?:[ \t]*\d+[ \t]*\r?\n)?[^\r\n]*-->[^\r\n]*(?:\r?\n|\Z)")


class Translated(NamedTuple):
    """A translated document, and counts to be shown."""

    data: bytes
    segments: int
    splits: int


class Settings(NamedTuple):
    """Options of files of units, and a property of the model."""

    again: bool = False
    languages: tuple[str | None, str | None] = (None, None)  # of source and target
    protects: bool = False  # the model copies placeholders (see Translator.protects)


def translate(path: Path, format: str, translate: Translate, how: Settings | None = None) -> Translated:
    """Translate a file of text with markup or of units; raises UserError if it cannot be read."""
    how = how or Settings()
    data = path.read_bytes()
    try:
        if format == "po":
            return _translate_catalogue(data, translate, how)
        codec = next((name for mark, name in UTF_16.items() if data.startswith(mark)), "utf-8")
        text = data.decode(codec)
        head = BOM if text.startswith(BOM) else ""
        text = text.removeprefix(BOM)
        document = (
            xliff_tmx.parse(text, format, how.again, how.languages)
            if format in formats.UNITS
            else parse(text, format)
        )
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: {not_utf8(error)}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    written, found = render(document, translate, how.protects)
    return Translated((head + written).encode(codec), len(found), sum(t.splits for t in found))


def _translate_catalogue(data: bytes, translate: Translate, how: Settings) -> Translated:
    file = po.Catalogue(data, how.again)
    documents = list(file.documents())
    written, found = render_all(documents, translate, how.protects)
    return Translated(file.write(iter(written)), len(found), sum(t.splits for t in found))


def parse(text: str, format: str) -> Document:
    """The segments of a text in a format, and everything between them."""
    if format == "html":
        return html.parse(text)
    if format == "md":
        try:
            from seq2seq.documents import markdown
        except ModuleNotFoundError as error:
            raise formats.missing(error) from None
        return markdown.parse(text)
    if format == "srt":
        return _subtitles(text)
    return _paragraphs(text)


def render(document: Document, translate: Translate, protects: bool = False) -> tuple[str, list[Translation]]:
    """A document with its segments translated, and the translations; see Settings for `protects`."""
    [written], found = render_all([document], translate, protects)
    return written, found


def render_all(
    documents: Sequence[Document], translate: Translate, protects: bool = False
) -> tuple[list[str], list[Translation]]:
    """Documents with their segments translated together, and the translations."""
    documents = [prepared(document, protects) for document in documents]
    pieces = translated([piece for document in documents for piece in document], translate)
    written, found = [], []
    for document in documents:
        texts = []
        for piece, translation in islice(pieces, len(document)):
            if isinstance(piece, str) or translation is None:
                texts.append(str(piece))
            else:
                texts.append(write(piece, translation))
                found.append(translation)
        written.append("".join(texts))
    return written, found


def _subtitles(text: str) -> Document:
    """Each subtitle as a segment; numbers, times and tags stay."""
    document: Document = []
    done = 0
    for found in CUE.finditer(text):
        document += [*html.parse(text[done : found.start()]), found[0]]
        done = found.end()
    return [*document, *html.parse(text[done:])]


def _paragraphs(text: str) -> Document:
    """Paragraphs of plain text, wrapped lines together."""
    document: Document = []
    for piece in plain.parse(text):
        if isinstance(piece, str):
            document.append(piece)
            continue
        parts: list[Part] = [piece.lines[0]]
        raw = [piece.lines[0]]
        for gap, line in zip(piece.breaks, piece.lines[1:], strict=True):
            parts += [Mark(Kind.BREAK, gap), line]
            raw += [gap, line]
        document += segmented(parts, raw)
    return document
