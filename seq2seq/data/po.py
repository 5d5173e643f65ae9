"""Reads the translated messages of gettext's PO files.

Why: PO holds the translations of programs. The libraries for it hold a whole file in memory, stop at the
first faulty message, or end a line at U+2028.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seq2seq.common.errors import UserError
from seq2seq.data import languages
from seq2seq.data.streams import LONGEST_LINE, PACKINGS, Source, check_line_ends, decode
from seq2seq.data.xml_stream import Unit, fold

UNSTATED = ("msgid", "msgstr")  # names of the languages of a file that states none
START = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s*(?:#[^\n]*)?\n)*\s*msg(?:id|ctxt)[ \t]+\"")
NAME = r"(msgctxt|msgid|msgid_plural|msgstr(?:\[\d{1,2}\])?)"
FIELD = re.compile(rf'{NAME}?[ \t]*"((?:[^"\\]|\\.)*)"|{NAME}')
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
ENCODINGS = {"UTF-8", "UTF8", "ASCII", "US-ASCII", "CHARSET"}  # CHARSET: of a template
SCRIPTS = {"@latin": "-Latn", "@cyrillic": "-Cyrl"}  # modifiers of locales: sr@latin


class Header(NamedTuple):
    """The fields that a file states in the translation of its empty message."""

    source: str
    target: str
    singular: int  # the number of the plural form for one


class _Message:
    def __init__(self, line: int) -> None:
        self.line, self.fields, self.fault = line, dict[str, str](), ""
        self.is_fuzzy = self.is_obsolete = False


def is_po(sample: bytes, is_named: bool) -> bool:
    """Whether a file begins as a PO file does; one that is named so may begin with other comments."""
    return START.match(sample) is not None or (is_named and sample.lstrip()[:1] in (b"#", b'"'))


def units(file: Source) -> Iterator[Unit]:
    """Each message as a Unit, or one for each pair of plural forms."""
    header, number = Header(*_languages(file.path, {}), 0), 0
    for message in _messages(file):
        if message.fields.get("msgid") == "" and "msgctxt" not in message.fields and not message.fault:
            if not number:
                header = _header(file.path, message.fields.get("msgstr", ""))
            continue
        pairs, left_out = _pairs(message, header), _left_out(message)
        for source, target in pairs[:1] if left_out or message.fault else pairs:
            number += 1
            texts = [(header.source, source), (header.target, target)]
            yield Unit(number, f"line {message.line:,}", texts, left_out, message.fault)


def _left_out(message: _Message) -> str:
    if message.fault:
        return ""
    if message.is_obsolete:
        return "obsolete"
    translations = [text for key, text in message.fields.items() if key.startswith("msgstr")]
    if not any(map(fold, translations)):
        return "not translated"
    return "fuzzy" if message.is_fuzzy else ""


def _pairs(message: _Message, header: Header) -> list[tuple[str, str]]:
    """The texts of a message; of its plural forms that for one and the others, each with its source."""
    fields = message.fields
    if "msgid_plural" not in fields:
        return [(fold(fields.get("msgid", "")), fold(fields.get("msgstr", "")))]
    forms = [fold(text) for key, text in fields.items() if key.startswith("msgstr")]
    one = forms[header.singular] if header.singular < len(forms) else ""
    others = [form for number, form in enumerate(forms) if number != header.singular] or [one]
    singular, plural = fold(fields.get("msgid", "")), fold(fields["msgid_plural"])
    return list(dict.fromkeys([(singular, one), *((plural, other) for other in others)]))


def _header(path: Path, text: str) -> Header:
    lines = (line.partition(":") for line in text.split("\n"))
    entries = {name.strip().lower(): value.strip() for name, _, value in lines}
    charset = re.search(r"charset=([\w.:-]+)", entries.get("content-type", ""))
    if charset and charset[1].upper() not in ENCODINGS:
        raise UserError(f"{path} is {charset[1]}; convert it: msgconv -t UTF-8 OLD > NEW")
    singular = 0
    if found := re.search(r"plural\s*=\s*([^;]+)", entries.get("plural-forms", "")):
        try:
            singular = gettext.c2py(found[1])(1)
        except (ValueError, ArithmeticError):
            singular = 0
    return Header(*_languages(path, entries), singular)


def _languages(path: Path, entries: dict[str, str]) -> tuple[str, str]:
    """The languages that the header states, the target's also by the file's name: `de.po`."""
    source, target = entries.get("x-source-language", ""), entries.get("language", "")
    name = Path(path.name)
    stem = (Path(name.stem) if name.suffix.lower() in PACKINGS else name).stem
    if not target and languages.language_of(stem):
        target = stem
    base, at, modifier = stem.partition("@")  # many a header states sr in sr@latin.po
    if at + modifier in SCRIPTS and target.replace("-", "_").lower() in ("", base.lower()):
        target = stem
    for modifier, script in SCRIPTS.items():
        if target.endswith(modifier):
            language, *region = re.split("[-_]", target.removesuffix(modifier))
            target = "-".join([language + script, *region])  # a script stands before the region
    return source or UNSTATED[0], target or UNSTATED[1]


def _messages(file: Source) -> Iterator[_Message]:
    """The messages, each with its comments before it; a fault in one is noted and costs no other."""
    message, field, flags = _Message(1), "", ""
    for number, data in enumerate(file.lines(), 1):
        if number == 1:
            check_line_ends(file.path, data)
        try:
            line = decode(data).strip(" \t\r\n")
        except ValueError as error:
            reason = "not valid UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            message.fault = message.fault or f"line {number:,}: {reason}"
            continue
        is_obsolete = line.startswith("#~")
        if is_obsolete:
            line = line[2:].lstrip()
        if not line or line.startswith(("#", "|", "domain ")):
            flags = f"{flags} {line[2:]}" if line.startswith("#,") else flags
            continue
        found = FIELD.fullmatch(line)
        name = (found[1] or found[3]) if found else ""
        if name in ("msgid", "msgctxt") and field != "msgctxt":  # a new message
            if message.fields or message.fault:
                yield message
            message, field = _Message(number), ""
            message.is_obsolete, message.is_fuzzy, flags = is_obsolete, "fuzzy" in flags, ""
        if found is None or not (name or field) or name in message.fields:
            message.fault = message.fault or f"line {number:,} is no field of a message, or one is repeated"
            continue
        field = name or field
        text = message.fields.get(field, "") + _unescape(found[2] or "")
        if len(text) > LONGEST_LINE:
            text, message.fault = "", f"a text of more than {LONGEST_LINE:,} characters"
        message.fields[field] = text
    if message.fields or message.fault:
        yield message


def _unescape(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] == "x" and len(code) > 1:
            return chr(int(code[1:], 16))
        return chr(int(code, 8)) if code[0] in "01234567" else ESCAPES.get(code, code)

    return ESCAPE.sub(character, text) if "\\" in text else text
