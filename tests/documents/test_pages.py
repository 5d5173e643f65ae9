"""Subtitles and paragraphs, and the formats of files."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seq2seq.common import document_formats as formats
from seq2seq.common.errors import UserError
from seq2seq.documents import pages
from tests.support.words import Words

SUBTITLES = (
    "1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>Der Hund</i>\r\nschläft.\r\n\r\n"
    "2\r\n00:00:03,000 --> 00:00:04,000\r\n- Nein!\r\n"
)


def test_subtitles_keep_numbers_times_and_lines():
    found, _ = pages.render(pages.parse(SUBTITLES, "srt"), Words(str.upper))
    assert found == SUBTITLES.replace("Der Hund", "DER HUND").replace("schläft", "SCHLÄFT").replace(
        "Nein", "NEIN"
    )


@given(st.text(st.sampled_from("a b\n\r\t-1.<>:,&;"), max_size=60))
@example("&b")
@example("&#1")
def test_an_identical_translation_is_the_same_text(text):
    for format in ("srt", "txt"):
        assert pages.render(pages.parse(text, format), Words())[0] == text


def test_paragraphs_are_translated_together():
    text = "Der Hund des alten Mannes aus dem kleinen Haus am\nEnde schläft.\n\n- eins\n"
    words = Words(str.upper)
    assert pages.render(pages.parse(text, "txt"), words)[0] == text.upper()
    assert words.texts == ["Der Hund des alten Mannes aus dem kleinen Haus am Ende schläft.", "eins"]


def test_equal_segments_are_translated_once():
    words = Words()
    pages.render(pages.parse("<p>eins</p><p>eins</p><p>zwei</p>", "html"), words)
    assert words.texts == ["eins", "zwei"]


def test_the_name_of_a_file_gives_the_format(tmp_path):
    assert formats.of(Path("a.XLF")) == "xliff"
    assert formats.of(Path("a.bin"), "txt") == "txt"
    with pytest.raises(UserError, match=r"name the format: --format txt\|tsv"):
        formats.of(Path("a.bin"))
    (tmp_path / "a.md").touch()
    assert formats.is_document(str(tmp_path / "a.md"))
    assert not formats.is_document(str(tmp_path / "b.md"))
    assert not formats.is_document("Der Hund schläft.")


def test_bytes_that_are_not_utf_8_are_named(tmp_path):
    (tmp_path / "a.html").write_bytes(b"<p>schl\xe4ft</p>")
    with pytest.raises(UserError, match=r"a\.html: byte 0xe4 at position 7 is not UTF-8"):
        pages.translate(tmp_path / "a.html", "html", Words())
