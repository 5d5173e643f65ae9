"""PO gives the translated messages; fuzzy, obsolete and empty ones are counted."""

import gzip
import tracemalloc

import pytest

from seq2seq.common.errors import UserError
from seq2seq.data.corpus import Pair
from seq2seq.data.formats import open_table
from seq2seq.data.rows import Malformed

HEADER = r"""# Translations of x.
msgid ""
msgstr ""
"Project-Id-Version: x\n"
"Language: {language}\n"
"Content-Type: text/plain; charset={charset}\n"
"Plural-Forms: {plural}\n"

"""
TWO = "nplurals=2; plural=(n != 1);"
SLAVIC = (
    "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);"
)
WEBLATE = r"""#: src/a.c:1
msgid "Open file"
msgstr "Datei öffnen"

#. for the menu
#, c-format, fuzzy
#| msgid "Close %s"
msgid "Close the %s"
msgstr "%s schließen"

#, c-format
msgctxt "menu"
msgid ""
"A long \"text\"\n"
"of two lines\\path"
msgstr ""
"Ein langer »Text«\n"
"von zwei Zeilen\\Pfad"

msgid "Untranslated"
msgstr ""

msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d Datei"
msgstr[1] "%d Dateien"

#~ msgid "Old"
#~ msgstr "Alt"
"""


def header(language="de", charset="UTF-8", plural=TWO):
    return HEADER.format(language=language, charset=charset, plural=plural)


def opened(tmp_path, text, *languages, name="x.po"):
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return open_table(tmp_path / name, 0, 1, languages or (None, None))


PAIRS = [
    Pair("Open file", "Datei öffnen"),
    Pair('A long "text" of two lines\\path', "Ein langer »Text« von zwei Zeilen\\Pfad"),
    Pair("%d file", "%d Datei"),
    Pair("%d files", "%d Dateien"),
]


