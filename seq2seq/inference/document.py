"""A plain text of paragraphs and lists as segments to translate, and the way back.

Why: line breaks inside a paragraph are layout; those between paragraphs, list items, verses or the lines of
an address are content. Only a line that is as full as its neighbours, without the end of a sentence, is
taken to be wrapped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from seq2seq.inference.translation import Translation

LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")
# Before the text of a line: indentation, marks of quotations and list items.
MARKS = re.compile(r"\s*(?:>\s?)*(?:(?:[-*+•‣–—]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s+(?=\S))?")
ENDS = re.compile(r"[.!?:;…。！？：；][\"'»”’)\]]*$")
NARROWEST, WIDEST = 30, 130  # characters of the fullest line of a wrapped paragraph


class Segment(NamedTuple):
    """Lines to translate together, and the line breaks between them, with the marks of the next one."""

    lines: list[str]
    breaks: list[str]  # one less than lines

    @property
    def text(self) -> str:
        """The lines with a blank between them."""
        return " ".join(self.lines)


class Result(NamedTuple):
    """A translated document."""

    text: str
    segments: list[Translation]
    splits: int  # divisions of sentences that are too long for the model


def translate(text: str, translate_all: Callable[[list[str]], Sequence[Translation]]) -> Result:
    """Translate the segments of a text with `translate_all`; everything else stays."""
    pieces = list(parse(text))
    segments = [piece for piece in pieces if isinstance(piece, Segment)]
    found = list(translate_all([segment.text for segment in segments]))
    texts = iter(found)
    written = "".join(
        wrapped(piece, next(texts).text) if isinstance(piece, Segment) else piece for piece in pieces
    )
    return Result(written, found, sum(t.splits for t in found))


def parse(text: str, join_lines: bool = True) -> Iterator[str | Segment]:
    """Segments, and the text between them, in order; together they are the text.

    Without `join_lines` each line with a letter or digit is a segment.
    """
    paragraph: list[tuple[str, str, str]] = []  # marks, text and end of each line
    for found in LINE.finditer(text):
        line, end = found.groups()
        if not line and not end:
            break
        marks = match[0] if (match := MARKS.match(line)) else ""
        content = line[len(marks) :].rstrip()
        if any(map(str.isalnum, content)):
            paragraph.append((marks, content, line[len(marks) + len(content) :] + end))
            if join_lines:
                continue
            yield from _segments(paragraph)
        else:
            yield from _segments(paragraph)
            yield line + end
        paragraph = []
    yield from _segments(paragraph)


def _segments(lines: list[tuple[str, str, str]]) -> Iterator[str | Segment]:
    width = max((len(marks + text) for marks, text, _ in lines), default=0)
    segment: Segment | None = None
    gap = ""
    for number, (marks, text, end) in enumerate(lines):
        if segment is not None and NARROWEST <= width <= WIDEST and _is_wrapped(lines, number, width):
            segment.lines.append(text)
            segment.breaks.append(gap + marks)
        else:
            if segment is not None:
                yield segment
            if gap + marks:
                yield gap + marks
            segment = Segment([text], [])
        gap = end
    if segment is not None:
        yield segment
        if gap:
            yield gap


def _is_wrapped(lines: Sequence[tuple[str, str, str]], number: int, width: int) -> bool:
    """Whether a line continues the one before it: its first word would not have fitted there."""
    (marks_before, before, _), (marks, text, _) = lines[number - 1], lines[number]
    if any(map(str.isalnum, marks)) or re.search(r"[-*+•‣–—]", marks) or ENDS.search(before):
        return False
    return len(marks_before + before) + 1 + len(text.split(maxsplit=1)[0]) > width


def wrapped(segment: Segment, translation: str) -> str:
    """A translation with the line breaks of its source, each at a blank near the same share of the text."""
    if not segment.breaks:
        return translation
    places = _blanks(translation)
    total = len(segment.text)
    written, begin, done = "", 0, 0
    for line, line_break in zip(segment.lines, segment.breaks, strict=False):
        done += len(line) + 1
        wanted = (done - 0.5) / total * len(translation)
        free = [place for place in places if place > begin]
        if not free:
            break  # the translation has fewer words than the source lines
        place = min(free, key=lambda place: abs(place + 0.5 - wanted))
        written += translation[begin:place].rstrip(" ") + line_break
        begin = place + 1
    return written + translation[begin:]


def _blanks(text: str) -> list[int]:
    """The blanks after which a line may begin: no list mark or quotation would begin there."""
    return [
        found.start()
        for found in re.finditer(r" (?=\S)", text)
        if found.start() and MARKS.sub("", text[found.end() :], count=1) == text[found.end() :]
    ]
