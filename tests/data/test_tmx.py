"""TMX gives the pairs of two languages, and every fault names the unit or the line."""

import gzip
import os
import subprocess
import sys

import pytest

from seq2seq.common.errors import UserError
from seq2seq.data import streams, xml_stream
from seq2seq.data.corpus import Pair
from seq2seq.data.formats import open_table
from seq2seq.data.rows import Malformed
from tests.support.projects import ROOT

HEADER = '<header creationtool="x" segtype="sentence" adminlang="en" datatype="xml" srclang="{}"/>'
MEMOQ = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4">
  <header creationtool="MemoQ" segtype="sentence" adminlang="en-us" srclang="de-DE" datatype="xml">
    <prop type="defclient">seg</prop>
  </header>
  <body>
    <tu creationdate="20240102T030405Z" creationid="anna">
      <prop type="x-document">brief.docx</prop>
      <note>geprüft</note>
      <tuv xml:lang="de-DE"><prop type="x-context-pre">&lt;seg&gt;davor&lt;/seg&gt;</prop>
        <seg>Sehr geehrte Damen und Herren,</seg></tuv>
      <tuv xml:lang="en-GB"><seg>Dear Sir or Madam,</seg></tuv>
    </tu>
    <tu><tuv xml:lang="de-DE"><seg>Gr&#xF6;&#223;e &amp; Gewicht</seg></tuv>
        <tuv xml:lang="en-GB"><seg>Size &amp; weight</seg></tuv></tu>
  </body>
