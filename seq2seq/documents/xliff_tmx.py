"""XLIFF 1.2 and 2.x and TMX: translations are inserted beside their sources, every other byte stays.

Why: libraries write such a file anew, with other line breaks, attributes and declarations. The XML parser
gives the place of each tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from seq2seq.common.errors import UserError
from seq2seq.documents.html import text_parts
from seq2seq.documents.segments import Document, Kind, Mark, Part, segmented

PAIRS = frozenset(("g", "mrk", "pc", "hi"))  # inline elements around text
OPENING, CLOSING = frozenset(("bpt", "bx", "sc")), frozenset(("ept", "ex", "ec"))
UNITS = frozenset(("trans-unit", "segment"))


class Event(NamedTuple):
    """A tag or anything else, and its bytes."""

    kind: str  # open | close | other
    name: str
    attributes: Mapping[str, str]
    begin: int
    end: int


class Element(NamedTuple):
    """The events of an element: its tags and all between them."""

    first: int
    last: int


class Unit(NamedTuple):
    """The source of a unit, the target if there is one, and where one is inserted: after an event."""

    source: Element
    target: Element | None
    after: int
    opening: str  # of a new target
    closing: str


def parse(text: str, format: str, again: bool, languages: tuple[str | None, str | None]) -> Document:
    """The units without a translation, or all with `again`, as segments; raises UserError for faulty XML."""
    data = text.encode()
    events = list(_events(data))
    find = _tmx_units if format == "tmx" else _xliff_units
    document: list[object] = []
    done = 0
    for unit in find(data, events, languages):
        inner = _inner(data, events, unit.source)
        if unit.target is None:
            place, opening, closing = events[unit.after].end, unit.opening, unit.closing
            document += [data[done:place].decode(), opening]
            done = place
        elif again or not _inner_bytes(data, events, unit.target).strip():
            first, last = events[unit.target.first], events[unit.target.last]
            tag = data[first.begin : first.end].decode()
            if tag.endswith("/>"):
                tag = f"{tag[:-2].rstrip()}>"
            document += [data[done : first.begin].decode(), tag]
            closing, done = f"</{re.split(r'[ >/]', tag[1:].strip())[0]}>", last.end
        else:
            continue
        document += [*inner, closing]
    return [piece for piece in [*document, data[done:].decode()] if piece != ""]  # type: ignore[misc]


def _events(data: bytes) -> Iterator[Event]:
    """All of a document, in order."""
    parser = expat.ParserCreate("utf-8")  # the text is decoded, whatever its declaration states
    parser.buffer_text = False
    found: list[tuple[str, str, Mapping[str, str], int]] = []

    def noted(kind: str) -> Callable[..., None]:
        def note(name: str = "", attributes: Mapping[str, str] | None = None, *_: object) -> None:
            is_tag = kind in ("open", "close")
            found.append((kind, name if is_tag else "", attributes or {}, parser.CurrentByteIndex))

        return note

    parser.StartElementHandler, parser.EndElementHandler = noted("open"), noted("close")
    other = noted("other")
    parser.DefaultHandler = lambda data: other()
    parser.CharacterDataHandler = lambda data: other()
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise UserError(f"not valid XML: {error}") from None
    ends = [begin for *_, begin in found[1:]] + [len(data)]
    for (kind, name, attributes, begin), end in zip(found, ends, strict=True):
        yield Event(kind, name.rpartition(":")[2], attributes, begin, end)


def _elements(events: list[Event]) -> dict[int, int]:
    """The number of the closing event by that of the opening one."""
    stack: list[int] = []
    found = {}
    for number, event in enumerate(events):
        if event.kind == "open":
            stack.append(number)
        elif event.kind == "close":
            found[stack.pop()] = number
    return found


def _xliff_units(
    data: bytes, events: list[Event], languages: tuple[str | None, str | None]
) -> Iterator[Unit]:
    ends = _elements(events)
    kept = [True]  # by open element: whether it is translated
    for number, event in enumerate(events):
        if event.kind == "close":
            kept.pop()
        if event.kind != "open":
            continue
        kept.append({"no": False, "yes": True}.get(event.attributes.get("translate", ""), kept[-1]))
        if event.name not in UNITS or not kept[-1]:
            continue
        parts = {events[child].name: Element(child, ends[child]) for child in _children(events, ends, number)}
        if "source" not in parts or event.attributes.get("approved") == "yes":
            continue
        source = parts.get("seg-source", parts["source"])
        prefix = _prefix(data, events[source.first])
        state = ' state="needs-review-translation"' if event.name == "trans-unit" else ""
        opening = f"{_indent(data, events[source.first].begin)}<{prefix}target{state}>"
        yield Unit(source, parts.get("target"), source.last, opening, f"</{prefix}target>")


def _tmx_units(data: bytes, events: list[Event], languages: tuple[str | None, str | None]) -> Iterator[Unit]:
    source_language, target_language = languages
    if not target_language:
        raise UserError("the model does not state its languages: give the target's by --to, e.g. --to en")
    ends = _elements(events)
    for number, event in enumerate(events):
        if event.kind == "open" and event.name == "header" and not source_language:
            source_language = event.attributes.get("srclang")
        if event.kind != "open" or event.name != "tu":
            continue
        texts: dict[str, tuple[Element, int, str]] = {}
        for child in _children(events, ends, number):
            if events[child].name != "tuv":
                continue
            name = "xml:lang" if "xml:lang" in events[child].attributes else "lang"
            for inner in _children(events, ends, child):
                if events[inner].name == "seg":
                    language = _base(events[child].attributes.get(name, ""))
                    texts.setdefault(language, (Element(inner, ends[inner]), child, name))
        if _base(source_language or "") not in texts:
            continue
        source, variant, name = texts[_base(source_language or "")]
        target = texts.get(_base(target_language))
        indent = _indent(data, events[variant].begin)
        opening = f"{indent}<tuv {name}={quoteattr(target_language)}><seg>"
        yield Unit(source, target and target[0], ends[variant], opening, "</seg></tuv>")


def _children(events: list[Event], ends: Mapping[int, int], number: int) -> Iterator[int]:
    child = number + 1
    while child < ends[number]:
        if events[child].kind == "open":
            yield child
            child = ends[child]
        child += 1


def _inner_bytes(data: bytes, events: list[Event], element: Element) -> bytes:
    return data[events[element.first].end : events[element.last].begin]


def _inner(data: bytes, events: list[Event], element: Element) -> Document:
    """The content of a source as segments; each `mrk` of a segmented source is one."""
    ends = _elements(events[element.first : element.last + 1])
    document: Document = []
    parts: list[Part] = []
    raw: list[str] = []
    texts = ""

    def flush() -> None:
        nonlocal texts
        for part, form in text_parts(texts):
            parts.append(part)
            raw.append(form)
        texts = ""

    boundaries: set[int] = set()
    number = element.first + 1
    while number < element.last:
        event = events[number]
        form = data[event.begin : event.end].decode()
        if event.kind == "other":
            texts += "" if form.startswith(("<", "]]>")) else form
            number += 1
            continue
        flush()
        last = ends.get(number - element.first, 0) + element.first
        if event.attributes.get("mtype") == "seg" or number in boundaries:
            boundaries.add(last)
            document += [*segmented(parts, raw, escape), form]
            parts, raw = [], []
        elif event.name in PAIRS and not form.endswith("/>"):
            parts.append(Mark(Kind.OPEN if event.kind == "open" else Kind.CLOSE, form))
            raw.append(form)
        elif event.kind == "open":
            kind = Kind.OPEN if event.name in OPENING else Kind.ALONE
            kind = Kind.CLOSE if event.name in CLOSING else kind
            form = data[event.begin : events[last].end].decode()
            parts.append(Mark(kind, form))
            raw.append(form)
            number = last
        number += 1
    flush()
    return document + segmented(parts, raw, escape)


def _indent(data: bytes, place: int) -> str:
    """The white space before a tag."""
    before = data[:place]
    blank = before[len(before.rstrip()) :]
    return blank.decode() if b"\n" in blank else ""


def _prefix(data: bytes, event: Event) -> str:
    """The prefix of a tag's name, with its colon."""
    found = re.match(rb"<([\w.-]+:)", data[event.begin : event.end])
    return found[1].decode() if found else ""


def _base(language: str) -> str:
    return re.split("[-_]", language.lower())[0]
