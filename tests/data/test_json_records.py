"""JSON that is not one object a line is read, or refused with the line and a remedy."""

import json

import pytest

from seq2seq.common.errors import UserError
from seq2seq.data import json_records, streams
from seq2seq.data.corpus import Pair
from seq2seq.data.formats import NO_OBJECT, open_table
from seq2seq.data.rows import Malformed

RECORDS = [{"de": f'哈 "{n}" [\\]}}', "en": f"ha\n{n}"} for n in range(30)]
PAIRS = [Pair(*record.values()) for record in RECORDS]


def read(path, text, source="de", target="en"):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(open_table(path, source, target).rows)


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("piece", [1, 7, 2**17])
@pytest.mark.parametrize(
    "shape",
    [
        lambda indent: json.dumps(RECORDS, indent=indent),
        lambda indent: "\ufeff\n" + json.dumps(RECORDS, indent=indent, ensure_ascii=False) + "\n\n",
        lambda indent: json.dumps({"data": RECORDS}, indent=indent),
        lambda indent: "\n".join(json.dumps(record, indent=indent) for record in RECORDS),
        lambda indent: json.dumps([{"translation": record} for record in RECORDS], indent=indent),
    ],
    ids=["array", "marked", "wrapped", "objects", "nested"],
)
def test_shapes(tmp_path, monkeypatch, indent, piece, shape):
    source = streams.Source.pieces
    monkeypatch.setattr(
        streams.Source,
        "pieces",
        lambda self: (b[i : i + piece] for b in source(self) for i in range(0, len(b), piece)),
    )
    assert read(tmp_path / "x.json", shape(indent)) == PAIRS


def test_lines_with_arrays_of_objects_are_lines(tmp_path):
    row = {"spans": [{"start": 1}], "de": "Haus", "en": "house"}
    assert read(tmp_path / "x.jsonl", f"{json.dumps(row)}\n" * 2) == [Pair("Haus", "house")] * 2


@pytest.mark.parametrize("separator", ["\n", ""])
@pytest.mark.parametrize("shape", ["[%s]", '{"data": [%s]}'])
def test_elements_of_an_array_have_numbers(tmp_path, shape, separator):
    elements = ['{"de": "a", "en": "b"}', '{"de": 5, "en": "b"}', '{"de": null,\n"en": "b"}']
    path = tmp_path / "x.json"
    path.write_text(shape % f",{separator}".join(elements), "utf-8")
    table = open_table(path, "de", "en")
    assert table.unit == "record"
    assert list(table.rows) == [
        Pair("a", "b"), Malformed(2, "de is no text: 5"), Malformed(3, "de is null or missing")
    ]  # fmt: skip


def test_objects_over_lines_have_lines(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{\n"de": "a",\n"en": "b"}\n{"de": null,\n"en": "b"}\n', "utf-8")
    table = open_table(path, "de", "en")
    assert (table.unit, list(table.rows)) == ("line", [Pair("a", "b"), Malformed(4, "de is null or missing")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "x.json: holds no line"),
        ("", "x.json: holds no line"),
        ('[["a", "b"]]', f"x.json, line 1: {NO_OBJECT}"),
        ('[{"de": "a", "en": "b"},\n', "line 2, record 2: the file ends within its array; is it incomplete?"),
        (
            '[{"de": "a", "en": "b"},\n{"de": "a',
            "line 2, record 2: not valid JSON, or the file is incomplete: Unterminated",
        ),
        ('[{"de": "a", "en": "b"}]\n[', "line 2: text follows after the end of the array"),
        (b'[{"de": "a", "en": "b"},\n{"de": "\xff"}]', "line 2: not valid UTF-8"),
        ('[{"de": "a", "en": "b"}' + ', {"de": ' + "[" * 100_000, "not valid JSON"),
        ('{"data": [{"de": "a", "en": "b"}], "n": 1}', "take it out: jq -c '.data\\[\\]' OLD > NEW.jsonl"),
        ('{"data": [{"de": "a", "en": "b"}\n], "n": 1}', "take the array out: jq -c '.data\\[\\]'"),
        ('{"de": ["a"], "en": ["b"]}', "de holds many values or an object; pandas writes one object a row"),
        ('{"de": {"0": "a"}, "en": {"0": "b"}}', "de holds many values or an object; pandas"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path / "x.json", text, 0, 1)


def test_a_record_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(json_records, "LONGEST_LINE", 100)
    with pytest.raises(
        UserError, match="line 2, record 2: a record of more than 100 characters, or not valid JSON"
    ):
        read(tmp_path / "x.json", '[{"de": "a", "en": "b"},\n{"de": "' + "a" * 200)
