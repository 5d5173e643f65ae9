"""Records of text, TSV, CSV, JSON lines and Parquet: a new column, and everything else as it was."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.common.errors import UserError
from seq2seq.documents import bulk
from seq2seq.documents.parquet import Parquet
from seq2seq.documents.records import Columns, Lines
from seq2seq.documents.tables import BY_FORMAT
from tests.support.words import Words


def translate(data: bytes, format: str, folder: Path, stub=Words, column="de", **columns):
    """The output, and the problems."""
    path, output = folder / f"in.{format}", folder / "out"
    path.write_bytes(data)
    reader = Parquet if format == "parquet" else BY_FORMAT[format]
    records = reader(Columns(column, **columns))
    notes = bulk.translate(bulk.Work(path, records, stub, None, False, folder), output, [], "test")
    return output.read_bytes(), notes.problems


def upper() -> Words:
    return Words(str.upper)


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setenv("SEQ2SEQ_WORKERS", "1")
    monkeypatch.setattr(bulk, "SHARD", 2)


def test_lines_keep_their_layout_and_bad_ones_cost_no_other(tmp_path):
    data = b"\xef\xbb\xbf- eins\r\n\n  zwei  \nschl\xe4ft\n---\nende"
    found, problems = translate(data, "txt", tmp_path, upper)
    assert found == b"\xef\xbb\xbf- EINS\r\n\n  ZWEI  \n\n---\nENDE"
    [problem] = problems
    assert problem.startswith("line 4: byte 0xe4 at position 4 is not UTF-8")


def test_a_table_gets_a_column(tmp_path):
    data = b"id\tde\tx\r\n1\teins zwei\ty\r\n2\r\n\r\n3\tdrei"
    found, problems = translate(data, "tsv", tmp_path, upper)
    assert found == b"id\tde\tx\ttranslation\r\n1\teins zwei\ty\tEINS ZWEI\r\n2\t\r\n\r\n3\tdrei\tDREI"
    assert problems == ["line 3: 1 fields, none in column 2"]
    assert translate(b"a\tb\n", "tsv", tmp_path, upper, column="2")[0] == b"a\tb\tB\n"


def test_quoted_fields_stay_together(tmp_path):
    data = b'id;de\n1;"eins;\nzwei ""x"""\n2;drei\n'
    found, problems = translate(data, "csv", tmp_path, upper, into="neu")
    assert found == b'id;de;neu\n1;"eins;\nzwei ""x""";"EINS;\nZWEI ""X"""\n2;drei;DREI\n'
    assert problems == []


def test_json_lines_keep_their_bytes(tmp_path):
    data = b'{"b": 1.0,  "de": "eins \\u00e4" }\n\n{"de": 5}\n{"de": "x", "translation": ""}\nnicht\n'
    data += b'{"de":"zwei"}'
    found, problems = translate(data, "jsonl", tmp_path, upper, confidence=True)
    lines = found.split(b"\n")
    assert lines[0].startswith(b'{"b": 1.0,  "de": "eins \\u00e4", "translation": "')
    assert json.loads(lines[0])["translation"] == "EINS Ä"
    assert json.loads(lines[0])["confidence"] is None
    assert json.loads(lines[0])["score"] == -0.5
    assert lines[1:5] == data.split(b"\n")[1:5]
    assert json.loads(lines[5])["translation"] == "ZWEI"
    assert [problem.partition(":")[0] for problem in problems] == ["line 3", "line 4", "line 5"]


def test_parquet_keeps_rows_columns_and_nulls(tmp_path):
    rows = pa.table({"id": pa.array([1, 2, 3, 4, 5], pa.int8()), "de": ["eins", None, "zwei", "", "drei"]})
    pq.write_table(rows, tmp_path / "source", row_group_size=3)
    found, problems = translate(
        (tmp_path / "source").read_bytes(), "parquet", tmp_path, upper, confidence=True
    )
    table = pq.read_table(pa.BufferReader(found))
    assert table.select(["id", "de"]).equals(rows)
    assert table["translation"].to_pylist() == ["EINS", None, "ZWEI", "", "DREI"]
    assert table["score"].to_pylist()[:2] == [-0.5, None]
    assert problems == []
    with pytest.raises(UserError, match="--column id: it has the type int8, not text"):
        translate((tmp_path / "source").read_bytes(), "parquet", tmp_path, upper, column="id")
    with pytest.raises(UserError, match="not a Parquet file"):
        translate(b"x", "parquet", tmp_path, upper)


