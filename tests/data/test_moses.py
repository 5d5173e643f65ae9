"""Two files of one language each give their pairs line by line, or stop if the lines cannot fit."""

import gzip
import random
import re
import subprocess

import pytest

from seq2seq.common.errors import UserError
from seq2seq.data import moses
from seq2seq.data.corpus import Pair
from seq2seq.data.formats import open_table
from seq2seq.data.moses import Half, check_path, half, parts
from seq2seq.data.rows import Malformed
from seq2seq.data.splits import find_splits

DE, EN = ["Guten Tag", "Größe", "Ende"], ["Good day", "size", "end"]
PAIRS = [Pair(source, target) for source, target in zip(DE, EN, strict=True)]


def write(path, lines, end="\n", last=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = end.join(lines).encode() + end.encode() * last
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "c.de", DE)
    write(tmp_path / "c.en", EN)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train.de", Half("train", "de")),
        ("train.de.gz", Half("train", "de")),
        ("Europarl.de-en.zh_TW", Half("Europarl.de-en", "zh_TW")),
        ("train.tsv", None),
        ("de", None),
        (".de", None),
        ("README", None),
    ],
)
def test_names(tmp_path, name, expected):
    assert half(tmp_path / name) == expected


@pytest.mark.parametrize("name", ["c.de", "c.en"])
def test_either_file_opens_both(folder, name):
    table = open_table(folder / name, 0, 1)
    assert table.columns == table.languages == ("de", "en")
    assert table.announcement == "lines of c.de and c.en"
    assert list(table.rows) == PAIRS
    turned = open_table(folder / name, 1, 0)
    assert list(turned.rows) == [Pair(b, a) for a, b, *_ in PAIRS]
    assert open_table(folder / name, 0, 1, ("en", "de")).columns == ("en", "de")
    assert open_table(folder / name, "en", "de").columns == ("en", "de")
    assert parts(folder / name) == [folder / "c.de", folder / "c.en"]


def test_line_ends_shift_no_line(tmp_path):
    write(tmp_path / "c.de", ["a\u2028b", "c\u0085d\x0c", "", "", "e\rf"], end="\r\n", last=False)
    write(tmp_path / "c.en", ["A", "C", "", "D", "E"])
    rows = list(open_table(tmp_path / "c.de", 0, 1).rows)
    assert rows == [Pair("a\u2028b", "A"), Pair("c\u0085d\x0c", "C"), Pair("", "D"), Pair("e\rf", "E")]


def test_packed(tmp_path):
    write(tmp_path / "c.de.gz", DE)
    write(tmp_path / "c.en", EN)
    assert list(open_table(tmp_path / "c.en", 0, 1).rows) == PAIRS
    (tmp_path / "c.en").rename(tmp_path / "c.en.gz")
    table = open_table(tmp_path / "c.de.gz", 0, 1)
    assert table.announcement.startswith("c.en.gz: not packed, though named .gz; lines of")


def test_a_faulty_line_is_malformed(folder):
    (folder / "c.en").write_bytes(b"Good day\ns\xefze\nend\n")
    bad = list(open_table(folder / "c.de", 0, 1).rows)[1]
    assert bad == Malformed(2, r"c.en is not valid UTF-8: b's\xefze\n'")


@pytest.mark.parametrize("side", ["de", "en"])
@pytest.mark.parametrize("lost", [1, 3])
def test_unequal_numbers_of_lines(tmp_path, side, lost):
    chance = random.Random(1)
    lengths = [chance.randrange(5, 150) for _ in range(500)]
    lines = {"de": ["x" * int(1.2 * n) for n in lengths], "en": ["y" * n for n in lengths]}
    other = {"de": "en", "en": "de"}[side]
    del lines[side][300 : 300 + lost]
    for language, texts in lines.items():
        write(tmp_path / f"c.{language}", texts)
    table = open_table(tmp_path / "c.de", 0, 1)
    assert table.languages == ("de", "en")
    with pytest.raises(UserError) as caught:
        next(table.rows)
    counts = {other: 500, side: 500 - lost}
    assert f"c.de has {counts['de']} lines and {tmp_path}/c.en has {counts['en']} lines" in str(caught.value)
    found = re.search(rf"c.{other} has lines more near line (\d+)$", str(caught.value))
    assert found
    assert abs(int(found[1]) - 301) <= 2


def test_far_more_lines_have_no_hint(folder, monkeypatch):
    monkeypatch.setattr(moses, "FARTHEST", 1)
    write(folder / "c.en", EN * 2)
    with pytest.raises(UserError, match=r"3 lines and \S+ has 6 lines; each line must be the translation of"):
        next(open_table(folder / "c.de", 0, 1).rows)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("c.fr", r"its languages are: de \(3\), en \(3\), fr \(3\)\n  set ingest.source_language and"),
        ("c.deu", r"c.de and \S+c.deu are of one language: remove one"),
        ("c.de.gz", r"c.de and \S+c.de.gz are of one language: remove one"),
    ],
)
def test_more_than_two_files(folder, more, message):
    write(folder / more, DE)
    with pytest.raises(UserError, match=message):
        open_table(folder / "c.en", 0, 1)
    if more == "c.fr":
        assert open_table(folder / "c.en", 0, 1, ("fr", "en")).columns == ("fr", "en")


def test_a_language_alone(folder):
    (folder / "c.en").unlink()
    with pytest.raises(UserError, match=r"c.de holds one language; put the file of the other one beside it"):
        open_table(folder / "c.de", 0, 1)


@pytest.mark.parametrize("whole", [True, False])
def test_a_language_without_a_known_code(folder, whole):
    """The remedy is a command, and its result is read."""
    (folder / "c.de").rename(folder / "c.qqx")
    with pytest.raises(UserError, match=r"c.qqx beside it may be .*, but qqx is no code") as caught:
        find_splits(folder) if whole else open_table(folder / "c.en", 0, 1)
    command = str(caught.value).split("\n")[1].strip()
    assert command == f"paste {folder}/c.en {folder}/c.qqx > {folder}/c.tsv"
    subprocess.run(command, shell=True, check=True)
    assert list(open_table(folder / "c.tsv", 0, 1).rows) == [Pair(b, a) for a, b, *_ in PAIRS]


def test_a_folder_of_one_language(folder):
    (folder / "c.en").unlink()
    with pytest.raises(UserError, match=r"c.de holds one language; put the file of the other one beside it"):
        find_splits(folder)


def test_empty_files(tmp_path):
    write(tmp_path / "c.de", [], last=False)
    write(tmp_path / "c.en", [], last=False)
    with pytest.raises(UserError, match=r"c.de: holds no line"):
        open_table(tmp_path / "c.de", 0, 1)


@pytest.mark.parametrize("name", ["c.de", "c.en", "c"])
def test_a_path_that_dvc_would_follow_in_part(folder, name):
    message = rf"c is a corpus|{name} is a corpus of 2 files, c.de, c.en; DVC follows one path: put them into"
    command = (
        f"mkdir -p {folder}/c && mv {folder}/c.de {folder}/c.en {folder}/c\n  and set ingest.path={folder}/c"
    )
    with pytest.raises(UserError, match=message) as caught:
        check_path(folder / name)
    assert str(caught.value).endswith(command)


def test_paths_that_dvc_follows(folder):
    write(folder / "d.de", DE)
    for path in (folder, folder / "d.de", folder / "x.tsv", folder / "no/where"):
        check_path(path)
