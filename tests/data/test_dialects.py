"""Separator and quoting of programs are detected, and a quotation mark in a sentence is text."""

import csv
import gzip

import pandas as pd
import pytest

from seq2seq.common.errors import UserError
from seq2seq.data.corpus import Pair
from seq2seq.data.formats import open_table
from seq2seq.data.rows import Repeated

TABLE = [
    ('Er sagt "ja".', 'He says "yes".'),
    ("Hallo, Welt; gut", "Hello, world; good"),
    ("هل هذا بيت؟", "Is this a house?"),
    ("यह घर है |", "This is a house."),
    ("这是房子。", "This is a house."),
    ("นี่คือบ้าน", "This is a house."),
]
PAIRS = [Pair(*row) for row in TABLE]


def read(path, text, source=0, target=1):
    path.write_bytes(text.encode())
    table = open_table(path, source, target)
    return table.announcement, list(table.rows)


def lines(table, separator="\t"):
    return "".join(separator.join(row) + "\n" for row in table)


def excel(table):
    """Tab-delimited text as Excel writes it: quotes around fields with quotes and commas."""
    quoted = [['"' + f.replace('"', '""') + '"' if {",", '"'} & {*f} else f for f in row] for row in table]
    return lines(quoted).replace("\n", "\r\n")


def written(**options):
    return pd.DataFrame(TABLE, columns=["de", "en"]).to_csv(index=False, **options)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (written(sep="\t"), "fields are quoted as in CSV"),
        (written(sep="\t", header=False), "fields are quoted as in CSV"),
        (written(sep="\t", quoting=csv.QUOTE_ALL), "fields are quoted as in CSV"),
        (excel(TABLE), "fields are quoted as in CSV"),
        (written(), "fields are separated by commas"),
        (written(sep=";"), "fields are separated by semicolons"),
        (lines(TABLE), "no header"),
    ],
)
@pytest.mark.parametrize("name", ["x.tsv", "x.txt"])
def test_written_by_programs(tmp_path, name, text, note):
    announcement, rows = read(tmp_path / name, text)
    assert announcement.startswith(note)
    assert rows == PAIRS


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (written(sep=";"), "fields are separated by semicolons"),
        (written(sep="\t"), "fields are separated by tabs"),
        (lines(TABLE), "fields are separated by tabs; quotation marks are text"),
        ("sep=;\r\n" + written(sep=";"), "line 1 names the separator ';'; line 2 is a header"),
        (written(quoting=csv.QUOTE_ALL), "line 1 is a header"),
    ],
)
def test_csv_by_name(tmp_path, text, note):
    announcement, rows = read(tmp_path / "x.csv", text)
    assert announcement.startswith(note)
    assert rows == PAIRS


def test_quotes_far_from_the_start(tmp_path):
    table = [(f"Haus {n}", f"house {n}") for n in range(20_000)]
    table += [('Er sagt "ja".', 'He says "yes".')]
    text = pd.DataFrame(table).to_csv(sep="\t", index=False, header=False)
    announcement, rows = read(tmp_path / "x.tsv", text)
    assert announcement.startswith("fields are quoted as in CSV")
    assert rows[-1] == Pair(*table[-1])


def test_quotes_of_programs_beside_those_of_sentences(tmp_path):
    text = '"Sag ""ja"""\t"Say ""yes"""\n"Ja", sagte er.\t"Yes," he said.\n'
    announcement, rows = read(tmp_path / "x.tsv", text)
    assert announcement.startswith("quotation marks are text, though some fields are quoted as in CSV")
    assert rows == [Pair(*line.split("\t")) for line in text.splitlines()]


def test_quoted_fields_with_commas_alone(tmp_path):
    table = [row for row in TABLE if '"' not in row[0]] * 3
    assert read(tmp_path / "x.txt", excel(table))[1] == [Pair(*row) for row in table]


def test_a_line_end_within_quotes(tmp_path):
    table = [("a\nb", "c"), ("d", "e\tf"), ("g", "h")]
    text = pd.DataFrame(table).to_csv(sep="\t", index=False, header=False)
    assert read(tmp_path / "x.tsv", text)[1] == [Pair(*row) for row in table]


@pytest.mark.parametrize(
    "table",
    [
        [('"Hallo", sagte er.', '"Hello," he said.')],
        [('"Hallo.', '"Hello.'), ('Ja."', 'Yes."')],
        [("„Ich komme.", '"I am coming.'), ("Morgen.“", 'Tomorrow."')],
        [('19"-Monitor', '19" monitor')],
        [('"', '"')],
        [('""Ja""', '""Yes""')],
        [("Hallo", '"Hello."'), ('"Ja."', "Yes")],
        [("Haus", "house"), ('"Ja, gut."', '"Yes, fine."'), ("Ja, gut", "Yes, fine")],
        [('"Hallo."', '"Hello."')],
    ],
)
def test_a_quotation_mark_of_a_sentence_is_text(tmp_path, table):
    table = [*table, *table, *table]
    assert read(tmp_path / "x.tsv", lines(table))[1] == [Pair(*row) for row in table]


