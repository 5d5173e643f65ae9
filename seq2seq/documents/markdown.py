"""Markdown (CommonMark with tables) as segments; code, links' targets and front matter stay byte for byte.

Why: markdown-it decides which lines are text; only those are changed, so that a page is never written anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from seq2seq.documents import html
from seq2seq.documents.inline import Inline
from seq2seq.documents.segments import Document, Kind, Mark, Part, Segment, segmented

FRONT_MATTER = re.compile(r"(---|\+\+\+)[ \t]*\r?\n.*?^\1[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
TASK = re.compile(r"\[[ xX]\][ \t]+")
HARD_BREAK = re.compile(r"( {2,}|\\)$")
# Marks of a list, quotation, heading or rule at the begin of a line.
BLOCK = re.compile(r"(?:[-+*>]|#{1,6}(?=\s)|\d{1,9}[.)](?=\s)|=+\s*$|~~~|```)")
Span = tuple[int, int]


def parse(text: str) -> Document:
    """The segments of a page and everything between them."""
    front = found.end() if (found := FRONT_MATTER.match(text)) else 0
    page = text[front:]
    environment: dict[str, dict[str, object]] = {}
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page, environment)
    inline = Inline(environment.get("references", {}))
    starts = [0, *(found.end() for found in re.finditer(r"\r\n|\r|\n", page))]
    document: Document = [text[:front]]
    done = 0
    for token, lines in _texts(tokens):
        begin, end = (starts[line] if line < len(starts) else len(page) for line in lines)
        begin = max(begin, done)
        if token.type == "html_block":
            document += [page[done:begin], *html.parse(page[begin:end])]
            done = end
        elif spans := _places(page, begin, end, token.content):
            document.append(page[done : spans[0][0]])
            document += _segments(page, spans, inline)
            done = spans[-1][1]
    document.append(page[done:])
    return [piece for piece in document if piece != ""]


def _texts(tokens: list[Token]) -> Iterator[tuple[Token, list[int]]]:
    """Tokens with text, and the range of their lines; a cell of a table has that of its row."""
    lines = [0, 0]
    for token in tokens:
        lines = token.map or lines
        if token.type in ("inline", "html_block"):
            yield token, lines


def _places(page: str, begin: int, end: int, content: str) -> list[Span]:
    """The places of a text's lines in the page, without the marks before each; empty if not found."""
    spans: list[Span] = []
    for line in content.split("\n"):
        line = line.strip(" \t")
        place = page.find(line, begin, end)
        if place < 0:
            line = line.replace("|", "\\|")  # in a table
            place = page.find(line, begin, end)
        if place < 0:
            return []
        spans.append((place, place + len(line)))
        begin = place + len(line)
    return spans


def _segments(page: str, spans: list[Span], inline: Inline) -> Document:
    """The lines of a text as segments: hard breaks end one, unless they stand inside a pair of marks."""
    text = ""
    breaks: dict[int, Mark] = {}  # by the place of the blank that stands for it
    for number, (begin, end) in enumerate(spans):
        line = page[begin:end]
        if number + 1 == len(spans):
            text += line
            continue
        gap = page[end : spans[number + 1][0]]
        hard = line.endswith("\\") or gap.startswith("  ")
        if line.endswith("\\"):
            line, gap = line[:-1], "\\" + gap
        text += line
        breaks[len(text)] = Mark(Kind.ALONE if hard else Kind.BREAK, gap)
        text += "\n"
    document: Document = []
    if found := TASK.match(text):
        document.append(found[0])
    parts, raw = inline.parts(text, breaks, found.end() if found else 0)
    for part_run, raw_run in _at_hard_breaks(parts, raw):
        if isinstance(part_run, str):
            document.append(part_run)
        else:
            pieces = segmented(part_run, raw_run, inline.encoder(part_run, raw_run))
            for piece in pieces:
                if isinstance(piece, Segment) and not BLOCK.match(piece.raw):
                    piece.finish = _as_text
            document += pieces
    return document


def _as_text(written: str) -> str:
    """A paragraph whose begin is no mark of a block."""
    if not (found := BLOCK.match(written)) or written.startswith(("**", "*_", "~~", "`")):
        return written
    mark = found[0]
    if mark[0].isdigit():
        return f"{mark[:-1]}\\{written[len(mark) - 1 :]}"
    is_mark = mark[0] in "#=>" or written[len(mark) :][:1].isspace() or set(written.strip()) <= {"-"}
    return f"\\{written}" if is_mark else written


def _at_hard_breaks(
    parts: list[Part], raw: list[str]
) -> Iterator[tuple[list[Part], list[str]] | tuple[str, list[str]]]:
    """The parts between hard breaks outside of pairs, and these breaks."""
    depth = begin = 0
    for number, part in enumerate(parts):
        if not isinstance(part, Mark):
            continue
        if part.kind is Kind.OPEN:
            depth += 1
        elif part.kind is Kind.CLOSE:
            depth -= 1
        elif part.kind is Kind.ALONE and part.raw[0] in " \\" and not depth:
            yield parts[begin:number], raw[begin:number]
            yield raw[number], []
            begin = number + 1
    yield parts[begin:], raw[begin:]
