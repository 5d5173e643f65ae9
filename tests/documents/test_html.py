"""HTML: text is translated, everything else stays."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq.documents.html import parse, tokens
from seq2seq.documents.segments import Segment
from tests.support.words import Words, rendered

PAGE = """<!DOCTYPE html>
<html lang="de"><head><title>Der Hund</title><style>b {c: d}</style></head>
<body class="x y"><!-- Kommentar -->
<p>Der <b>große Hund</b> schläft &amp;
die <a href="a.html?b=1&amp;c">Katze <i>nicht</i></a>.<br>Neue Zeile</p>
<ul><li>eins<li>zwei <code>ls -l</code> drei, vier</ul>
<pre>code  hier</pre><p translate="no">Nicht</p><img alt="ein Hund" src=x>
<p>
  Eine lange Zeile\r
  und noch eine <strong>mit
  Umbruch</strong> hier
</p><script>if (a < b) { "Hund" }</script>
<a href="#"><p>in a</p></a> caf&eacute;&nbsp;eins {name} https://a.b/c?d=e.
</body></html>
"""
KEPT = [
    "Kommentar",
    "b {c: d}",
    "ls -l",
    "code  hier",
    ">Nicht<",
    "ein Hund",
    '"Hund"',
    "{name}",
    "https://a.b/c?d=e",
]


def segments(text):
    return [piece.text for piece in parse(text) if isinstance(piece, Segment)]


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))

    def handle_endtag(self, tag):
        self.found.append(tag)


def tags(text):
    parser = Tags()
    parser.feed(text)
    return parser.found


def test_an_identical_translation_gives_the_same_bytes():
    assert rendered(parse(PAGE), Words()) == PAGE


def test_only_text_is_translated():
    found = rendered(parse(PAGE), Words(str.upper))
    assert tags(found) == tags(PAGE)
    assert all(text in found for text in KEPT)
    assert "<b>GROSSE HUND</b> SCHLÄFT &amp;\nDIE" in found
    assert "<i>NICHT</i></a>.<br>NEUE ZEILE</p>" in found
    assert "EINE LANGE ZEILE\r\n  UND NOCH EINE <strong>MIT\n  UMBRUCH</strong> HIER" in found
    assert "CAFÉ&nbsp;EINS" in found


def test_tags_follow_their_words():
    text = "<p>Der <b>große Hund</b> schläft <code>x</code> <i>nicht</i> {0}</p>"
    assert rendered(parse(text), Words(reverse=True)) == (
        "<p><i>nicht</i> <code>x</code> schläft <b>Hund große</b> Der {0}</p>"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<b>eins</b> zwei", ["eins zwei"]),
        ("<p><b>eins</b></p>", ["eins"]),
        ("<p>1</p><p>eins</b> zwei<i>drei</p>", ["1", "eins", "zwei", "drei"]),
        ("<div>eins<div>zwei</div>drei</div>", ["eins", "zwei", "drei"]),
        ("a &lt; b", ["a < b"]),
        ("<p>-- </p>", []),
        ("", []),
    ],
)
def test_segments(text, found):
    assert segments(text) == found


TAGS = [
    "<b>",
    "</b>",
    "<i class='x'>",
    "</i>",
    "<p>",
    "</p>",
    "<br>",
    "<code>",
    "</code>",
    "&amp;",
    "&eacute;",
    "<",
]
PIECES = st.sampled_from([*TAGS, "eins", "zwei", " ", "\n", ",", "{0}", "<!-- x -->", "犬"])


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(PIECES, max_size=25).map("".join), st.booleans())
def test_any_page_keeps_its_tags(text, reverse):
    assert rendered(parse(text), Words()) == text
    found = rendered(parse(text), Words(str.upper, reverse))
    assert sorted(map(str, tags(found))) == sorted(map(str, tags(text)))
    assert rendered(parse(text), Words(lambda word: f"{word}x", reverse)).count("<b>") == text.count("<b>")


BALANCED = st.recursive(
    st.lists(st.sampled_from(["eins", "zwei", "drei,", "{0}"]), min_size=1, max_size=3).map(" ".join),
    lambda inner: st.builds(
        lambda before, name, inside, after: f"{before} <{name}>{inside}</{name}> {after}",
        inner,
        st.sampled_from("bi"),
        inner,
        inner,
    ),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=200)
@given(BALANCED, st.booleans())
def test_pairs_stay_well_formed(text, reverse):
    from xml.etree import ElementTree

    found = rendered(parse(f"<p>{text}</p>"), Words(lambda word: word.upper(), reverse))
    assert sorted(e.tag for e in ElementTree.fromstring(found).iter()) == sorted(
        e.tag for e in ElementTree.fromstring(f"<p>{text}</p>").iter()
    )


@pytest.mark.parametrize("text", ["&b", "&#1", "</>", "</>eins", "<!--a--><![bx=", "eins <![bx= zwei"])
def test_what_the_library_leaves_out_or_refuses_stays(text):
    assert "".join(token.raw for token in tokens(text)) == text