def test_confidence_stands_beside_a_line(tmp_path):
    assert translate(b"eins\n\n", "txt", tmp_path, upper, confidence=True)[0] == b"EINS\t\t-0.5\n\t\t\n"


@pytest.mark.parametrize(
    ("format", "data", "columns", "message"),
    [
        ("tsv", b"a\tb\n", {}, "--column de: there are a, b"),
        ("csv", b"de,translation\n", {}, "there is a column translation: name another by --into"),
        ("tsv", b"", {"column": None}, "a table needs --column"),
        ("jsonl", b"", {"column": None}, "JSON lines need --column"),
    ],
)
def test_a_column_that_is_missing_or_taken_is_named(tmp_path, format, data, columns, message):
    with pytest.raises(UserError, match=message):
        translate(data, format, tmp_path, **columns)


@pytest.mark.slow
@given(st.binary(max_size=40) | st.text(st.sampled_from("a -\t\r\n1.>"), max_size=40).map(str.encode))
def test_identical_lines_are_the_same_bytes(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("records")
    found, problems = translate(data, "txt", folder)
    lines, before = found.split(b"\n"), data.split(b"\n")
    assert len(lines) == len(before)
    bad = sum(a != b for a, b in zip(lines, before, strict=True))
    assert bad <= len(problems)


def test_a_shard_that_is_finished_is_not_translated_again(tmp_path, capsys):
    class Fails(Words):
        def __call__(self, texts, attend):
            if "drei" in texts:
                raise KeyboardInterrupt
            return super().__call__(texts, attend)

    data = b"eins\nzwei\ndrei\nvier\n"
    with pytest.raises(KeyboardInterrupt):
        translate(data, "txt", tmp_path, Fails)
    assert not (tmp_path / "out").exists()
    [kept] = (tmp_path / "out.parts").glob("*/000000/out")
    kept.write_bytes(b"EINS\nZWEI\n")  # seen to be used
    found, _ = translate(data, "txt", tmp_path)
    assert found == b"EINS\nZWEI\ndrei\nvier\n"
    assert "test: 1 of 2 shards are finished already" in capsys.readouterr().err
    assert not (tmp_path / "out.parts").exists()


def test_other_options_and_other_files_begin_anew(tmp_path):
    class Stops(Words):
        def __call__(self, texts, attend):
            if "drei" in texts:
                raise KeyboardInterrupt
            return super().__call__(texts, attend)

    folders = set()
    for data, columns in (
        (b"eins\nzwei\ndrei\n", {}),
        (b"eins\nzwei\ndrei", {}),
        (b"eins\nzwei\ndrei", {"confidence": True}),
    ):
        with pytest.raises(KeyboardInterrupt):
            translate(data, "txt", tmp_path, Stops, **columns)
        [folder] = (tmp_path / "out.parts").iterdir()
        folders.add(folder.name)
    assert len(folders) == 3


def test_long_sentences_are_refused_if_asked(tmp_path):
    class Refuses(Words):
        def refusals(self, texts):
            return {i: "too long" for i, text in enumerate(texts) if len(text) > 5}

    path = tmp_path / "in.txt"
    path.write_text("eins\nzweizwei\ndrei\n")
    work = bulk.Work(path, Lines(Columns()), Refuses, None, True, tmp_path)
    notes = bulk.translate(work, tmp_path / "out", [], "test")
    assert (tmp_path / "out").read_text() == "eins\n\ndrei\n"
    assert notes.problems == ["line 2: too long"]
