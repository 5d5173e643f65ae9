"""The splits are correct, reproducible, and stable when a corpus grows."""

import gzip
import hashlib
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.common.progress import Progress
from seq2seq.data.corpus import Pair, digest, normalise
from seq2seq.data.formats import open_table
from seq2seq.data.held_out import BUCKETS, HeldOut, training_pairs
from seq2seq.data.reader import sampled
from tests.support.projects import ROOT
from tests.support.sources import ingested, with_source

os.environ.setdefault("USE_TORCH", "0")

LOCAL = ROOT / "recipes/local.yaml"


@pytest.fixture(autouse=True)
def _workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CORPUS_MIRROR", raising=False)


def run(recipe=LOCAL, **keys):
    return ingested(with_source(recipe, **keys))


def sentences(count, seed=1):
    generator = random.Random(seed)
    words = ["der", "die", "das", "Haus", "Katze", "sieht", "kennt", "mag", "nicht", "heute"]
    return [" ".join(generator.choices(words, k=6)) + f" {number}" for number in range(count)]


def write(path, pairs):
    Path(path).write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")


def test_one_file_without_splits(capsys):
    write("deu eng.tsv", [(text, text.upper()) for text in sentences(3000)])
    splits, facts = run(path="deu eng.tsv", test_size=50, validation_size=60)
    assert len(splits["test"]) == 50
    assert len(splits["validation"]) == 60
    for split in ("test", "validation"):
        numbers = [digest(pair.source) for pair in splits[split]]
        assert numbers == sorted(numbers)
        assert all(number in BUCKETS[split] for number in numbers)
    assert not {pair.source for pair in splits["train"]} & {pair.source for pair in splits["test"]}
    assert 2600 < len(splits["train"]) < 2900  # without both buckets
    assert facts == {
        "kind": "file",
        "path": "deu eng.tsv",
        "columns": {"source": "0", "target": "1"},
        "made_splits": ["test", "validation"],
        "malformed_rows": 0,
        "licence": "unknown",
        "attribution": None,
        "sources": facts["sources"],
        "evaluation_sets": {},
        "languages": {side: {"language": None, "script": "Latin"} for side in ("source", "target")},
        "rows": {split: len(pairs) for split, pairs in splits.items()},
    }
    assert facts["sources"]["corpus"]["files"] == [
        {
            "name": "deu eng.tsv",
            "sha256": hashlib.sha256(Path("deu eng.tsv").read_bytes()).hexdigest(),
            "bytes": Path("deu eng.tsv").stat().st_size,
        }
    ]
    output = capsys.readouterr().out
    assert "no header: columns are numbered from 0 to 1; source is 0, target is 1" in output
    first = splits["train"][0]
    assert f"  {first.source} → {first.target}\n" in output
    assert "made test of the 50 lowest hashes" in output


