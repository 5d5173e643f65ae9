"""Every format gives the same pairs, and every error names its file and line."""

import csv
import gzip
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seq2seq.common.errors import UserError
from seq2seq.data import columnar
from seq2seq.data.corpus import Pair
from seq2seq.data.formats import kind, open_table
from seq2seq.data.rows import Malformed

os.environ.setdefault("USE_TORCH", "0")

TABLE = [('Er sagt "ja".', 'He says "yes".'), ("Größe, 5 €", "size, 5 €"), ("哈", "ha")]
PAIRS = [Pair(source, target) for source, target in TABLE]


def rows(path, source=0, target=1):
    return list(open_table(path, source, target).rows)


def write_csv(path, table):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(table)


def write_tsv(path, table):
    path.write_text("".join("\t".join(row) + "\n" for row in table), encoding="utf-8", newline="")


def write_jsonl(path, table):
    objects = ({"de": source, "en": target} for source, target in table)
    path.write_text("".join(json.dumps(row) + "\n" for row in objects), encoding="utf-8")


def write_nested(path, table):
    objects = ({"id": 1, "translation": {"de": source, "en": target}} for source, target in table)
    path.write_text("".join(json.dumps(row) + "\n" for row in objects), encoding="utf-8")


def write_parquet(path, table):
    pq.write_table(pa.table({"de": [r[0] for r in table], "en": [r[1] for r in table]}), path)


def write_nested_parquet(path, table):
    pq.write_table(pa.table({"translation": [{"de": r[0], "en": r[1]} for r in table]}), path)


def write_arrow(path, table):
    rows = pa.table({"translation": [{"de": r[0], "en": r[1]} for r in table]})
    opener = pa.ipc.new_stream if path.stem == "stream" else pa.ipc.new_file
    with opener(path, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=2)


