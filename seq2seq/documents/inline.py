"""The marks inside a text of Markdown: emphasis, links, code, tags, escapes.

Why: markdown-it names the marks of a text, but not their places.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence

from seq2seq.documents.html import EMPTY
from seq2seq.documents.segments import Kind, Mark, Part, Placeholder, protected

TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*)?/?>|<!--.*?-->", re.DOTALL)
AUTOLINK = re.compile(r"<(?:[A-Za-z][A-Za-z0-9+.-]+:[^\s<>]*|[\w.+-]+@[\w.-]+)>")
ESCAPE = re.compile(r"\\[!-/:-@\[-`{-~]")
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
DELIMITERS = re.compile(r"\*+|_+|~~")
DESTINATION = re.compile(
    r"\(\s*(?:<[^<>\n]*>|[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)(?:\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?\s*\)"
)
SPECIAL = "\\`*_[]<>|~#"


class Inline:
    """Parses texts of a page, whose link references are given."""

    def __init__(self, references: Mapping[str, object]) -> None:
        self._references = {_key(name) for name in references}

    def parts(self, text: str, breaks: Mapping[int, Mark], begin: int = 0) -> tuple[list[Part], list[str]]:
        """Text and marks, and how each is written; `breaks` has the marks of line breaks by place."""
        return _Scanner(text, breaks, self._references).scan(begin, len(text))

    def encoder(self, parts: Sequence[Part], raw: Sequence[str]) -> Callable[[str], str]:
        """Escapes each special character that the source has not in its text."""
        both = zip(parts, raw, strict=True)
        texts = (form for part, form in both if not isinstance(part, Mark | Placeholder))
        literal = {c for form in texts for c in ESCAPE.sub("", form)}
        special = re.compile("|".join(re.escape(c) for c in SPECIAL if c not in literal) or r"(?!)")

        def encode(text: str) -> str:
            return special.sub(lambda found: "\\" + found[0], text)

        return encode


class _Scanner:
    def __init__(self, text: str, breaks: Mapping[int, Mark], references: set[str]) -> None:
        self.text, self.breaks, self.references = text, breaks, references

    def scan(self, begin: int, end: int) -> tuple[list[Part], list[str]]:
        parts: list[Part] = []
        raw: list[str] = []
        plain = written = ""
        delimiters: list[tuple[int, str, bool, bool]] = []  # number of part, its characters, opens, closes

        def flush() -> None:
            nonlocal plain, written
            if plain == written:
                for part in protected(plain):
                    parts.append(part)
                    raw.append(part.raw if isinstance(part, Mark | Placeholder) else part)
            elif plain:
                parts.append(plain)
                raw.append(written)
            plain = written = ""

        def mark(found: Mark, size: int) -> int:
            flush()
            parts.append(found)
            raw.append(found.raw)
            return size

        place = begin
        while place < end:
            rest = self.text[place:end]
            if place in self.breaks:
                place += mark(self.breaks[place], 1)
            elif found := ESCAPE.match(rest):
                plain, written, place = plain + found[0][1], written + found[0], place + 2
            elif (found := ENTITY.match(rest)) and html.unescape(found[0]) != found[0]:
                plain, written, place = (
                    plain + html.unescape(found[0]),
                    written + found[0],
                    place + found.end(),
                )
            elif rest[0] == "`" and (found := CODE.match(self.text, place, end)):
                place += mark(Mark(Kind.ALONE, self._raw(place, found.end())), found.end() - place)
            elif found := AUTOLINK.match(rest):
                place += mark(Mark(Kind.ALONE, found[0]), found.end())
            elif found := TAG.match(rest):
                place += mark(Mark(_kind_of(found[0]), self._raw(place, place + found.end())), found.end())
            elif link := self._link(place, end):
                inside, close = link
                is_image = rest.startswith("!")
                after = close[1]
                if is_image:
                    place += mark(Mark(Kind.ALONE, self._raw(place, after)), after - place)
                    continue
                mark(Mark(Kind.OPEN, "["), 1)
                inner, inner_raw = self.scan(*inside)
                parts += inner
                raw += inner_raw
                mark(Mark(Kind.CLOSE, close[0]), 0)
                raw[-1] = self._raw(inside[1], after)
                place = after
            elif found := DELIMITERS.match(rest):
                opens, closes = self._flanks(place, place + found.end())
                if opens or closes:
                    flush()
                    delimiters.append((len(parts), found[0], opens, closes))
                    parts.append(found[0])
                    raw.append(found[0])
                else:
                    plain, written = plain + found[0], written + found[0]
                place += found.end()
            else:
                plain, written, place = plain + rest[0], written + rest[0], place + 1
        flush()
        _pair(parts, delimiters)
        return parts, raw

    def _raw(self, begin: int, end: int) -> str:
        """A part of the text with its line breaks as they are written."""
        return "".join(
            self.breaks[place].raw if place in self.breaks else self.text[place]
            for place in range(begin, end)
        )

    def _link(self, place: int, end: int) -> tuple[tuple[int, int], tuple[str, int]] | None:
        """The label of a link or image, the mark that closes it, and where it ends."""
        begin = place + self.text.startswith("!", place)
        if not self.text.startswith("[", begin):
            return None
        depth, close = 0, begin
        while close < end:
            if self.text[close] == "\\":
                close += 1
            elif self.text[close] == "`" and (found := CODE.match(self.text, close, end)):
                close = found.end() - 1
            elif self.text[close] in "[]":
                depth += 1 if self.text[close] == "[" else -1
                if not depth:
                    break
            close += 1
        if close >= end:
            return None
        label, after = self.text[begin + 1 : close], self.text[close + 1 : end]
        if found := DESTINATION.match(after):
            return (begin + 1, close), (self._raw(close, close + 1 + found.end()), close + 1 + found.end())
        if (found := re.match(r"\[([^\[\]]+)\]", after)) and _key(found[1]) in self.references:
            return (begin + 1, close), (self._raw(close, close + 1 + found.end()), close + 1 + found.end())
        if label.strip() and _key(label) in self.references:  # the label is the reference, and is translated
            size = 3 if after.startswith("[]") else 1
            return (begin + 1, close), (f"][{label}]", close + size)
        return None

    def _flanks(self, begin: int, end: int) -> tuple[bool, bool]:
        """Whether a run of delimiters can open and close emphasis."""
        before = self.text[begin - 1] if begin else " "
        after = self.text[end] if end < len(self.text) else " "
        left = not after.isspace() and (_is_letter(after) or before.isspace() or not _is_letter(before))
        right = not before.isspace() and (_is_letter(before) or after.isspace() or not _is_letter(after))
        if self.text[begin] == "_":
            return left and not (right and _is_letter(before)), right and not (left and _is_letter(after))
        return left, right


def _pair(parts: list[Part], delimiters: list[tuple[int, str, bool, bool]]) -> None:
    """Replace delimiters that belong together by marks; the others stay text."""
    stack: list[tuple[int, str]] = []
    for number, characters, opens, closes in delimiters:
        matching = [place for place, (_, opened) in enumerate(stack) if opened == characters]
        if closes and matching:
            first, _ = stack[matching[-1]]
            if _is_balanced(parts[first + 1 : number]):
                del stack[matching[-1] :]
                parts[first], parts[number] = Mark(Kind.OPEN, characters), Mark(Kind.CLOSE, characters)
                continue
        if opens:
            stack.append((number, characters))


def _is_balanced(parts: list[Part]) -> bool:
    depth = 0
    for part in parts:
        if isinstance(part, Mark) and part.kind in (Kind.OPEN, Kind.CLOSE):
            depth += 1 if part.kind is Kind.OPEN else -1
            if depth < 0:
                return False
    return not depth


def _kind_of(tag: str) -> Kind:
    name = re.sub(r"[</]*([A-Za-z0-9-]*).*", r"\1", tag, flags=re.DOTALL).lower()
    if tag.startswith("<!") or tag.endswith("/>") or name in EMPTY:
        return Kind.ALONE
    return Kind.CLOSE if tag.startswith("</") else Kind.OPEN


def _is_letter(character: str) -> bool:
    return character.isalnum()


def _key(label: str) -> str:
    return " ".join(label.split()).casefold()
