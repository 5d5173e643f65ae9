"""Hostile texts in Markdown and chats remain plain text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from seq2seq.common import plain

HOSTILE = [
    *("![x](http://evil.example/x.png)", "[x](http://evil.example)", "<img src=http://evil.example/x>"),
    *("[x]: http://e.io", "<script>alert(1)</script>", "<!channel> <!here|all>", "<http://e.io|bank>"),
    *("<@U0123>", "@everyone @here", "https://evil.example", "www.evil.example", "javascript:alert(1)"),
    *("&lt;b&gt;", "| a | b |", "# heading", "- list", "1. list", "===", "---", "```", "~~~", "`code`"),
    *("**bold** _it_", "a\n\n# heading\n", "\x1b[31mred", "\u202eevil", "![x][y]", "\\![x](http://e.io)"),
    *("]\u200b(", "[x] (http://e.io)"),
]
texts = st.one_of(st.sampled_from(HOSTILE), st.lists(st.sampled_from(HOSTILE)).map(" ".join), st.text())


def commonmark() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@given(texts)
def test_markdown_shows_the_text_and_nothing_else(text: str) -> None:
    tokens = commonmark().parse(plain.markdown(text))
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    for inline in tokens[1:2]:
        assert {child.type for child in inline.children or ()} <= {"text", "text_special"}
        shown = "".join(child.content for child in inline.children or ())
        assert shown.replace(plain.APART, "") == plain.line(text).replace(plain.APART, "")


@given(texts)
def test_chat_has_no_mention_and_no_link(text: str) -> None:
    shown = plain.chat(text)
    assert not re.search(r"[<>]|@\w|\]\(|\w://\w|www\.", shown)
    assert len(shown.split("\n")) == len(text.split("\n"))
    assert plain.chat(shown) == shown


def test_ordinary_text_stays_as_it_is() -> None:
    text = "Wie viel? 12.5 % (ungefähr) – مرحبا, 你好; -1.00 BLEU, 3 > 2"
    assert plain.markdown(text) == text.replace(">", "&gt;")
    assert plain.chat(text.replace(">", "")) == plain.line(text.replace(">", ""))


@pytest.mark.parametrize("text", ["a\u202eb", "a\x07b", "a\u2066b", "\x1b[31m"])
def test_control_characters_are_removed(text: str) -> None:
    assert not re.search("[\x00-\x1f\u202a-\u202e\u2066-\u2069]", plain.line(text))
