"""A document as segments to translate and everything else, which stays as it is.

Why: formats differ in how they are read. The text for the model, and the way in which a translation gets the
markup of its source, are the same for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from seq2seq.data.placeholders import PLACEHOLDER, SYMBOLS, spans
from seq2seq.inference.translation import Translation


class Kind(Enum):
    """The place of a mark in the text."""

    OPEN = 1
    CLOSE = 2
    ALONE = 3
    BREAK = 4  # stands for a blank, and may be left out


class Mark(NamedTuple):
    """Markup inside a segment, as it is written in the document."""

    kind: Kind
    raw: str


class Placeholder(str):
    """A placeholder as text, for a model that copies it, and as it is written in the document."""

    raw: str

    def __new__(cls, text: str, raw: str) -> Placeholder:
        """`text` is the form that the model gets."""
        made = super().__new__(cls, text)
        made.raw = raw
        return made


Part = str | Mark  # a Placeholder is a str


class Segment:
    """Text with marks, each OPEN with its CLOSE.

    `forms` are its parts as they are written in the document, `raw` is all of them; `encode` writes text
    without placeholders in its syntax, `finish` changes the begin of a whole segment that would be another
    structure there.
    """

    def __init__(self, parts: Sequence[Part], forms: Sequence[str], encode: Callable[[str], str]) -> None:
        self.parts, self.forms, self.raw = list(parts), list(forms), "".join(forms)
        self.finish: Callable[[str], str] = str
        self.text, self.places = _joined(self.parts)
        self._encode = encode
        self._kept: dict[str, list[str]] = {}
        for part in parts:
            if isinstance(part, Placeholder):
                self._kept.setdefault(str(part), []).append(part.raw)

    def encoder(self) -> Callable[[str], str]:
        """A function that writes one translated text, a piece after another, in the syntax of the document.

        Placeholders are written as they are there; of equal ones the first has the form of the first there.
        """
        if not self._kept:
            return self._encode
        left = {text: [*forms] for text, forms in self._kept.items()}
        is_kept = re.compile(f"({'|'.join(map(re.escape, sorted(left, key=len, reverse=True)))})")

        def write(piece: str) -> str:
            if piece not in left:
                return self._encode(piece)
            forms = left[piece]
            return forms.pop(0) if len(forms) > 1 else forms[0]

        return lambda text: "".join(map(write, is_kept.split(text)))

    @property
    def may_copy(self) -> bool:
        """Whether a model with symbols can copy all placeholders; it has no more symbols for a sentence."""
        return sum(1 for _ in spans(self.text)) <= len(SYMBOLS)

    def with_marks(self) -> Document:
        """The same with the placeholders as marks, which alignment places, for a model without symbols."""
        if not self._kept:
            return [self]
        parts = [Mark(Kind.ALONE, one.raw) if isinstance(one, Placeholder) else one for one in self.parts]
        pieces = _trimmed(parts, list(self.forms), self._encode)
        for piece in pieces:
            if isinstance(piece, Segment):
                piece.finish = self.finish
        return pieces

    @property
    def has_marks(self) -> bool:
        """Whether alignment is needed to write a translation."""
        return any(isinstance(part, Mark) and part.kind is not Kind.BREAK for part in self.parts)


class Place(NamedTuple):
    """A mark and its offset in the text."""

    mark: Mark
    offset: int
    is_word: bool  # it stands between blanks, of which the text has one


Document = list[str | Segment]
Translate = Callable[[list[str], bool], Sequence[Translation]]  # texts; whether attention is needed


def protected(text: str, decode: Callable[[str], str] = str) -> Iterator[Part]:
    """A text as it is written with its placeholders apart, as marks where `decode` changes their kind."""
    end = 0
    for found in PLACEHOLDER.finditer(text):
        if found.start() > end:
            yield text[end : found.start()]
        is_one = PLACEHOLDER.fullmatch(decode(found[0]))
        yield Placeholder(decode(found[0]), found[0]) if is_one else Mark(Kind.ALONE, found[0])
        end = found.end()
    if end < len(text):
        yield text[end:]


def prepared(document: Document, protects: bool) -> Document:
    """A document for a model: placeholders are text if it has symbols to copy them, else marks."""
    prepared: Document = []
    for piece in document:
        is_ready = isinstance(piece, str) or (protects and piece.may_copy)
        prepared += [piece] if isinstance(piece, str) or is_ready else piece.with_marks()
    return prepared


def segmented(parts: Sequence[Part], raw: Sequence[str], encode: Callable[[str], str] = str) -> Document:
    """Parts, with each one's form in the document, as one segment, or several between unpaired marks.

    Blanks and marks at the ends, and a pair around everything, are left outside.
    """
    document: Document = []
    begin = 0
    for place in [*_unpaired(parts), len(parts)]:
        document += _trimmed(list(parts[begin:place]), list(raw[begin:place]), encode)
        if place < len(parts):
            document.append(raw[place])
        begin = place + 1
    return document


def translated(
    document: Document, translate: Translate
) -> Iterator[tuple[str | Segment, Translation | None]]:
    """The pieces of a document, segments with their translations; equal texts are translated once."""
    segments = [piece for piece in document if isinstance(piece, Segment)]
    found: dict[tuple[str, bool], Translation] = {}
    for needs in (False, True):
        texts = list(dict.fromkeys(s.text for s in segments if s.has_marks is needs))
        if texts:
            found |= zip([(text, needs) for text in texts], translate(texts, needs), strict=True)
    for piece in document:
        yield piece, found[piece.text, piece.has_marks] if isinstance(piece, Segment) else None


def _joined(parts: Iterable[Part]) -> tuple[str, list[Place]]:
    """The text for the model, and the places of marks in it."""
    text, places = "", list[Place]()
    for part in parts:
        if isinstance(part, Mark):
            places.append(Place(part, len(text), False))
            is_break = part.kind is Kind.BREAK or (part.kind is Kind.ALONE and "\n" in part.raw)
            if is_break and not text.endswith(" "):
                text += " "
            continue
        last = places[-1] if places else None
        is_after = last is not None and last.offset == len(text) and last.mark.kind is Kind.ALONE
        if last and is_after and part.startswith(" ") and (text.endswith(" ") or not text):
            places[-1] = last._replace(is_word=True)
            part = part[1:]
        text += part
    return text, places


def _unpaired(parts: Sequence[Part]) -> list[int]:
    """The numbers of marks that open or close nothing here."""
    stack: list[int] = []
    unpaired: list[int] = []
    for number, part in enumerate(parts):
        if isinstance(part, Mark) and part.kind is Kind.OPEN:
            stack.append(number)
        elif isinstance(part, Mark) and part.kind is Kind.CLOSE:
            if stack:
                stack.pop()
            else:
                unpaired.append(number)
    return sorted(unpaired + stack)


def _trimmed(parts: list[Part], raw: list[str], encode: Callable[[str], str]) -> Document:
    before, after = "", ""
    texts = [part for part in parts if isinstance(part, str) and not isinstance(part, Placeholder)]
    if not any(any(map(str.isalnum, text)) for text in texts):
        return ["".join(raw)] if raw else []
    while parts:
        first, last = parts[0], parts[-1]
        if isinstance(first, Mark) and first.kind in (Kind.ALONE, Kind.BREAK):
            before += raw.pop(0)
            parts.pop(0)
        elif isinstance(last, Mark) and last.kind in (Kind.ALONE, Kind.BREAK):
            after = raw.pop() + after
            parts.pop()
        elif isinstance(first, str) and (begin := _blanks(first, raw[0])):
            before += first[:begin]
            parts[0], raw[0] = first[begin:], raw[0][begin:]
            if not parts[0]:
                del parts[0], raw[0]
        elif isinstance(last, str) and (size := _blanks(last[::-1], raw[-1][::-1])):
            after = last[-size:] + after
            parts[-1], raw[-1] = last[:-size], raw[-1][:-size]
            if not parts[-1]:
                del parts[-1], raw[-1]
        elif isinstance(first, Mark) and _partner(parts, 0) is not None:
            end = _partner(parts, 0) or 0
            if any(isinstance(part, str) and part.strip() for part in parts[1:end]) and end < len(parts) - 1:
                break
            before += raw[0]
            if end == len(parts) - 1:
                after = raw[-1] + after
                parts, raw = parts[1:-1], raw[1:-1]
            else:  # an empty pair
                before += "".join(raw[1 : end + 1])
                parts, raw = parts[end + 1 :], raw[end + 1 :]
        else:
            break
    document: Document = [before, Segment(parts, raw, encode), after]
    return [piece for piece in document if piece != ""]


def _blanks(text: str, raw: str) -> int:
    """The number of blanks at the begin of a text that its form in the document begins with too."""
    size = len(text) - len(text.lstrip(" \t\r\n"))
    return size if raw.startswith(text[:size]) else 0


def _partner(parts: Sequence[Part], begin: int) -> int | None:
    """The number of the mark that closes an open one."""
    depth = 0
    for number in range(begin, len(parts)):
        part = parts[number]
        if isinstance(part, Mark) and part.kind in (Kind.OPEN, Kind.CLOSE):
            depth += 1 if part.kind is Kind.OPEN else -1
            if not depth:
                return number
    return None
