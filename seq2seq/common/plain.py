"""Text of a corpus, a model, a name or an error, made harmless where it is shown: Markdown, chat.

Why: on a page it could fetch an image from any server or show a link with another target, and in a chat it
could notify all members. HTML is escaped by Jinja.
"""

from __future__ import annotations

import re
import unicodedata

HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
MARKDOWN = re.compile(r"([\\`*_\[\]|~#])")
BLOCK = re.compile(r"^(\d*)([-+=.)])(?=\s|$|[-=])")  # what begins a list or underlines a heading
APART = "\u200b"  # zero width space: it is not seen, and what it parts is no command
ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|tel|file|data|javascript)(:)|\b(www)(\.)")
MENTION = re.compile(r"@(?=\w)")
LINK = re.compile(r"\](?=[(\[:])")  # in chats that read Markdown
CHAT = str.maketrans({"<": "‹", ">": "›"})  # in Slack, commands are in angle brackets


def line(text: str) -> str:
    """The text on one line, without characters that steer a terminal or turn the direction of writing."""
    kept = (" " if sign.isspace() else sign for sign in text)
    return " ".join("".join(sign for sign in kept if not _steers(sign)).split())


def markdown(text: str) -> str:
    """One line that Markdown shows as it is: no markup, no HTML, no address that becomes a link."""
    text = re.sub("[&<>]", lambda sign: HTML[sign[0]], _apart(line(text)))
    return BLOCK.sub(r"\1\\\2", MARKDOWN.sub(r"\\\1", text))


def chat(text: str) -> str:
    """Lines that Slack, Teams and Discord show as they are: no mentions, no links, no images."""
    return "\n".join(_apart(LINK.sub(f"]{APART}", line(one).translate(CHAT))) for one in text.split("\n"))


def _apart(text: str) -> str:
    text = ADDRESS.sub(lambda found: f"{found[1] or found[3]}{APART}{found[2] or found[4]}", text)
    return MENTION.sub(f"@{APART}", text)


def _steers(sign: str) -> bool:
    # Direction marks within a word (U+200E, U+200F) and joiners are spelling; overrides and isolates are not.
    return unicodedata.category(sign) == "Cc" or "\u202a" <= sign <= "\u202e" or "\u2066" <= sign <= "\u2069"
