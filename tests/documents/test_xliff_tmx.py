"""XLIFF, TMX and PO: units get translations, everything else stays."""

import sys
from xml.etree import ElementTree

import pytest

from seq2seq.common.errors import UserError
from seq2seq.documents import pages
from tests.support.words import Words

XLIFF = """<?xml version='1.0' encoding="UTF-8"?>
<!-- Auftrag -->
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2" xmlns:m="urn:m">
 <file original="a"  source-language="de" target-language="en" datatype="plaintext">
  <body>
   <trans-unit id="1" m:status="x">
     <source>Der <g id="1">große Hund</g> <x id="2"/>schläft &amp; &lt;ruft&gt;</source>
   </trans-unit>
   <trans-unit id="2"><source>eins</source><target state="translated">one</target></trans-unit>
   <group translate="no"><trans-unit id="3"><source>zwei</source></trans-unit></group>
   <trans-unit id="4" approved="yes"><source>drei</source><target>three</target></trans-unit>
   <trans-unit id="5"><source>vier</source><target/></trans-unit>
   <trans-unit id="6"><source>A. B.</source><seg-source><mrk mtype="seg" mid="1">fünf.</mrk> <mrk mtype="seg"
 mid="2">sechs.</mrk></seg-source></trans-unit>
  </body>
 </file>
</xliff>
"""
XLIFF_2 = """<xliff version="2.0" xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="de" trgLang="en">
 <file id="f"><unit id="1"><segment><source>Der <pc id="1">Hund</pc> <ph id="2"/>schläft</source></segment>
 <segment state="final"><source>b</source><target>c</target></segment></unit></file>
</xliff>
"""
TMX = """<?xml version="1.0"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="de"/><body>
 <tu tuid="1">
  <tuv xml:lang="de-AT"><seg>Der <bpt i="1">&lt;b&gt;</bpt>Hund<ept i="1">&lt;/b&gt;</ept> schläft</seg></tuv>
 </tu>
 <tu><tuv xml:lang="en"><seg>one</seg></tuv><tuv xml:lang="de"><seg>eins</seg></tuv></tu>
 <tu><tuv xml:lang="fr"><seg>un</seg></tuv></tu>
</body></tmx>
"""
PO = """# Kommentar
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

#: a.c:1
msgid "Der Hund %s\\n"
msgstr ""

msgid "ein Hund"
msgid_plural "%d Hunde"
msgstr[0] ""
msgstr[1] ""

msgid "eins"
msgstr "one"

#~ msgid "alt"
#~ msgstr "old"
"""


def translate(text, format, folder, words=None, again=False, languages=("de", "en"), codec="utf-8"):
    path = folder / f"in.{format}"
    path.write_bytes(text.encode(codec))
    settings = pages.Settings(again, languages)
    return pages.translate(path, format, words or Words(str.upper), settings).data.decode(codec)


def test_open_units_get_a_target_and_no_other_byte_changes(tmp_path):
    found = translate(XLIFF, "xliff", tmp_path)
    added = [
        '\n     <target state="needs-review-translation">DER <g id="1">GROSSE HUND</g> <x id="2"/>SCHLÄFT '
        "&amp; &lt;RUFT&gt;</target>",
        '<target state="needs-review-translation"><mrk mtype="seg" mid="1">FÜNF.</mrk> <mrk mtype="seg"\n'
        ' mid="2">SECHS.</mrk></target>',
    ]
    for text in added:
        assert text in found
        found = found.replace(text, "")
    assert found == XLIFF.replace("<target/>", "<target>VIER</target>")
    ElementTree.fromstring(translate(XLIFF, "xliff", tmp_path).encode())


def test_a_second_run_changes_nothing_unless_asked(tmp_path):
    first = translate(XLIFF, "xliff", tmp_path)
    assert translate(first, "xliff", tmp_path, Words(str.lower)) == first
    again = translate(first, "xliff", tmp_path, Words(str.lower), again=True)
    assert '<target state="translated">eins</target>' in again
    assert "<target>three</target>" in again  # approved
    assert "<target>VIER</target>" not in again


def test_xliff_2_and_codes_follow_their_words(tmp_path):
    found = translate(XLIFF_2, "xliff", tmp_path, Words(str.upper, reverse=True))
    assert '<target><ph id="2"/>SCHLÄFT <pc id="1">HUND</pc> DER</target></segment>' in found
    assert "<target>c</target>" in found
    ElementTree.fromstring(found)


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le"])
def test_a_memory_gets_the_missing_variants(tmp_path, codec):
    text = TMX if codec == "utf-8" else "\ufeff" + TMX
    found = translate(text, "tmx", tmp_path, codec=codec)
    added = (
        '\n  <tuv xml:lang="en"><seg>DER <bpt i="1">&lt;b&gt;</bpt>HUND<ept i="1">&lt;/b&gt;</ept> '
        "SCHLÄFT</seg></tuv>"
    )
    assert added in found
    assert found.replace(added, "") == text
    assert "<seg>EINS</seg>" in translate(TMX, "tmx", tmp_path, again=True)
    with pytest.raises(UserError, match="give the target's by --to"):
        translate(TMX, "tmx", tmp_path, languages=("de", None))


def test_faulty_xml_is_named(tmp_path):
    with pytest.raises(UserError, match=r"in\.xliff: not valid XML: mismatched tag"):
        translate("<a><b></a>", "xliff", tmp_path)


def test_messages_get_fuzzy_translations(tmp_path):
    pytest.importorskip("translate")
    found = translate(PO, "po", tmp_path)
    expected = (
        PO.replace(
            '#: a.c:1\nmsgid "Der Hund %s\\n"\nmsgstr ""',
            '#: a.c:1\n#, fuzzy\nmsgid "Der Hund %s\\n"\nmsgstr "DER HUND %s\\n"',
        )
        .replace('msgid "ein Hund"', '#, fuzzy\nmsgid "ein Hund"')
        .replace('msgstr[0] ""', 'msgstr[0] "EIN HUND"')
        .replace('msgstr[1] ""', 'msgstr[1] "%d HUNDE"')
    )
    assert found == expected
    assert translate(found, "po", tmp_path, Words(str.lower)) == found
    assert 'msgstr "eins"' in translate(PO, "po", tmp_path, Words(), again=True)


def test_a_missing_library_is_named_with_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "translate", None)
    monkeypatch.setitem(sys.modules, "translate.storage", None)
    with pytest.raises(UserError, match=r"translate is not installed: .*seq2seq\[documents\]"):
        translate(PO, "po", tmp_path)