@pytest.mark.parametrize(("name", "note"), [("x.po", ""), ("x.txt", "read as PO; ")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_of_weblate(tmp_path, name, note, end):
    table = opened(tmp_path, ("\ufeff" + header() + WEBLATE).replace("\n", end), name=name)
    assert (table.columns, table.languages) == (("msgid", "de"), (None, "de"))
    left_out = "1 fuzzy, 1 not translated, 1 obsolete"
    assert table.announcement == f"{note}7 units, of which are left out: {left_out}"
    assert list(table.rows) == PAIRS


def test_languages(tmp_path):
    text = header() + WEBLATE
    assert opened(tmp_path, text, "en", "de").columns == ("msgid", "de")
    assert opened(tmp_path, text, "de", "en").columns == ("de", "msgid")
    stated = text.replace('"Language', '"X-Source-Language: en_GB\\n"\n"Language')
    assert opened(tmp_path, stated).languages == ("en-GB", "de")
    assert opened(tmp_path, header("pt_BR") + WEBLATE).columns == ("msgid", "pt-BR")
    assert opened(tmp_path, header("sr@latin") + WEBLATE).columns == ("msgid", "sr-Latn")
    assert opened(tmp_path, header("") + WEBLATE, name="fr.po").columns == ("msgid", "fr")
    packed = gzip.compress((header("") + WEBLATE).encode())
    assert opened(tmp_path, packed, name="fr.po.gz").columns == ("msgid", "fr")
    table = opened(tmp_path, WEBLATE)  # without a header
    assert (table.columns, list(table.rows)) == (("msgid", "msgstr"), PAIRS)
    with pytest.raises(UserError, match=r"has no language en or fr; its languages are: .*de \(7\)"):
        opened(tmp_path, text, "en", "fr")


@pytest.mark.parametrize(
    ("stated", "name", "language"),
    [
        ("sr", "sr@latin.po", "sr-Latn"),
        ("", "sr@latin.po", "sr-Latn"),
        ("sr_RS@latin", "x.po", "sr-Latn-RS"),
        ("sr_RS", "sr_RS@latin.po", "sr-Latn-RS"),
        ("sr", "sr@other.po", "sr"),
        ("de", "sr@latin.po", "de"),
    ],
)
def test_script_of_a_locale(tmp_path, stated, name, language):
    assert opened(tmp_path, header(stated) + WEBLATE, name=name).columns[1] == language


@pytest.mark.parametrize(
    ("plural", "forms", "pairs"),
    [
        ("nplurals=1; plural=0;", "A", [("1", "A"), ("n", "A")]),
        (TWO, "AB", [("1", "A"), ("n", "B")]),
        (SLAVIC, "ABC", [("1", "A"), ("n", "B"), ("n", "C")]),
        ("nplurals=3; plural=(n==0 ? 0 : n==1 ? 1 : 2);", "ABC", [("1", "B"), ("n", "A"), ("n", "C")]),
        ("nplurals=2; plural=system('x');", "AB", [("1", "A"), ("n", "B")]),
        ("nplurals=2; plural=n/0;", "AB", [("1", "A"), ("n", "B")]),
    ],
)
def test_plural_forms(tmp_path, plural, forms, pairs):
    text = 'msgid "1"\nmsgid_plural "n"\n' + "".join(
        f'msgstr[{number}] "{form}"\n' for number, form in enumerate(forms)
    )
    table = opened(tmp_path, header(plural=plural) + text)
    assert list(table.rows) == [Pair(*pair) for pair in pairs]


def test_rare_forms(tmp_path):
    text = '# only\n#, fuzzy\n#~ msgid "a"\n#~ msgstr "b"\n\ndomain x\nmsgid\n"c"\nmsgstr "\\x41\\101\\q"\n'
    table = opened(tmp_path, text)
    assert table.announcement == "2 units, of which are left out: 1 obsolete"
    assert list(table.rows) == [Pair("c", "AAq")]


def test_line_ends_of_unicode_end_no_line(tmp_path):
    text = 'msgid "a\u2028b"\nmsgstr "c\u0085d"\n'
    assert list(opened(tmp_path, text).rows) == [Pair("a\u2028b", "c\u0085d")]


def test_faults_cost_one_message(tmp_path):
    text = WEBLATE.encode().replace("öffnen".encode(), b"\xf6ffnen").replace(b'"%d Dateien"', b'"%d Dateien')
    rows = list(opened(tmp_path, header().encode() + text).rows)
    assert len(rows) == 3
    assert rows[1] == PAIRS[1]
    assert isinstance(rows[0], Malformed)
    assert rows[0].reason == "line 10: line 11: not valid UTF-8"
    assert isinstance(rows[-1], Malformed)
    assert rows[-1].reason == "line 31: line 34 is no field of a message, or one is repeated"
    twice = opened(tmp_path, 'msgid "a"\nmsgstr "b"\nmsgstr "c"\nmsgid "d"\nmsgstr "e"\n')
    assert [type(row) for row in twice.rows] == [Malformed, Pair]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header(charset="ISO-8859-1") + WEBLATE, "is ISO-8859-1; convert it: msgconv -t UTF-8 OLD > NEW"),
        ("<html>", "is an HTML page"),
        ("a\tb\n", "begins with no message of gettext"),
        (b"\xde\x12\x04\x95\x00\x00", "begins with no message of gettext|looks like"),
        (header(), "holds no unit"),
        ("", "holds no line"),
        ((header() + WEBLATE).encode("utf-16"), "is UTF-16; convert it"),
    ],
)
def test_unusable_files_have_a_remedy(tmp_path, data, message):
    with pytest.raises(UserError, match=f"x.po.*{message}"):
        opened(tmp_path, data)


def test_a_template_has_no_pairs(tmp_path):
    table = opened(tmp_path, header("", "CHARSET") + 'msgid "a"\nmsgstr ""\n', name="x.pot")
    assert table.announcement == "1 unit, of which are left out: 1 not translated"
    assert list(table.rows) == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    with (tmp_path / "x.po").open("w", encoding="utf-8") as file:
        file.writelines(f'msgid "house {n}"\nmsgstr "Haus {n}"\n\n' for n in range(30_000))
    tracemalloc.start()
    assert sum(1 for _ in open_table(tmp_path / "x.po", 0, 1).rows) == 30_000
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()