</tmx>
"""
MEMOQ_PAIRS = [
    Pair("Sehr geehrte Damen und Herren,", "Dear Sir or Madam,"),
    Pair("Größe & Gewicht", "Size & weight"),
]


def memory(*units, srclang="*all*", version="1.4"):
    """A TMX file whose units are pairs of languages and XML texts."""
    body = "".join(
        f"<tu{f' tuid={chr(34)}{n}{chr(34)}'}>"
        + "".join(f'<tuv xml:lang="{language}"><seg>{text}</seg></tuv>' for language, text in unit)
        + "</tu>\n"
        for n, unit in enumerate(units, 101)
    )
    return (
        f'<?xml version="1.0"?>\n<tmx version="{version}">{HEADER.format(srclang)}<body>\n{body}</body></tmx>'
    )


def opened(tmp_path, data, *languages, name="x.tmx", columns=(0, 1)):
    source, target = columns
    (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return open_table(tmp_path / name, source, target, languages or (None, None))


def test_a_memory_of_memoq(tmp_path):
    table = opened(tmp_path, MEMOQ)
    assert (table.columns, table.languages) == (("de-DE", "en-GB"),) * 2
    assert (table.announcement, table.unit) == ("2 units", "unit")
    assert list(table.rows) == MEMOQ_PAIRS


def test_a_memory_of_trados_in_utf_16(tmp_path):
    text = MEMOQ.replace("utf-8", "utf-16").replace("de-DE", "DE-DE").replace("xml:lang", "lang")
    for data in (text.encode("utf-16"), b"\xfe\xff" + text.encode("utf-16-be")):
        assert list(opened(tmp_path, data).rows) == MEMOQ_PAIRS
    declared = MEMOQ.replace("utf-8", "utf-16").encode("utf-16-le")  # without a mark
    assert list(opened(tmp_path, declared).rows) == MEMOQ_PAIRS


@pytest.mark.parametrize(
    ("name", "note"),
    [("x.tmx", ""), ("x.xml", "read as TMX; "), ("x.txt", "read as TMX; "), ("x.xlf", "read as TMX; ")],
)
def test_by_content(tmp_path, name, note):
    for text in (MEMOQ, "\ufeff" + MEMOQ, MEMOQ.partition("\n")[2], MEMOQ.split("\n", 2)[2]):
        table = opened(tmp_path, text, name=name)
        assert (table.announcement, list(table.rows)) == (f"{note}2 units", MEMOQ_PAIRS)
    latin = MEMOQ.replace("utf-8", "iso-8859-1").encode("latin-1")
    assert list(opened(tmp_path, latin, name=name).rows) == MEMOQ_PAIRS


def test_packed(tmp_path):
    assert list(opened(tmp_path, gzip.compress(MEMOQ.encode()), name="x.tmx.gz").rows) == MEMOQ_PAIRS


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('Press <bpt i="1">&lt;b&gt;</bpt>OK<ept i="1">&lt;/b&gt;</ept>.', "Press OK."),
        ('<it pos="begin">{\\b</it>bold <ut>x</ut>', "bold"),
        ("the <hi>big</hi> house", "the big house"),
        ('see <ph>&lt;img alt="<sub>a <hi>logo</hi></sub>"/&gt;</ph>.', "see a logo."),
        ("<bpt>a<sub>b<ph>c</ph>d</sub>e</bpt>", "bd"),
        ("one<ph>&lt;br/&gt;</ph>two", "one two"),
        ('one<ph type="lb">\\n</ph>two', "one two"),
        ("un<ph>{1}</ph>cut", "uncut"),
        ("\n   two\n\t lines\r\n", "two lines"),
        ("10\u00a0% \u3000wide", "10\u00a0% \u3000wide"),
        ("a &lt; b &amp; c &#x1F642;", "a < b & c 🙂"),
        ("<![CDATA[a <b> & c]]>", "a <b> & c"),
        ("a<!-- no -->b", "ab"),
    ],
)
def test_text_of_a_segment(tmp_path, written, text):
    assert list(opened(tmp_path, memory([("de", "x"), ("en", written)])).rows) == [Pair("x", text)]


DE, AT, US, GB, FR = ("de-DE", "Haus"), ("de-AT", "Haus!"), ("en-US", "house"), ("en-GB", "home"), ("fr", "m")


@pytest.mark.parametrize(
    ("units", "srclang", "languages", "columns"),
    [
        ([[DE, US]], "*all*", (None, None), ("de-DE", "en-US")),
        ([[DE, US]], "en", (None, None), ("en-US", "de-DE")),
        ([[DE, US]], "EN-US", (None, None), ("en-US", "de-DE")),
        ([[DE, US]], "*all*", ("en", "de"), ("en-US", "de-DE")),
        ([[DE, US]], "*all*", ("eng", None), ("en-US", "de-DE")),
        ([[DE, US]], "*all*", (None, "de-DE"), ("en-US", "de-DE")),
        ([[DE, US], [DE, FR]], "*all*", ("fr", "de"), ("fr", "de-DE")),
        ([[DE, US, AT]], "*all*", ("de-AT", "en"), ("de-AT", "en-US")),
        ([[DE, US], [("de", "x"), US]], "*all*", ("de", "en"), ("de", "en-US")),
        ([[("DE_de", "Haus"), US], [DE, US]], "*all*", (None, None), ("de-DE", "en-US")),
        ([[("zh-Hans-CN", "x"), ("xx-yy", "z")]], "*all*", ("zh", "xx-YY"), ("zh-Hans-CN", "xx-YY")),
    ],
)
def test_columns_are_languages(tmp_path, units, srclang, languages, columns):
    assert opened(tmp_path, memory(*units, srclang=srclang), *languages).columns == columns


def test_columns_by_number_and_name(tmp_path):
    assert opened(tmp_path, memory([DE, US]), columns=(1, 0)).columns == ("en-US", "de-DE")
    assert opened(tmp_path, memory([DE, US, FR]), columns=("fr", "en")).columns == ("fr", "en-US")


@pytest.mark.parametrize(
    ("units", "languages", "message"),
    [
        (
            [[DE, US]] * 3 + [[DE, FR]],
            (None, None),
            r"which the target\? its languages are: de-DE \(4\), en-US \(3\), fr \(1\)\n  set ingest.source_",
        ),
        ([[DE, US]], ("fr", "en"), r"has no language fr; its languages are: de-DE \(1\), en-US \(1\)"),
        ([[DE, US]], ("de-AT", "en"), r"has no language de-AT; its languages are: "),
        ([[DE, US, GB]] * 2, ("de", "en"), r"several variants of en: en-US \(2\), en-GB \(2\)\n  set ingest"),
        ([[DE]], (None, None), r"holds one language; a pair needs two: de-DE \(1\)"),
        ([], (None, None), "holds no unit"),
        ([[DE, US]], ("de", "de"), r"which the target\?"),
    ],
)
def test_languages_in_doubt(tmp_path, units, languages, message):
    with pytest.raises(UserError, match=message):
        opened(tmp_path, memory(*units), *languages)


def test_units_without_a_pair(tmp_path):
    """Untranslated units of an editor's memory are counted; two translations of one are a fault."""
    untranslated = [[DE, ("en-US", " <ph>x</ph>\n")], [DE], [("de-DE", "<ph>x</ph>"), ("en-US", "")]]
    units = [[DE, US], *untranslated, [DE, US, ("EN-us", "b")], [DE, ("en-US", ""), US]]
    table = opened(tmp_path, memory(*units))
    assert table.announcement == "6 units, of which are left out: 3 without a text in de-DE or en-US"
    assert list(table.rows) == [
        Pair("Haus", "house"),
        Malformed(5, "line 8, tuid 105: 2 texts in en-US: remove all but one"),
        Pair("Haus", "house"),
    ]


def test_units_of_other_languages_are_counted(tmp_path):
    units = [[DE, US, FR], [DE, FR], [US, FR], [DE, ("en-US", "")]]
    table = opened(tmp_path, memory(*units), "de", "en")
    assert table.announcement == "4 units, of which are left out: 3 without a text in de-DE or en-US"
    assert list(table.rows) == [Pair("Haus", "house")]