def test_speech_alone_is_announced(tmp_path):
    announcement, _ = read(tmp_path / "x.tsv", '"Hallo."\t"Hello."\n' * 3)
    assert announcement.startswith("every field has quotation marks, read as text; if they are not")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "x.tsv",
            '"de"\t"en"\n' + '"1"\t"Haus"\t"house"\n' * 3,
            "as R writes row names; .*row.names = FALSE",
        ),
        ("x.tsv", "de\ten\n" + "1\tHaus\thouse\n" * 3, "as R writes row names"),
        ("x.tsv", '"de"\t"en"\n' + r'"Sag \"ja\""' + '\t"Say"\n', "have a backslash, as R writes them"),
        ("x.txt", "Haus ||| house\n" * 3, r"separated by \|\|\|; convert it: sed"),
        ("x.csv", "a;b|c\nd;e|f\ng;h|i\n", r"not clear whether fields are separated by ';' or '\|'"),
        (
            "x.txt",
            "Hallo, Welt\nJa, gut\nNein, nicht\n",
            "has no column 1.*\n.*name them NAME.de and NAME.en",
        ),
    ],
)
def test_an_ambiguous_file_is_refused_with_a_remedy(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path / name, text)


def test_commas_of_sentences_separate_no_fields(tmp_path):
    table = [(f"这是房子 {n}", f"This is a house, {n}.") for n in range(5)]
    pairs = [Pair(*row) for row in table]
    assert read(tmp_path / "x.csv", lines(table, "|"))[1] == pairs
    assert read(tmp_path / "x.csv", lines(table))[1] == pairs


def test_quoted_commas_separate_no_fields(tmp_path):
    table = [(f"यह, घर है | {n}", f"This, here, is a house. {n}") for n in range(5)]
    text = pd.DataFrame(table).to_csv(index=False, header=False)
    assert read(tmp_path / "x.csv", text) == (
        "no header: columns are numbered from 0 to 1", [Pair(*row) for row in table]
    )  # fmt: skip


@pytest.mark.parametrize(("source", "target"), [(0, 1), ("de", "en")])
def test_a_repeated_header_is_no_pair(tmp_path, source, target):
    text = "de\ten\nHaus\thouse\n\ufeffde\ten\nHund\tdog\n"
    announcement, rows = read(tmp_path / "x.tsv", text, source, target)
    assert announcement == "line 1 is a header: de, en"
    assert rows == [Pair("Haus", "house"), Repeated(3), Pair("Hund", "dog")]


@pytest.mark.parametrize("name", ["x.tsv", "x.csv", "x.tsv.gz"])
@pytest.mark.parametrize(
    "first", [("go", "va"), ("Run", "Fin"), ("run", "fin"), ("NO", "EN"), ("no", "so"), ("ja", "da")]
)
def test_words_that_are_codes_are_a_pair(tmp_path, name, first):
    table = [first, ("Haus", "house"), first, ("Hund", "dog"), first]
    text = lines(table, "," if name == "x.csv" else "\t")
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    assert list(open_table(tmp_path / name, 0, 1).rows) == [Pair(*row) for row in table]


def test_a_code_that_is_a_word_is_a_header_if_it_is_not_repeated(tmp_path):
    announcement, rows = read(tmp_path / "x.tsv", "id\tit\ten\n1\tcasa\thouse\n2\tcane\tdog\n", 1, 2)
    assert (announcement, len(rows)) == ("line 1 is a header: id, it, en", 2)
    announcement, rows = read(tmp_path / "x.tsv", "0\tit\ten\n1\tcasa\thouse\n2\tit\ten\n", 1, 2)
    assert announcement.startswith("no header")
    assert rows == [Pair("it", "en"), Pair("casa", "house"), Pair("it", "en")]


@pytest.mark.parametrize(
    ("header", "is_header"),
    [
        ("deu\teng", True), ("zh-Hans\ten", True), ("हिन्दी\tEnglish", True), ("eng_Latn\ttha_Thai", True),
        ("Deutsch\tEnglisch", True), ("Source (ar)\tTarget (en)", True), ("Guten Tag\tHello", False),
        ("DE\tEN", True), ("it\ten", True), ("source\txx", True), ("en-US\ten-GB", True),
        ("Lao\tEnglish", True),
        ("中文\t日文", True), ("한국어\tไทย", True), ("中文\ten", True), ("deu_Latn\tit", True),
        ("Text\ttext", False), ("Polnisch\tPolish", False), ("de\tdeu", False), ("aa\tbb", False),
        ("Est\tFra", False), ("no\tso", False), ("De\tEn", False),
    ],
)  # fmt: skip
def test_headers_name_languages(tmp_path, header, is_header):
    announcement, rows = read(tmp_path / "x.tsv", f"{header}\nHaus\thouse\n")
    assert announcement.startswith("line 1 is a header") == is_header
    assert len(rows) == 2 - is_header


def test_a_doubtful_header_is_announced(tmp_path):
    announcement, rows = read(tmp_path / "x.tsv", "German\tIdo-Neo\nHaus\tdomo\n")
    assert announcement.endswith(
        "line 1 is taken as a pair, German → Ido-Neo: if these are headings, set ingest.source_column and "
        "ingest.target_column to them"
    )
    assert len(rows) == 2
