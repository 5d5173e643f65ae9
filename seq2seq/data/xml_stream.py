"""Reads an XML file of any size by its elements, in constant memory: units of TMX and XLIFF.

Why: translation memories have gigabytes. Python's expat takes them piece by piece, and finds encodings by
declaration and byte order mark. A file may be from anywhere: no entity is expanded, no other file is opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from xml.parsers import expat

from seq2seq.common.errors import UserError
from seq2seq.data.rows import cut
from seq2seq.data.streams import LONGEST_LINE, Source

DEEPEST = 200  # elements open at once
AROUND = 30  # bytes shown before and after a fault
CODES = {"bpt", "ept", "ph", "it", "ut"}  # inline elements with a tag of the document as content, no text
BREAKS = {"lb", "pb", "x-lb", "x-br", "fmt:lb", "xlf:lb"}  # types of codes that end a line
BREAK = re.compile(r"(?i)\s+|\s*<br\b.*|\\n", re.DOTALL)  # codes that stand between two words
BLANK = re.compile(r"[ \t\r\n]+")

REMEDIES = {
    "unclosed token": "the file ends too early; is it incomplete?",
    "no element found": "the file ends too early; is it incomplete?",
    "unclosed CDATA section": "the file ends too early; is it incomplete?",
    "not well-formed (invalid token)": "a character that XML does not allow there, also in an attribute: "
    "write & as &amp; and < as &lt;, remove a control character; or line 1 declares another encoding than "
    "the file has",
    "reference to invalid character number": "XML 1.0 has no such character: remove it",
    "undefined entity": "XML has no such name: write the character itself",
    "mismatched tag": "is the file damaged?",
    "junk after document element": "two files joined by `cat` are not one: put them into a folder",
    "unknown encoding": "convert it to UTF-8, and change the declaration in line 1",
    "encoding specified in XML declaration is incorrect": "line 1 declares another encoding than the file "
    "has: correct the declaration",
}


class Unit(NamedTuple):
    """A unit of a translation memory: its texts, each with the name of its language.

    `left_out` is the reason for which it is no translation, `fault` that for which it cannot be used.
    """

    number: int  # from 1
    place: str  # its line and, if it has one, its identifier
    texts: list[tuple[str, str]]
    left_out: str = ""
    fault: str = ""


class Handler:
    """Receives the elements of a file, with their local names; a subclass adds Units to `units`.

    Between `collect` and `collected` the text of an element is gathered, without inline codes: the
    content of CODES is left out, except that of `sub`.
    """

    def __init__(self, file: Source) -> None:
        self.file = file
        self.open: list[str] = []
        self.units: list[Unit] = []
        self.number = 0
        self.fault = ""  # of the current unit
        self._parts: list[str] | None = None
        self._length = 0
        self._kept: list[bool] = []  # for each open inline element
        self.parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._entity
        parser.SkippedEntityHandler = self._skipped

    def start(self, name: str, parent: str, attributes: Mapping[str, str]) -> None:
        """An element begins, outside of text that is collected."""

    def start_inline(self, name: str, attributes: Mapping[str, str]) -> None:
        """An inline element begins in text that is collected."""

    def end(self, name: str, parent: str) -> None:
        """An element ends."""

    def finish(self) -> None:
        """The file ends."""

    def collect(self) -> None:
        """Gather the text of the element that begins."""
        self._parts, self._length, self._kept = [], 0, [True]
        self.parser.CharacterDataHandler = self._text

    def so_far(self) -> str:
        """The text gathered until here."""
        return "".join(self._parts or ())

    def collected(self) -> str:
        """The text of the element that ends, blanks folded."""
        text, self._parts = self.so_far(), None
        self.parser.CharacterDataHandler = None
        return fold(text)

    def is_collecting(self) -> bool:
        """Whether the open element's text is gathered."""
        return self._parts is not None

    def place(self, identifier: str | None = None) -> str:
        """The line that is being read and the identifier of the unit, for messages."""
        line = f"line {self.parser.CurrentLineNumber:,}"
        return f"{line}, {cut(identifier)}" if identifier else line

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name, parent = tag.rpartition(":")[2], self.open[-1] if self.open else ""
        self.open.append(name)
        if len(self.open) > DEEPEST:
            raise UserError(f"{self.file.path}, {self.place()}: more than {DEEPEST} elements in each other")
        if self._parts is None:
            self.start(name, parent, attributes)
            return
        self._kept.append(name not in CODES and (name == "sub" or self._kept[-1]))
        kind = attributes.get("ctype") or attributes.get("type") or attributes.get("subType") or ""
        if kind in BREAKS or name in ("br", "lb"):
            self._parts.append(" ")
        self.start_inline(name, attributes)

    def _end(self, tag: str) -> None:
        name = self.open.pop()
        self.end(name, self.open[-1] if self.open else "")
        if self._parts is not None:
            self._kept.pop()

    def _text(self, data: str) -> None:
        assert self._parts is not None
        self._length += len(data)
        if self._length > LONGEST_LINE:
            self.fault = f"a text of more than {LONGEST_LINE:,} characters"
        elif self._kept[-1]:
            self._parts.append(data)
        elif BREAK.fullmatch(data):
            self._parts.append(" ")

    def _entity(self, name: str, *_: Any) -> None:
        raise UserError(
            f"{self.file.path}, {self.place()}: it declares the entity {cut(name)}; these are not read, as "
            "they can hide files and gigabytes: remove it"
        )

    def _skipped(self, name: str, *_: Any) -> None:
        if self._parts is not None:
            self.fault = f"XML has no &{cut(name)};: write the character itself"


def fold(text: str) -> str:
    """The text with each run of blanks and line ends as one blank; other spaces of Unicode stay."""
    return BLANK.sub(" ", text).strip(" ")


def read(handler: Handler) -> Iterator[Unit]:
    """The units of a file; raises UserError for XML that is not well-formed, with line and remedy."""
    parser, path, fed = handler.parser, handler.file.path, 0
    piece = b""
    try:
        for piece in handler.file.pieces():
            parser.Parse(piece)
            fed += len(piece)
            if fed - max(parser.CurrentByteIndex, 0) > 2 * LONGEST_LINE:
                raise UserError(
                    f"{path}, {handler.place()}: a tag or comment of more than {LONGEST_LINE:,} bytes"
                )
            yield from handler.units
            handler.units.clear()
        piece = b""
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        yield from handler.units
        raise UserError(_explain(handler, error, piece, fed)) from None
    except UserError:
        raise
    except (LookupError, ValueError) as error:  # of an encoding that Python or expat does not have
        raise UserError(f"{path}, line 1: {error}: {REMEDIES['unknown encoding']}") from None
    handler.finish()
    yield from handler.units


def _explain(handler: Handler, error: expat.ExpatError, piece: bytes, fed: int) -> str:
    message = expat.ErrorString(error.code)
    at = handler.parser.ErrorByteIndex - fed
    around = piece[max(0, at - AROUND) : at + AROUND] if 0 <= at <= len(piece) else b""
    shown = f" near {cut(repr(around), 200)[1:]}" if around else ""
    unit = f", in or after unit {handler.number:,}" if handler.number else ""
    remedy = REMEDIES.get(message, "repair it, or export it again")
    return f"{handler.file.path}, line {error.lineno:,}{unit}: {message}{shown}: {remedy}"