@pytest.mark.parametrize("rows", [5, 10, 100, 101, 5000])
def test_a_pair_from_the_middle_is_shown(rows, capsys):
    with Progress("ingest", "rows") as progress:
        pairs = [Pair(str(number), "x") for number in range(1, rows + 1)]
        assert list(sampled(iter(pairs), progress)) == pairs
    shown = [int(line.split(" → ")[0].split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert shown[:2] == [1, 2]
    assert len(shown) == 3
    assert rows / 3 <= shown[2] <= rows * 2 / 3


def test_samples_print_no_control_characters(capsys):
    with Progress("ingest", "rows") as progress:
        list(sampled(iter([Pair("a\x1b[31m\rb", "x" * 1000)]), progress))
    assert capsys.readouterr().out == f"  a\\x1b[31m\\x0db → {'x' * 200}…\n"


def test_byte_order_marks_of_joined_files_move_no_sentence():
    pairs = [(text, "x") for text in sentences(500)]
    write("plain.tsv", pairs)
    write("marked.tsv", [("\ufeff" * (number % 50 == 0) + a, b) for number, (a, b) in enumerate(pairs)])
    plain, _ = run(path="plain.tsv")
    assert run(path="marked.tsv")[0] == plain


@pytest.mark.parametrize(
    "mark",
    ["\u061c", "\u180e", "\u200b", "\u200c", "\u200d", "\u00ad", "\u200e", "\u2060", "\ufe0f", "\ufeff"],
)
def test_invisible_characters_do_not_count_when_comparing(mark):
    assert digest(f"می{mark}خواهم") == digest("میخواهم")
    assert digest(f"{mark}Haus{mark}") == digest("Haus")
    assert run_pairs([(f"می{mark}خواهم", "x")]) == [Pair(f"می{mark}خواهم", "x")]


def run_pairs(pairs):
    write("x.tsv", pairs)
    return list(open_table(Path("x.tsv"), 0, 1).rows)


def test_the_same_bytes_again():
    write("x.tsv", [(text, text) for text in sentences(500)])
    run(path="x.tsv")
    before = {path: path.read_bytes() for path in Path("data").rglob("*.*")}
    run(path="x.tsv")
    assert before == {path: path.read_bytes() for path in Path("data").rglob("*.*")}
    assert len(before) == 9


def test_folder_of_splits(capsys):
    Path("c").mkdir()
    for name, text in {"train": "de,en\nja,yes\n", "dev": "de,en\nnein,no\n"}.items():
        Path(f"c/{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    Path("c/test.csv.gz").write_bytes(gzip.compress(b"en,de\nperhaps,vielleicht\n"))
    splits, facts = run(path="c", source_column="de", target_column="en")
    assert splits == {
        "train": [Pair("ja", "yes")],
        "validation": [Pair("nein", "no")],
        "test": [Pair("vielleicht", "perhaps")],
    }
    assert facts["made_splits"] == []
    assert [file["name"] for file in facts["sources"]["corpus"]["files"]] == [
        "train.csv.gz",
        "dev.csv.gz",
        "test.csv.gz",
    ]
    assert "line 1 is a header: en, de; source is de, target is en" in capsys.readouterr().out


def test_only_the_missing_split_is_made():
    Path("c").mkdir()
    pairs = [(text, "x") for text in sentences(1000)]
    write("c/train.tsv", pairs)
    write("c/test.tsv", pairs[:3])
    splits, facts = run(path="c", validation_size=5)
    assert facts["made_splits"] == ["validation"]
    assert [pair.source for pair in splits["test"]] == [source for source, _ in pairs[:3]]
    assert any(digest(pair.source) in BUCKETS["test"] for pair in splits["train"])


def test_train_size_takes_the_first():
    write("x.tsv", [(text, "x") for text in sentences(1000)])
    everything, _ = run(path="x.tsv")
    some, _ = run(path="x.tsv", train_size=100)
    assert some["train"] == everything["train"][:100]
    assert some["test"] == everything["test"]


@pytest.mark.slow
def test_grammar(capsys):
    keys = {"train_size": 200, "validation_size": 20, "test_size": 20}
    path = ROOT / "corpora/grammar-de-en.yaml"
    splits, facts = run(ROOT / "recipes/grammar.yaml", path=str(path), **keys)
    assert {split: len(pairs) for split, pairs in splits.items()} == {
        "train": 200, "validation": 20, "test": 20
    }  # fmt: skip
    assert all(pair.alignment for pairs in splits.values() for pair in pairs)
    assert facts["kind"] == "grammar"
    assert facts["licence"] == "Apache-2.0"
    assert " → " in capsys.readouterr().out
    with pytest.raises(UserError, match=r"ingest\.train_size: null is not allowed for a grammar"):
        run(ROOT / "recipes/grammar.yaml", path=str(path), train_size=None)


def split_of(pairs, size=1000):
    """The split of each pair of texts."""
    made = {split: HeldOut(split, size) for split in ("test", "validation")}
    train = list(training_pairs(iter(pairs), made, None))
    return {"train": train} | {split: held.pairs() for split, held in made.items()}


# Few different sentences, written in several ways, so that many repeat
SENTENCE = st.tuples(st.integers(0, 60), st.sampled_from(["Satz {}", "SATZ  {}", " satz {} "])).map(
    lambda pair: pair[1].format(pair[0])
)
CORPUS = st.lists(st.tuples(SENTENCE, st.sampled_from("abc")).map(lambda pair: Pair(*pair)))


@pytest.mark.slow
@settings(deadline=None)
@given(CORPUS, CORPUS, st.sampled_from([1, 2, 1000]))
def test_growing_data_moves_no_sentence(corpus, more, size):
    before, after = split_of(corpus, size), split_of(corpus + more, size)
    home = {normalise(pair.source): split for split, pairs in after.items() for pair in pairs}
    for split, pairs in before.items():
        # a sentence may leave a full evaluation split, but never enters another split
        assert all(home.get(normalise(pair.source), split) == split for pair in pairs)
    assert before["train"] == after["train"][: len(before["train"])]


@settings(deadline=None)
@given(CORPUS, st.integers(1, 4))
def test_no_sentence_in_two_splits(corpus, size):
    splits = split_of(corpus, size)
    train, validation, test = ({normalise(pair.source) for pair in splits[s]} for s in paths.SPLITS)
    assert train.isdisjoint(validation | test)
    assert validation.isdisjoint(test)
    for split in ("test", "validation"):
        owned = {digest(pair.source) for pair in corpus if digest(pair.source) in BUCKETS[split]}
        assert [digest(pair.source) for pair in splits[split]] == sorted(owned)[:size]


def test_first_target_of_a_repeated_source_is_evaluated():
    source = next(text for text in sentences(1000) if digest(text) in BUCKETS["test"])
    pairs = [Pair(source, "first"), Pair(f"  {source.upper()}", "second"), Pair(source, "third")]
    assert split_of(pairs) == {"train": [], "validation": [], "test": pairs[:1]}


def test_empty_sides_are_left_to_clean():
    source = next(text for text in sentences(1000) if digest(text) in BUCKETS["test"])
    assert split_of([Pair(source, " "), Pair("", "x")])["test"] == []


def test_malformed_rows(capsys):
    lines = [f"{text}\tx\n".encode() for text in sentences(500)]
    lines[6] = b"one field\n"
    lines[9] = b"\xff\tx\n"
    Path("x.tsv").write_bytes(b"".join(lines))
    with pytest.raises(UserError) as caught:
        run(path="x.tsv", max_malformed_rows=1)
    assert str(caught.value) == (
        "2 malformed rows:\n"
        "  x.tsv, line 7: 1 field where line 1 has 2: one field\n"
        "  x.tsv, line 10: not valid UTF-8: b'\\xff\\tx\\n'\n"
        "  repair them, or leave them out with ingest.max_malformed_rows (now 1)"
    )
    capsys.readouterr()
    _, facts = run(path="x.tsv", max_malformed_rows=2)
    assert facts["malformed_rows"] == 2
    assert "2 malformed rows left out, 2 are allowed" in capsys.readouterr().out


@pytest.mark.parametrize("column", [{}, {"source_column": "de", "target_column": "en"}])
def test_headers_of_joined_files_are_left_out_and_announced_once(capsys, column):
    shard = "de\ten\n" + "".join(f"{text}\tx {text}\n" for text in sentences(100))
    Path("x.tsv").write_text(shard * 150, encoding="utf-8")
    _, facts = run(path="x.tsv", max_malformed_rows=0, **column)
    assert facts["malformed_rows"] == 0
    assert capsys.readouterr().out.count("the header is repeated") == 1
    Path("x.tsv").write_text(shard * 3, encoding="utf-8")
    run(path="x.tsv", max_malformed_rows=0, **column)
    output = capsys.readouterr().out
    assert "header is repeated 2 times and left out, first in x.tsv, line 102\n" in output


def test_far_too_many_malformed_rows_stop_at_once():
    Path("x.tsv").write_text("a\tb\n" + "c\n" * 5000, encoding="utf-8")
    with pytest.raises(UserError, match=r"^101 malformed rows so far:\n"):
        run(path="x.tsv")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.tsv", None, "ingest.path: x.tsv does not exist; name a corpus"),
        ("x.yaml", "a: 1\n", "x.yaml is no grammar (no `rules`) and no pin"),
        ("x.yaml", "a: [\n", "x.yaml is not valid YAML: "),
        ("x.yaml", "start: S\nrules: {}\n", "x.yaml: no key"),
        ("x.yaml", "hub: name\nrevision: main\n", "x.yaml is no pin of a remote corpus:\n  hub: 'name'"),
        ("x.tsv", "a\tb\n", "x.tsv is too small to make a validation split"),
        ("x.tsv", "de\ten\n", "the train split of x.tsv has no pairs"),
        ("x.foo", "a\tb\n", "x.foo: unknown kind of file"),
        ("x.tmx", "<tmx>", "x.tmx, line 1: no element found: the file ends too early; is it incomplete?"),
    ],
)
def test_unusable_input_is_named_with_a_remedy(name, text, message):
    if text is not None:
        Path(name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        run(path=name, train_size=10)
    assert message in str(caught.value)


def test_further_evaluation_sets_are_sources_with_that_role(capsys):
    write("corpus.tsv", [(text, text.upper()) for text in sentences(500)])
    Path("speech").mkdir()
    write("news.tsv", [("Guten Tag", "Good day"), ("Guten Tag", "Good day")])
    write("speech/test.tsv", [("Hallo", "Hello")])
    before, _ = run(path="corpus.tsv", test_size=5, validation_size=5)
    more = {
        "news": {"path": "news.tsv", "licence": "CC0-1.0", "role": "evaluation"},
        "speech": {"path": "speech", "licence": "unknown", "role": "evaluation"},
    }
    splits, facts = run(path="corpus.tsv", test_size=5, validation_size=5, more=more)
    assert [pair[:2] for pair in splits.pop("news")] == [("Guten Tag", "Good day")] * 2
    assert [pair[:2] for pair in splits.pop("speech")] == [("Hallo", "Hello")]
    assert splits == before  # they change no split
    news = facts["evaluation_sets"]["news"]
    assert (news["kind"], news["path"], news["rows"], news["licence"]) == ("file", "news.tsv", 2, "CC0-1.0")
    assert news["files"][0]["sha256"] == hashlib.sha256(Path("news.tsv").read_bytes()).hexdigest()
    assert facts["evaluation_sets"]["speech"]["kind"] == "folder"
    assert "2 news, 1 speech pairs of corpus" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.tsv", "nowhere.tsv does not exist"),
        ("void.tsv", "void.tsv: holds no line"),
        (str(ROOT / "corpora/grammar-de-en.yaml"), "a grammar cannot be an evaluation set"),
    ],
)
def test_an_evaluation_set_that_cannot_be_read_is_named(path, message):
    write("corpus.tsv", [(text, text.upper()) for text in sentences(500)])
    write("void.tsv", [])
    more = {"news": {"path": path, "licence": "unknown", "role": "evaluation"}}
    with pytest.raises(UserError, match=message):
        run(path="corpus.tsv", more=more)


@pytest.mark.parametrize(
    ("given", "tag"), [("deu", "de"), ("DE", "de"), ("zho", "zh"), ("gsw", "gsw"), (None, None)]
)
def test_languages_are_stored_as_bcp_47_tags(given, tag):
    write("x.tsv", [(text, text) for text in sentences(500)])
    _, facts = run(path="x.tsv", source_language=given)
    assert facts["languages"]["source"]["language"] == tag