WRITERS = {
    "x.csv": write_csv,
    "x.tsv": write_tsv,
    "x.txt": write_tsv,
    "x.jsonl": write_jsonl,
    "nested.jsonl": write_nested,
    "x.parquet": write_parquet,
    "nested.parquet": write_nested_parquet,
    "stream.arrow": write_arrow,
    "file.arrow": write_arrow,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_pairs(tmp_path, name):
    WRITERS[name](tmp_path / name, TABLE)
    assert rows(tmp_path / name) == PAIRS
    assert rows(tmp_path / name, 1, 0) == [Pair(b, a) for a, b, *_ in PAIRS]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl"])
def test_gzipped(tmp_path, name):
    WRITERS[name](tmp_path / name, TABLE)
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    assert rows(packed) == PAIRS


@pytest.mark.parametrize("name", ["nested.jsonl", "x.jsonl", "x.parquet", "nested.parquet"])
def test_columns_by_name(tmp_path, name):
    WRITERS[name](tmp_path / name, TABLE)
    table = open_table(tmp_path / name, "en", "de")
    assert table.columns == ("en", "de")
    assert list(table.rows) == [Pair(b, a) for a, b, *_ in PAIRS]


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
TEXT = TEXT.map(lambda text: text.lstrip("\ufeff"))
LINE = TEXT.map(lambda text: f"x{text}.".replace("\t", " ").replace("\n", " "))


def round_trip(tmp_path, name, table):
    WRITERS[name](tmp_path / name, table)
    return [(pair.source, pair.target) for pair in rows(tmp_path / name)]


many = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(table=st.lists(st.tuples(LINE, LINE), min_size=1, max_size=5))
def test_tsv_is_read_verbatim(tmp_path, table):
    assert round_trip(tmp_path, "x.tsv", table) == table


@many
@given(table=st.lists(st.tuples(TEXT.map("x{}".format), TEXT), min_size=1, max_size=5))
def test_csv_round_trip(tmp_path, table):
    assert round_trip(tmp_path, "x.csv", [("de", "en"), *table]) == table


@many
@given(table=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_jsonl_and_parquet_round_trip(tmp_path, table):
    assert round_trip(tmp_path, "x.jsonl", table) == table
    assert round_trip(tmp_path, "x.parquet", table) == table


@pytest.mark.parametrize(
    ("line", "is_header"),
    [
        ("de\ten", True),
        ("source\ttarget", True),
        ("src_text\ttgt_text", True),
        ("pt_BR\ten-US", True),
        ("Text 1\tText 2", True),
        ("text\ttext", False),
        ("Ja\tNo", False),
        ("Hallo\tHello", False),
        ("so ist es\tit is so", False),
        ("\t", False),
        ("1\t2", False),
    ],
)
def test_header_by_number(tmp_path, line, is_header):
    path = tmp_path / "x.tsv"
    path.write_text(f"{line}\nHaus\thouse\n", encoding="utf-8")
    table = open_table(path, 0, 1)
    assert ("is a header" in table.announcement) == is_header
    assert len(list(table.rows)) == 2 - is_header


def test_header_by_name_and_byte_order_mark(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\ufeffGerman,note,English\nHaus,,house\n", encoding="utf-8")
    table = open_table(path, "English", "German")
    assert table.announcement == "line 1 is a header: German, note, English"
    assert list(table.rows) == [Pair("house", "Haus")]


def test_blank_lines_and_windows_line_ends(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_bytes(b"\r\na b\tc\r\n\r\nd\te")
    assert rows(path) == [Pair("a b", "c"), Pair("d", "e")]


def test_a_carriage_return_within_a_line_does_not_end_it(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_bytes(b"a\tb\rc\nd\n")
    assert rows(path) == [Pair("a", "b\rc"), Malformed(2, "1 field where line 1 has 2: d")]
    path.write_bytes(b"a\tb\rc\td\re\tf\r")
    with pytest.raises(UserError, match="has carriage returns for line ends; convert it: tr"):
        rows(path)


def test_odd_file_names(tmp_path):
    path = tmp_path / "my [x] #1 *.v1.tsv"
    write_tsv(path, TABLE)
    assert rows(path) == PAIRS


def test_text_that_starts_like_an_archive(tmp_path):
    path = tmp_path / "x.tsv"
    write_tsv(path, [("BZh", "PK\x03\x04")])
    assert rows(path) == [Pair("BZh", "PK\x03\x04")]


QUOTE = "is a quote not closed or not doubled?"


@pytest.mark.parametrize(
    ("name", "data", "line", "reason"),
    [
        ("x.tsv", b"a\tb\nc\n", 2, "1 field where line 1 has 2: c"),
        ("x.tsv", b"a\tb\n\nc\td\te\n", 3, "3 fields where line 1 has 2: c | d | e"),
        ("x.tsv", b"a\tb\nc\td\xff\n", 2, "not valid UTF-8: b'c\\td\\xff\\n'"),
        ("x.csv", b'a,b\n"c\nd",e,f\n', 2, "3 fields where line 1 has 2: c\nd | e | f"),
        ("x.csv", b'a,b\n"c"d,e\n', 2, f"not valid CSV: ',' expected after '\"'; {QUOTE}"),
        ("x.jsonl", b'{"a": "x", "b": "y"}\n{"a": "x"}\n', 2, "b is null or missing"),
        ("x.jsonl", b'{"a": "x", "b": "y"}\n{"a": "x", "b": null}\n', 2, "b is null or missing"),
        ("x.jsonl", b'{"a": "x", "b": "y"}\n{"a": 5, "b": "y"}\n', 2, "a is no text: 5"),
        ("x.jsonl", b'{"a": "x", "b": "y"}\n["x"]\n', 2, "no JSON object with the columns as keys"),
        ("x.jsonl", b'{"a": "x", "b": "y"}\n[]\n', 2, "no JSON object with the columns as keys"),
        ("x.csv", b'a,b\n"c\nd\xff\ne",f\n', 2, "not valid UTF-8: b'c\\nd\\xff\\ne'"),
        ("x.jsonl", b'{"a": "x", "b": "\\ud800"}\n', 1, "b holds half a surrogate pair: '\\ud800'"),
    ],
)
def test_malformed_rows_have_lines(tmp_path, name, data, line, reason):
    path = tmp_path / name
    path.write_bytes(data + b"\n")
    assert [row for row in rows(path) if isinstance(row, Malformed)] == [Malformed(line, reason)]


def test_reading_continues_after_malformed_rows(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b'a,b\n\xff,x\n"c"d,e\nf\n"g\nh",i\n\xff\nj,k\n')
    found = rows(path)
    assert [row for row in found if isinstance(row, Pair)] == [
        Pair("a", "b"), Pair("g\nh", "i"), Pair("j", "k")
    ]  # fmt: skip
    assert [row.line for row in found if isinstance(row, Malformed)] == [2, 3, 4, 7]


def test_a_quote_that_is_not_closed_makes_all_its_lines_malformed(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b'a,b\n"c,d\ne,f\ng,"h"\ni,j\n')
    first, *lost, last = rows(path)
    assert (first, last) == (Pair("a", "b"), Pair("i", "j"))
    assert [row.line for row in lost] == [2, 3, 4]
    assert lost[0].reason == f"not valid CSV: ',' expected after '\"'; {QUOTE}"


def test_a_parquet_column_named_translation_may_be_text(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["Hund"], "translation": ["dog"]}), path)
    assert rows(path) == [Pair("Hund", "dog")]
    with pytest.raises(UserError, match="no column 'txt'; its columns are: 0 'text', 1 'translation'"):
        rows(path, "txt", "translation")


def test_malformed_json(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": "x", "b": "y"}\n{"a": "x", \n"text"\n', encoding="utf-8")
    reasons = [(row.line, row.reason.split(":")[0]) for row in rows(path)[1:]]
    assert reasons == [(2, "not valid JSON"), (3, "no JSON object with the columns as keys")]


def test_a_parquet_file_that_expands_more_than_text(tmp_path, monkeypatch):
    monkeypatch.setattr(columnar, "EXPANDED", 10_000)
    texts = pa.table({"a": ["x" * 100_000] * 9, "b": ["y"] * 9})
    pq.write_table(texts, tmp_path / "x.parquet", use_dictionary=False, compression="zstd")
    with pytest.raises(
        UserError, match=r"x.parquet expands to more than 10,000 bytes and 100 times its size"
    ):
        rows(tmp_path / "x.parquet")


def test_malformed_parquet(tmp_path):
    path = tmp_path / "x.parquet"
    bad = pa.array([b"x", b"\xff", None]).view(pa.string())
    pq.write_table(pa.table({"a": bad, "b": ["y", "y", "y"], "c": [1, 2, 3]}), path)
    assert rows(path) == [
        Pair("x", "y"),
        Malformed(2, "a is not valid UTF-8: b'\\xff'"),
        Malformed(3, "a is null or missing"),
    ]
    assert rows(path, "c", "b")[0] == Malformed(1, "c is no text: 1")


@pytest.mark.parametrize(
    ("name", "data", "columns", "message"),
    [
        ("x.tsv", b"", (0, 1), "x.tsv: holds no line"),
        ("x.tsv", b"a\tb\n", (0, 2), "x.tsv has no column 2; its columns are: 0 'a', 1 'b'"),
        ("x.tsv", b"a\tb\n", ("en", "a"), "x.tsv has no column 'en'; its columns are: 0 'a', 1 'b'"),
        ("x.tsv", b"a b\n", (0, 1), "x.tsv has no column 1; its columns are: 0 'a b'"),
        ("x.tsv", b"a\tb\n", (1, 1), "x.tsv: ingest.source_column and target_column are both 1"),
        ("x.tsv", b"\xff\ta\n", (0, 1), "x.tsv, line 1: not valid UTF-8"),
        ("x.tsv", "a\tb\n".encode("utf-16"), (0, 1), "x.tsv is UTF-16; convert it: iconv"),
        ("x.jsonl", b'{"a": "b"}\n', ("a", "c"), "x.jsonl has no column 'c'; its columns are: 0 'a'"),
        ("x.jsonl", b'[\n{"a": "b"}]\n', ("a", "c"), "x.jsonl has no column 'c'; its columns are: 0 'a'"),
        ("x.parquet", b"PAR1 not", (0, 1), "x.parquet: not a Parquet file"),
        ("x.arrow", b"ARROW1 not", (0, 1), "x.arrow: not an Arrow file"),
        ("x.arrow", b"", (0, 1), "x.arrow: not an Arrow file"),
        ("x.tsv.gz", b"no gzip", (0, 1), "x.tsv.gz has no column 1; its columns are: 0 'no gzip'"),
        ("x.tsv.gz", gzip.compress(b"a\tb\n" * 999, mtime=0)[:40], (0, 1), "x.tsv.gz cannot be read"),
        (
            "x.jsonl.gz",
            gzip.compress(b'{"a": "x", "b": "y"}\n', mtime=0)[:-9],
            ("a", "b"),
            "x.jsonl.gz cannot be read",
        ),
        ("x.foo", b"a\tb\n", (0, 1), "x.foo: unknown kind of file; there are .jsonl, "),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, data, columns, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        rows(path, *columns)
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(message)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.b.JSONL", "jsonl"), ("a.tsv.gz", "tsv"), ("a.ndjson", "jsonl"), ("a.tab", "tsv"), ("a.csv", "csv")],
)
def test_kind(tmp_path, name, expected):
    assert kind(tmp_path / name) == expected
