"""HTML as segments: the text of blocks; tags, attributes, scripts, styles and code stay byte for byte.

Why: the tokenizer of Python's library gives the place of each tag, so that a page is never written anew.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import NamedTuple

from seq2seq.documents.segments import Document, Kind, Mark, Part, Placeholder, protected, segmented

INLINE = frozenset(
    "a abbr b bdi bdo big cite data del dfn em font i ins label mark q s small span strike strong sub sup "
    "time tt u img wbr".split()
)
UNTRANSLATED = frozenset("code kbd samp var pre script style textarea svg math template noscript".split())
INLINE_CODE = frozenset("code kbd samp var".split())
EMPTY = frozenset("area base br col embed hr img input link meta source track wbr".split())


class Token(NamedTuple):
    """A tag, text or anything else, as it is written."""

    kind: str  # text | open | close | other
    name: str
    raw: str
    is_kept: bool = False  # it is marked translate="no"


def parse(text: str) -> Document:
    """The segments of a page or a part of one, and everything between them."""
    document: Document = []
    run: list[Token] = []
    for token in _kept_elements(tokens(text)):
        if token.kind == "text" or token.name in INLINE or token.kind == "code":
            run.append(token)
            continue
        document += _segments(run)
        run = []
        document.append(token.raw)
    return document + _segments(run)


def tokens(text: str) -> list[Token]:
    """All of a text, in order."""
    tokenizer = _Tokenizer(text)
    try:
        tokenizer.feed(text)
        tokenizer.close()
    except AssertionError:  # by a marked section that the library does not support: the rest stays
        tokenizer.add("other", "!")
    if not (marks := tokenizer.found):
        return [Token("other", "!", text)] if text else []
    # The library leaves out `</>`, and the first character of an unfinished reference at the end: each token
    # begins where the one before it ends, and the first at the beginning.
    edges = [0, *(begin for begin, *_ in marks[1:]), len(text)]
    return [
        Token(kind, name, text[begin:end], kept)
        for (_, kind, name, kept), begin, end in zip(marks, edges, edges[1:], strict=False)
    ]


class _Tokenizer(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]
        self.found: list[tuple[int, str, str, bool]] = []

    def add(self, kind: str, name: str = "", kept: bool = False) -> None:
        line, column = self.getpos()
        self.found.append((self._lines[line - 1] + column, kind, name, kept))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        kept = values.get("translate") == "no" or "notranslate" in values.get("class", "").split()
        self.add("other" if tag in EMPTY else "open", tag, kept)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # as a browser reads it

    def handle_endtag(self, tag: str) -> None:
        self.add("close", tag)

    def handle_data(self, data: str) -> None:
        self.add("text")

    def handle_entityref(self, name: str) -> None:
        self.add("text")

    def handle_charref(self, name: str) -> None:
        self.add("text")

    def handle_comment(self, data: str) -> None:
        self.add("other", "!")

    def handle_decl(self, decl: str) -> None:
        self.add("other", "!")

    def unknown_decl(self, data: str) -> None:
        self.add("other", "!")

    def handle_pi(self, data: str) -> None:
        self.add("other", "?")


def _kept_elements(found: list[Token]) -> Iterator[Token]:
    """The tokens, each element that is not translated as one of kind `code` (inside a line) or `other`."""
    number = 0
    while number < len(found):
        token = found[number]
        if token.kind == "open" and (token.name in UNTRANSLATED or token.is_kept):
            depth, end = 0, number
            while end < len(found):
                if found[end].name == token.name and found[end].kind in ("open", "close"):
                    depth += 1 if found[end].kind == "open" else -1
                end += 1
                if not depth:
                    break
            raw = "".join(one.raw for one in found[number:end])
            inline = token.name in INLINE_CODE or token.name in INLINE
            yield Token("code" if inline else "other", "", raw)
            number = end
        else:
            yield token
            number += 1


def _segments(run: list[Token]) -> Document:
    """A run of text and tags inside a line, as segments."""
    parts: list[Part] = []
    raw: list[str] = []
    for token in _merged(run):
        if token.kind == "text":
            for part, written in text_parts(token.raw):
                parts.append(part)
                raw.append(written)
        else:
            kind = {"open": Kind.OPEN, "close": Kind.CLOSE}.get(token.kind, Kind.ALONE)
            parts.append(Mark(kind, token.raw))
            raw.append(token.raw)
    return segmented(parts, raw, _encoder("".join(raw)))


def _merged(run: list[Token]) -> Iterator[Token]:
    """Text and references to characters together; only the tags that belong together as pairs."""
    text = ""
    for token in [*run, Token("end", "", "")]:
        if token.kind == "text":
            text += token.raw
            continue
        if text:
            yield Token("text", "", text)
            text = ""
        if token.kind != "end":
            yield token


def text_parts(raw: str) -> Iterator[tuple[Part, str]]:
    """Parts of a text and their forms: placeholders, and line breaks, which count as blanks."""
    for piece in re.split(r"([ \t]*\r?\n\s*)", raw):
        if not piece:
            continue
        if "\n" in piece:
            yield Mark(Kind.BREAK, piece), piece
            continue
        for part in protected(piece, html.unescape):
            if isinstance(part, Mark | Placeholder):
                yield part, part.raw
            else:
                yield html.unescape(part), part


def _encoder(raw: str) -> Callable[[str], str]:
    """Escapes text; two invisible characters are written by name if the source does so."""
    named = {"\u00a0": "&nbsp;", "\u00ad": "&shy;"}
    used = {character: name for character, name in named.items() if name in raw}

    def encode(text: str) -> str:
        text = html.escape(text, quote=False)
        for character, name in used.items():
            text = text.replace(character, name)
        return text

    return encode
