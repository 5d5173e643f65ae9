"""Escapes texts of a corpus, a model, a name or an error for Markdown and chats.

Why: on a page such a text could load an image from any server or show a link with another target, and in a
chat it could notify all members. Jinja escapes HTML.
"""

from __future__ import annotations

import re
import unicodedata

HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
MARKDOWN = re.compile(r"([\\`*_\[\]|~#])")
BLOCK = re.compile(r"^(\d*)([-+=.)])(?=\s|$|[-=])")  # a list item, or the underline of a heading
APART = "\u200b"  # zero width space: invisible, and it breaks up a command
ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|tel|file|data|javascript)(:)|\b(www)(\.)")
MENTION = re.compile(r"@(?=\w)")
LINK = re.compile(r"\](?=[(\[:])")  # in chats with Markdown
CHAT = str.maketrans({"<": "‹", ">": "›"})  # Slack's commands are in angle brackets


def size(count: float) -> str:
    """A number of bytes for people: 0 B, 12.3 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def line(text: str) -> str:
    """The text on one line, without characters that control a terminal or the direction of text."""
    kept = (" " if sign.isspace() else sign for sign in text)
    return " ".join("".join(sign for sign in kept if not _is_control(sign)).split())


def markdown(text: str) -> str:
    """One line escaped for Markdown: no markup, no HTML, no automatic links."""
    text = re.sub("[&<>]", lambda sign: HTML[sign[0]], _apart(line(text)))
    return BLOCK.sub(r"\1\\\2", MARKDOWN.sub(r"\\\1", text))


def chat(text: str) -> str:
    """Lines escaped for Slack, Teams and Discord: no mentions, no links, no images."""
    return "\n".join(_apart(LINK.sub(f"]{APART}", line(one).translate(CHAT))) for one in text.split("\n"))


def _apart(text: str) -> str:
    text = ADDRESS.sub(lambda found: f"{found[1] or found[3]}{APART}{found[2] or found[4]}", text)
    return MENTION.sub(f"@{APART}", text)


def _is_control(sign: str) -> bool:
    # Direction marks (U+200E, U+200F) and joiners belong to spelling; overrides and isolates do not.
    return unicodedata.category(sign) == "Cc" or "\u202a" <= sign <= "\u202e" or "\u2066" <= sign <= "\u2069"