BOMB = '<!DOCTYPE tmx [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            MEMOQ[: MEMOQ.rindex("</tu>")],
            r"line 16, in or after unit 2: no element found: the file ends too early; is it inc",
        ),
        (MEMOQ[: MEMOQ.rindex("</tu>")] + "</t", "unclosed token: the file ends too early"),
        (
            MEMOQ.encode("latin-1"),
            r"line 10, .*unit 1: not well-formed .*near '.*<note>gepr\\xfcft.*another enc",
        ),
        (MEMOQ.replace("&amp;", "&"), "line 15, in or after unit 2: not well-formed .* near .*&lt;"),
        (MEMOQ.replace("brief", "br\x0bief"), r"line 9, .*\(invalid token\) near .*br\\x0bief.*control char"),
        (MEMOQ.replace("&amp;", "&#x1F;"), "line 15, .*reference to invalid character number.*: remove it"),
        (MEMOQ.replace("</seg>", "</set>", 1), "line 12, .*mismatched tag"),
        (MEMOQ + MEMOQ, "junk after document element|not well-formed"),
        (MEMOQ.replace("utf-8", "x-none"), "unknown encoding.*: convert it to UTF-8"),
        (MEMOQ.replace("utf-8", "shift_jis"), "line 1: .*: convert it to UTF-8"),
        (MEMOQ.replace("utf-8", "utf-16"), "declares another encoding than the file"),
        ("<!DOCTYPE html>\n<html><p>Log in</p></html>", "is an HTML page; was a download"),
        ('<?xml version="1.0"?><html><br/></html>', "is an HTML page; was a download"),
        ('<?xml version="1.0"?><TS version="2.1"/>', "XML with the root element TS; there are tmx and xliff"),
        ("de\ten\n", "begins with no XML, though its name ends so"),
        ("", "holds no line"),
        (f"{BOMB}]><tmx>&i;</tmx>", "line 1: it declares the entity a; .*: remove it"),
        (
            '<?xml version="1.0"?><!DOCTYPE tmx [<!ENTITY x SYSTEM "file:///etc/passwd">]><tmx>&x;</tmx>',
            "declares the entity x",
        ),
        ('<?xml version="1.0"?><!DOCTYPE tmx [<!ENTITY % x SYSTEM "http://a/b">%x;]><tmx/>', "the entity x"),
        ("<tmx>" + "<a>" * 300, "line 1: more than 200 elements in each other"),
    ],
)
def test_unusable_files_have_a_remedy(tmp_path, data, message):
    with pytest.raises(UserError, match=f"x.tmx.*{message}"):
        list(opened(tmp_path, data).rows)


def test_no_other_file_is_opened(tmp_path):
    (tmp_path / "tmx14.dtd").write_text('<!ENTITY nbsp "stolen">')
    text = MEMOQ.replace("Damen und", "Damen&nbsp;und")  # a name that the unread DTD might define
    rows = list(opened(tmp_path, text).rows)
    assert rows == [Malformed(1, "line 8: XML has no &nbsp;: write the character itself"), MEMOQ_PAIRS[1]]


def test_an_endless_text_or_tag_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(xml_stream, "LONGEST_LINE", 100_000)
    monkeypatch.setattr(streams, "BUFFER", 1000)
    units = [[DE, US], [DE, ("en-US", "a" * 200_000)], [DE, US]]
    rows = list(opened(tmp_path, memory(*units)).rows)
    assert rows[1] == Malformed(2, "line 4, tuid 102: a text of more than 100,000 characters")
    assert rows[::2] == [Pair("Haus", "house")] * 2
    with pytest.raises(UserError, match="line 3: a tag or comment of more than 100,000 bytes"):
        opened(tmp_path, memory([DE, US]).replace("<tu ", f"<tu x='{'a' * 500_000}' "))


MEASURE = """
import resource, sys; from pathlib import Path; from seq2seq.data.formats import open_table
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
print(sum(1 for _ in open_table(Path(sys.argv[1]), 0, 1).rows), peak() - before)
"""


def peak(path):
    """The rows of a file, and the MiB by which reading it raises the peak of a process's memory."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [*map(int, done.stdout.split())]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss in KiB")
def test_memory_does_not_grow_with_the_file(tmp_path):
    unit = (
        "<tu><tuv xml:lang='de'><seg>Haus {0}</seg></tuv><tuv xml:lang='en'><seg>house {0}</seg></tuv></tu>\n"
    )
    with gzip.open(tmp_path / "x.tmx.gz", "wt", compresslevel=1) as file:
        file.write(f"<tmx>{HEADER.format('de')}<body>")
        file.writelines(unit.format(n) for n in range(20_000))
        file.write("</body></tmx>")
    rows, grown = peak(tmp_path / "x.tmx.gz")
    assert rows == 20_000
    assert grown < 20
