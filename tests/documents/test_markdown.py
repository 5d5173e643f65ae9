"""Markdown: text is translated, everything else stays."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from seq2seq.documents.markdown import parse
from seq2seq.documents.segments import Segment
from tests.support.words import Words, rendered

PAGE = """---
title: Der Hund
---

# Der Hund *schläft* #

Ein Absatz mit **fettem Text**, `code hier` und [einem Link](http://x.y/z "Titel") sowie
einer zweiten Zeile ~~weg~~ und snake_case_name 2 * 3 * 4.
Harter Umbruch{blanks}
danach\\
ende

> Zitat eins
> geht weiter
> - Liste im Zitat

1. eins
   weiter
2. zwei ![Bild](b.png)

- [ ] Aufgabe
- [x] fertig

| Kopf | zwei |
|------|:----:|
| a \\| b | **c** |

```python
print("Hund")
```

    eingerückt

<div align="center">
Text in <b>HTML</b>
</div>

Ein [Verweis][ref] und [Ref] und [nichts]. <span class="a">inline</span> &copy; <http://a.b>

Setext Titel
============

[ref]: http://example.org "Titel"
""".replace("{blanks}", "  ")


def segments(text):
    return [piece.text for piece in parse(text) if isinstance(piece, Segment)]


def shape(text):
    """The blocks and marks of a page, without its text."""
    found: list[object] = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        found.append(
            (
                token.type,
                token.tag,
                token.attrs,
                token.content if token.type in ("fence", "code_block") else "",
            )
        )
        inside = [
            (t.type, t.attrs)
            for t in token.children or ()
            if t.type not in ("text", "softbreak", "text_special")
        ]
        found.append(sorted(map(str, inside)))
    return found


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_identical_translation_gives_the_same_bytes(end):
    page = PAGE.replace("\n", end)
    assert rendered(parse(page), Words()) == page


def test_only_text_is_translated():
    found = rendered(parse(PAGE), Words(str.upper))
    assert [line.upper() for line in found.splitlines()[:28]] == [
        line.upper().replace("ß", "SS") for line in PAGE.splitlines()[:28]
    ]
    for kept in (
        "title: Der Hund",
        "`code hier`",
        '(http://x.y/z "Titel")',
        "(b.png)",
        'print("Hund")',
        "eingerückt",
    ):
        assert kept in found
    assert "**FETTEM TEXT**, `code hier` UND [EINEM LINK](" in found
    assert "EIN [VERWEIS][ref] UND [REF][Ref] UND [NICHTS]" in found  # a label that is a reference stays one
    assert "TEXT IN <b>HTML</b>" in found
    assert "DANACH\\\nENDE" in found
    before, after = shape(PAGE), shape(found)
    assert [b for b in before if isinstance(b, tuple)] == [a for a in after if isinstance(a, tuple)]


def test_marks_follow_their_words():
    text = "Der **große Hund** schläft `x` [nicht](a)\n"
    assert rendered(parse(text), Words(reverse=True)) == "[nicht](a) `x` schläft **Hund große** Der\n"


def test_special_characters_of_a_translation_are_escaped():
    def change(word):
        return f"*{word}*_`"

    assert rendered(parse("eins\n"), Words(change)) == "\\*eins\\*\\_\\`\n"
    assert rendered(parse("2 * 3 = eins\n"), Words(lambda word: word.replace("eins", "*"))) == "2 * 3 = *\n"


@pytest.mark.parametrize("mark", [">", "#", "1.", "-", "+"])
def test_no_block_begins_where_a_mark_comes_first(mark):
    found = rendered(parse(f"eins zwei {mark}\n"), Words(lambda word: word.upper(), reverse=True))
    assert (
        next(type_ for type_, *_ in filter(lambda e: isinstance(e, tuple), shape(found))) == "paragraph_open"
    )
    assert rendered(parse(f"# eins {mark}\n"), Words(str.upper)) == f"# EINS {mark}\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("- eins\n- zwei\n", ["eins", "zwei"]),
        ("eins\nzwei\n\ndrei", ["eins zwei", "drei"]),
        ("\\*eins\\* &amp; zwei", ["*eins* & zwei"]),
        ("`code`", []),
        ("[a]: b\n", []),
        ("+++\ntitle = 'x'\n+++\neins", ["eins"]),
        ("", []),
    ],
)
def test_segments(text, found):
    assert segments(text) == found


LINES = [
    "# eins",
    "- eins zwei",
    "  drei *vier*",
    "> eins",
    "1. zwei",
    "```",
    "    code",
    "| a | b |",
    "|---|---|",
    "**eins zwei",
    "drei** `x y`",
    "[eins](u) und [ref]",
    "[ref]: u",
    "<div>",
    "</div>",
    "eins  ",
    "zwei\\\\",
    "***eins***",
    "_a_ __b__",
    "---",
    "",
    "",
    "&amp; \\\\* x",
    "<b>eins</b>",
    "![a *b*](c)",
    "[a `]` b](c)",
    "~~x~~",
]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(LINES), max_size=12).map("\n".join)
    | st.text(st.sampled_from("a b*_`[]()!<>#-|\\\n1.&;~"), max_size=40)
)
def test_any_page_stays_as_it_is(text):
    assert rendered(parse(text), Words()) == text


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([line for line in LINES if "\\" not in line]), max_size=12).map("\n".join))
def test_a_translation_keeps_the_blocks(text):
    before, after = shape(text), shape(rendered(parse(text), Words(str.upper)))
    assert [b[:3] for b in before if isinstance(b, tuple)] == [a[:3] for a in after if isinstance(a, tuple)]
