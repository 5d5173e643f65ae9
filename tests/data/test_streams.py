"""Packings, encodings and foreign files are found by content; lines and archives have a largest size."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import xxhash

from seq2seq.common.errors import UserError
from seq2seq.data import streams
from seq2seq.data.corpus import Pair
from seq2seq.data.formats import open_table
from seq2seq.data.rows import Malformed

TEXTS = {
    "Latin": "Größe\tsize\n",
    "Arabic": "هذا بيت كبير\tهذا بيت\n",
    "Thai": "นี่คือบ้าน\tนี่คือบ้าน\n",
    "Han": "这是一座很大很大的房子，我们都住在里面。\t我们都住在里面，这是一座很大的房子。\n",
    "Gurmukhi": "ਇਹ ਘਰ ਹੈ\tਇਹ ਘਰ\n",
    "emoji": "🙂🙂\t🙂\n",
}


def zstd(data):
    """A frame with a checksum, as the program zstd writes it; Arrow writes none."""
    frame = bytearray(pa.compress(data, codec="zstd", asbytes=True))
    frame[4] |= 4
    return bytes(frame) + xxhash.xxh64(data).digest()[:-5:-1]


PACKERS: dict[str, Any] = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstd}


def read(path, data):
    path.write_bytes(data)
    table = open_table(path, 0, 1)
    return table.announcement, list(table.rows)


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("name", ["x.tsv", "x.tsv.gz", "x.tsv.bz2", "x.tsv.xz", "x.tsv.zst"])
def test_packed_by_content(tmp_path, packing, name):
    note, rows = read(tmp_path / name, PACKERS[packing]("a\tä\n".encode() * 3) * 2)
    assert rows == [Pair("a", "ä")] * 6
    fits = streams.PACKINGS.get(Path(name).suffix) == packing
    assert note.startswith("no header" if fits else f"packed by {packing}; no header")


def test_text_named_as_packed(tmp_path):
    note, rows = read(tmp_path / "x.tsv.gz", b"a\tb\n")
    assert rows == [Pair("a", "b")]
    assert note.startswith("not packed, though named .gz")


@pytest.mark.parametrize("packing", PACKERS)
def test_a_damaged_archive(tmp_path, packing):
    data = PACKERS[packing](os.urandom(50_000).hex().encode())
    for damaged in (data[:-20], data[:20_000] + b"\0\0\0\0" + data[20_004:]):
        with pytest.raises(UserError, match=r"x.tsv cannot be read: .*damaged or incomplete"):
            read(tmp_path / "x.tsv", damaged)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("encoding", ["UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE"])
@pytest.mark.parametrize("name", ["x.tsv", "x.csv", "x.jsonl"])
def test_wide_encodings_without_a_mark(tmp_path, text, encoding, name, capsys):
    message = f"{name} looks like {encoding}; convert it: iconv -f {encoding} -t UTF-8 OLD > NEW"
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path / name, (text * 50).encode(encoding))
    assert "\0" not in str(caught.value) + capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["UTF-16", "UTF-32"])
def test_wide_encodings_with_a_mark(tmp_path, encoding):
    with pytest.raises(UserError, match=f"x.txt is {encoding}; convert it: iconv -f {encoding} "):
        read(tmp_path / "x.txt", "Größe\tsize\n".encode(encoding))


@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        ("x.tsv", b"a\tb\nc\0d\te\n", 2),
        ("x.csv", b"a,b\nc,d\0e\n", 2),
        ("x.jsonl", b'{"a": "x", "b": "y"}\n{"a": "x", "b": "\\u0000"}\n', 2),
    ],
)
def test_a_nul_in_text_is_malformed(tmp_path, name, data, line):
    bad = read(tmp_path / name, data)[1][-1]
    assert isinstance(bad, Malformed)
    assert bad.line == line
    assert "holds a NUL character" in bad.reason
    assert "\0" not in bad.reason


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "a\tb\n")
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("x.tsv"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.tsv", zipped("x.tsv"), "is a zip archive; unpack it"),
        (
            "x.csv",
            zipped("[Content_Types].xml", "xl/workbook.xml"),
            r"is a spreadsheet \(xlsx\), .*export it",
        ),
        ("x.txt", zipped("word/document.xml"), r"is a document \(docx\), .*export it"),
        ("x.tsv.gz", tarred(), "is a tar archive; unpack it: tar -xf x.tsv.gz"),
        ("x.tsv", gzip.compress(gzip.compress(b"a\tb\n")), "is packed twice"),
        ("x.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Office file"),
        ("x.txt", b"%PDF-1.7\n", "is a PDF"),
        ("x.tsv", b"\xef\xbb\xbf<?xml version='1.0'?>\n<doc>", "is XML with the root element doc"),
        ("x.tsv", b"\n<!DOCTYPE html>\n<html>", "is an HTML page"),
        ("x.tsv", b"PAR1\x15\x00", "is a Parquet file; name it .parquet"),
        ("x.tsv", b"ARROW1\0\0", "is an Arrow file; name it .arrow"),
        ("x.srt", b"", "is not read; export its sentence pairs as TSV"),
        ("x.xlsx", b"", "is a spreadsheet, which is not read; export the sheet as CSV"),
        ("x.tar.gz", b"", "is an archive; unpack it"),
        ("x.tsv.lz4", b"", "is packed by lz4; unpack it first"),
    ],
    # Ids without the bytes: archives contain the time, and parallel workers must collect the same names.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_foreign_files_have_a_remedy(tmp_path, name, data, message):
    with pytest.raises(UserError, match=f"{name} {message}"):
        read(tmp_path / name, data)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.tsv", "a\tb\rc\td\re\tf"),
        ("x.csv", '"a","b"\r"c","d"\r"e","f"'),
        ("x.jsonl", '{"a": "x", "b": "y"}\r{"a": "x", "b": "y"}\r'),
        ("x.txt", "a\tb\r" * 500_000),
    ],
)
def test_classic_mac_line_ends(tmp_path, name, text):
    with pytest.raises(UserError, match=f"{name} has carriage returns for line ends; convert it: tr"):
        read(tmp_path / name, text.encode())


def test_a_carriage_return_in_a_csv_field(tmp_path):
    rows = read(tmp_path / "x.csv", b'a,b\n"c\rd",e\nf\rg,h\ni,j\r\n')[1]
    reason = "a carriage return inside a field that is not quoted; replace it: tr '\\r' ' ' < OLD > NEW"
    assert rows == [Pair("a", "b"), Pair("c\rd", "e"), Malformed(3, reason), Pair("i", "j")]


def test_marks_of_joined_files(tmp_path):
    assert read(tmp_path / "x.tsv", "\ufeffa\tb\n\ufeffc\t\ufeffd\n".encode())[1] == [
        Pair("a", "b"),
        Pair("c", "d"),
    ]
    quoted = '\ufeff"a","b"\n\ufeff"c","\ufeffd"\n'
    assert read(tmp_path / "x.csv", quoted.encode())[1] == [Pair("a", "b"), Pair("c", "d")]
    objects = '\ufeff{"a": "c", "b": "d"}\n\ufeff{"a": "c", "b": "\ufeffd"}\n'
    assert read(tmp_path / "x.jsonl", objects.encode())[1] == [Pair("c", "d")] * 2


def test_a_line_without_end_is_malformed(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "LONGEST_LINE", 20)
    rows = read(tmp_path / "x.tsv", b"a\tb\n" + b"c" * 99 + b"\td\ne\tf\n" + b"g" * 50)[1]
    assert rows == [
        Pair("a", "b"),
        Malformed(2, "a line of more than 20 bytes"),
        Pair("e", "f"),
        Malformed(4, "a line of more than 20 bytes"),
    ]


@pytest.mark.parametrize("packing", PACKERS)
def test_an_archive_that_expands_more_than_text(tmp_path, monkeypatch, packing):
    monkeypatch.setattr(streams, "EXPANDED", 10_000)
    read(tmp_path / "x.tsv", PACKERS[packing](b"a\tb\n" * 2_400))
    with pytest.raises(UserError, match=r"x.tsv expands to more than 10,000 bytes and 100 times its size"):
        read(tmp_path / "x.tsv", PACKERS[packing](b"a\tb\n" * 200_000))


def test_the_memory_of_an_archive_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "LZMA_MEMORY", 2**20)
    with pytest.raises(UserError, match=r"x.tsv cannot be read: Memory usage limit"):
        read(tmp_path / "x.tsv", lzma.compress(b"a\tb\n"))
