"""XLIFF gives the finished segments; the others are counted by their state."""

import pytest

from seq2seq.common.errors import UserError
from seq2seq.data.corpus import Pair
from seq2seq.data.formats import open_table

ONE = """<?xml version="1.0" encoding="UTF-8"?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2"{more}>
<file original="a.docx" source-language="{source}" datatype="x" {target}>
<header><note>x</note></header><body>
{units}
</body></file></xliff>
"""
TWO = """<?xml version="1.0"?>
<xliff version="2.1" xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en" trgLang="de-DE">
<file id="f"><unit id="u"><notes><note>x</note></notes>
{units}
</unit></file></xliff>
"""


def one(units, source="en-US", target="de-DE", more=""):
    return ONE.format(
        units=units, source=source, more=more, target=f'target-language="{target}"' if target else ""
    )


def unit(source, target, attributes="", target_attributes=""):
    return (
        f'<trans-unit id="7" {attributes}><source>{source}</source>'
        f"<target {target_attributes}>{target}</target></trans-unit>"
    )


def opened(tmp_path, data, *languages, name="x.xlf"):
    (tmp_path / name).write_text(data, encoding="utf-8")
    return open_table(tmp_path / name, 0, 1, languages or (None, None))


def test_version_1_2(tmp_path):
    units = (
        "<group><trans-unit id='1' approved='yes' xml:space='preserve'><source>The <g id='1'>big</g> "
        "<x id='2'/>house<bpt id='3'>&lt;b></bpt>!</source>\n<target state='final'>Das <g id='1'>große</g> "
        "<x id='2'/>Haus<ept id='3'>&lt;/b></ept>!</target>\n<note>n</note><alt-trans><source>The</source>"
        "<target>Der</target></alt-trans></trans-unit></group>"
        "<trans-unit id='2'><source>one<x id='1' ctype='lb'/>two</source>"
        "<target>eins<x id='1' ctype='lb'/>zwei</target></trans-unit>"
        "<trans-unit id='3'><source/><target>x</target></trans-unit>"
    )
    table = opened(tmp_path, one(units))
    assert table.columns == table.languages == ("en-US", "de-DE")
    assert table.announcement == "3 units, of which are left out: 1 without a text in en-US or de-DE"
    assert list(table.rows) == [
        Pair("The big house!", "Das große Haus!"),
        Pair("one two", "eins zwei"),
    ]
    assert opened(tmp_path, one(units), "de", "en").columns == ("de-DE", "en-US")


def test_version_2(tmp_path):
    units = (
        "<segment id='1' state='final'><source>The <pc id='1'>big</pc> <ph id='2' equiv='x'/>house</source>"
        "<target>Das <pc id='1'>große</pc> <mrk id='m' type='term'>Haus</mrk></target></segment>"
        "<ignorable><source> </source><target> </target></ignorable>"
        "<segment><source>a<cp hex='001F'/>b</source><target>c</target></segment>"
        "<segment state='initial'><source>x</source><target>x</target></segment>"
        "<segment><source>y</source></segment>"
        "<mtc:matches xmlns:mtc='m'><mtc:match><source>q</source><target>r</target></mtc:match></mtc:matches>"
    )
    table = opened(tmp_path, TWO.format(units=units))
    assert table.columns == ("en", "de-DE")
    assert table.announcement == ("4 units, of which are left out: 1 in state initial, 1 not translated")
    assert list(table.rows) == [Pair("The big house", "Das große Haus"), Pair("ab", "c")]


@pytest.mark.parametrize(
    ("attributes", "target", "reason"),
    [
        ("", "state='needs-translation'", "in state needs-translation"),
        ("", "state='needs-review-translation'", "in state needs-review-translation"),
        ("", "state='new'", "in state new"),
        ("approved='no'", "", "not approved"),
        ("translate='no'", "", "marked translate=no"),
        ("xmlns:mq='m' mq:status='PartiallyEdited'", "", "in status PartiallyEdited"),
        ("", "state='translated'", ""),
        ("approved='no'", "state='translated'", ""),
        ("approved='yes'", "", ""),
        ("xmlns:mq='m' mq:status='ManuallyConfirmed'", "", ""),
    ],
)
def test_states(tmp_path, attributes, target, reason):
    table = opened(tmp_path, one(unit("a", "b", attributes, target) + unit("a", "")))
    assert table.announcement == "2 units, of which are left out: " + ", ".join(
        filter(None, [reason and f"1 {reason}", "1 not translated"])
    )
    assert list(table.rows) == [Pair("a", "b")] * (not reason)


def test_segments_of_trados(tmp_path):
    units = """<trans-unit id="a1"><source><g id="1">One. Two. Three. Four.</g></source>
<seg-source><g id="1"><mrk mtype="seg" mid="1">One.</mrk> <mrk mtype="seg" mid="2">Two
<g id="2">big</g>.</mrk> <mrk mtype="seg" mid="3">Three.</mrk><mrk mtype="seg" mid="4">Four.</mrk></g>
</seg-source>
<target><g id="1"><mrk mtype="seg" mid="2">Zwei <mrk mtype="x-sdl-comment">große</mrk>.</mrk>
<mrk mtype="seg" mid="1">Eins.</mrk> <mrk mtype="seg" mid="3">Drei.</mrk><mrk mtype="seg" mid="4"/></g>
</target>
<sdl:seg-defs><sdl:seg id="1" conf="Translated"/><sdl:seg id="2" conf="ApprovedSignOff" percent="100"/>
<sdl:seg id="3" conf="Draft"/><sdl:seg id="4"/></sdl:seg-defs></trans-unit>"""
    table = opened(tmp_path, one(units, more=' xmlns:sdl="http://sdl"'), name="x.sdlxliff")
    assert table.announcement == "4 units, of which are left out: 1 not confirmed, 1 not translated"
    assert list(table.rows) == [Pair("One.", "Eins."), Pair("Two big.", "Zwei große.")]


@pytest.mark.parametrize(("source", "target"), [("en", ""), ("en", "en")])
def test_a_file_that_states_no_target_language(tmp_path, source, target):
    table = opened(tmp_path, one(unit("a", "b"), source=source, target=target), "en", "de")
    assert table.columns[1] == "target"
    assert list(table.rows) == [Pair("a", "b")]
    assert opened(tmp_path, one(unit("a", "b"), source=source, target=target)).columns == table.columns


def test_files_of_several_languages(tmp_path):
    text = one(unit("a", "b")).replace(
        "</xliff>",
        '<file source-language="en-US" target-language="fr"><body><trans-unit id="1"><source>a</source>'
        "<target>c</target></trans-unit></body></file></xliff>",
    )
    with pytest.raises(UserError, match=r"its languages are: en-US \(2\), de-DE \(1\), fr \(1\)"):
        opened(tmp_path, text)
    table = opened(tmp_path, text, "en", "fr")
    assert table.announcement == "2 units, of which are left out: 1 without a text in en-US or fr"
    assert list(table.rows) == [Pair("a", "c")]


def test_damage_is_named(tmp_path):
    with pytest.raises(UserError, match=r"x.xlf, line 5, in or after unit 1: .*is it incomplete"):
        opened(tmp_path, one(unit("a", "b"))[:-40].rstrip())
    with pytest.raises(UserError, match="holds no unit"):
        opened(tmp_path, one(""))
