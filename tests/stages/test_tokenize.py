"""The tokenize stage: learnt on train alone, reported for every split, encoded for training."""

import json
import random
import re

import pytest

from seq2seq import tokenize
from seq2seq.common import acceptance, params, paths
from seq2seq.common.errors import QualityError, UserError
from seq2seq.common.schema import NamedVersion
from seq2seq.data import direction, encoding
from seq2seq.data.corpus import Pair, read_split, write_split
from seq2seq.data.direction import Direction, Side
from seq2seq.data.tokens import TokenSplit
from seq2seq.data.vocabulary import FILE, PARENT_WORDS_FILE, WORDS_FILE, Vocabulary, known_words
from seq2seq.nn import model_folder
from seq2seq.tracking import registry
from tests.support import untrained
from tests.support.projects import ROOT

CHECKED = params.load(ROOT / "params.yaml")
WORDS = "der die Hund Katze schläft läuft im Haus Garten und".split()


def settings(**changes):
    how = CHECKED.tokenize.model_copy(update={"vocabulary_size": 290, **changes})
    return CHECKED.model_copy(update={"tokenize": how})


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw = random.Random(1)
    train = [Pair(" ".join(draw.choices(WORDS, k=5)), " ".join(draw.choices(WORDS, k=4))) for _ in range(300)]
    for split, pairs in (("train", train), ("validation", train[:9]), ("test", [Pair("東京 Hund", "der")])):
        write_split(paths.CORPUS, split, pairs)
    return train


def test_ids_decode_to_the_corpus_and_the_report_covers_every_split(corpus, capsys):
    tokenize.tokenize(settings())
    vocabulary = Vocabulary.load(paths.VOCABULARY)
    split = TokenSplit(paths.TOKENS, "train")
    assert [vocabulary.decode(split.target(i).tolist()) for i in range(300)] == [p.target for p in corpus]
    assert len(TokenSplit(paths.TOKENS, "validation")) == 9
    assert not list(paths.TOKENS.glob("test*"))  # training does not use it
    report = json.loads(paths.COVERAGE.read_text())
    assert report["vocabulary_size"] == vocabulary.size == 290
    assert report["coverage"]["test"]["source"]["characters_in_bytes"] == round(2 / 6, 6)
    coverage = report["coverage"]["train"]["source"]
    pieces = sum(len(split.source(i)) for i in range(300))
    assert coverage["pieces_per_word"] == pytest.approx(pieces / (5 * 300), abs=1e-3)
    assert coverage["round_trip_failures"] == 0
    assert known_words(paths.VOCABULARY) >= {"hund", "schläft"}
    assert "東京" not in known_words(paths.VOCABULARY)
    assert "290 pieces (unigram) learnt" in capsys.readouterr().out


def test_the_vocabulary_of_a_version_is_taken_over(corpus, monkeypatch, capsys):
    untrained.make()
    (paths.MODEL / WORDS_FILE).write_text("alt\n")
    direction.write(paths.CORPUS, Direction(Side("de", "Latin"), Side("en", "Latin")))
    monkeypatch.setattr(registry, "download_model", {"models:/wise/3": paths.MODEL}.__getitem__)
    version = NamedVersion(model="wise", version=3, digest=model_folder.digest(paths.MODEL))
    taken = settings(vocabulary_from=version, min_language_share=None)
    tokenize.tokenize(taken)
    assert (paths.VOCABULARY / FILE).read_bytes() == (paths.MODEL / FILE).read_bytes()
    assert (paths.VOCABULARY / PARENT_WORDS_FILE).read_text() == "alt\n"
    assert json.loads(paths.COVERAGE.read_text())["vocabulary_size"] == 285
    out = capsys.readouterr().out
    assert "tokenize: 285 pieces taken over from wise version 3 in" in out
    assert "nearest feasible" not in out
    with pytest.raises(
        UserError, match=r"masked_share: 0\.1, but the vocabulary of wise version 3 has no sym"
    ):
        tokenize.tokenize(settings(vocabulary_from=version, masked_share=0.1))
    direction.write(paths.CORPUS, Direction(Side("en", "Latin"), Side("de", "Latin")))
    with pytest.raises(UserError, match=r"vocabulary_from: wise version 3 translates de → en, .*learns a vo"):
        tokenize.tokenize(taken)
    other = settings(vocabulary_from=version.model_copy(update={"digest": "0" * 64}))
    with pytest.raises(UserError, match=r"tokenize\.vocabulary_from\.digest: .* it is another model"):
        tokenize.tokenize(other)
    tokenize.tokenize(settings(min_language_share=None))
    assert not (paths.VOCABULARY / PARENT_WORDS_FILE).exists()


def test_a_side_without_spaces_counts_pieces_per_character(corpus, capsys):
    pairs = [Pair("der Hund schläft im Haus", "我喜欢吃苹果。"), Pair("die Katze", "猫在花园里")] * 20
    for split in paths.SPLITS:
        write_split(paths.CORPUS, split, pairs)
    tokenize.tokenize(settings(vocabulary_size=400))
    train = json.loads(paths.COVERAGE.read_text())["coverage"]["train"]
    assert (train["source"]["unit"], train["target"]["unit"]) == ("word", "character")
    assert 0.5 < train["target"]["pieces_per_word"] < 3
    assert re.search(r"source \d\.\d\d, target \d\.\d\d \(per character\);", capsys.readouterr().out)


def test_a_too_long_list_of_words_is_not_stored(corpus, monkeypatch):
    monkeypatch.setattr(tokenize, "MOST_WORDS", len(WORDS) - 1)
    tokenize.tokenize(settings())
    assert known_words(paths.VOCABULARY) is None


def test_a_size_that_the_corpus_does_not_support_is_reported(corpus, capsys):
    tokenize.tokenize(settings(vocabulary_size=50_000))
    assert "50,000 pieces are set, this corpus gives " in capsys.readouterr().out


def test_a_sample_is_even_seeded_and_of_the_given_size(corpus):
    sample = tokenize._sample(settings(training_sentences=50).tokenize)
    assert len(sample) == 50
    assert sample == tokenize._sample(settings(training_sentences=50).tokenize)
    assert sample != tokenize._sample(settings(training_sentences=50, seed=2).tokenize)
    both = [side for pair in read_split(paths.CORPUS, "train") for side in (pair.source, pair.target)]
    half = both[len(both) // 2 :]
    assert 10 < sum(text in half for text in sample if both.count(text) == 1) < 40


def test_an_empty_train_split_names_the_report(corpus):
    write_split(paths.CORPUS, "train", [])
    with pytest.raises(UserError, match=r"train split is empty; see reports/cleaning\.json"):
        tokenize.tokenize(settings())


def test_validation_in_another_script_stops_the_run(corpus, monkeypatch):
    write_split(paths.CORPUS, "validation", [Pair("東京タワー", "der Hund")])
    tokenize.tokenize(settings(min_coverage=None))
    with pytest.raises(QualityError, match=r"a piece \(source\) is 0\.0%, tokenize\.min_coverage allows at"):
        tokenize.tokenize(settings(min_coverage=0.95))
    monkeypatch.setenv(acceptance.VARIABLE, "for a test")
    tokenize.tokenize(settings(min_coverage=0.95))
    [record] = json.loads(paths.TOKENIZE_ACCEPTED.read_text())
    assert (record["key"], record["reason"]) == ("tokenize.min_coverage", "for a test")


def test_sides_that_are_swapped_stop_the_run(corpus):
    german = "Der kleine Junge schläft heute lange im Garten hinter dem Haus Nummer"
    english = "The small boy sleeps for a long time in the garden behind house number"
    pairs = [Pair(f"{english} {i}", f"{german} {i}") for i in range(50)]
    for split in paths.SPLITS:
        write_split(paths.CORPUS, split, pairs)
    tokenize.tokenize(settings())  # the languages are unknown: no check
    direction.write(paths.CORPUS, Direction(Side("de", "Latin"), Side("en", "Latin")))
    with pytest.raises(QualityError, match=r"language of the source is 0%, tokenize\.min_language_share all"):
        tokenize.tokenize(settings())
    direction.write(paths.CORPUS, Direction(Side("en", "Latin"), Side("de", "Latin")))
    tokenize.tokenize(settings())
    found = json.loads(paths.PROFILE.read_text())
    assert found["pairs"] == 50
    assert found["sources"]["corpus"]["target"]["languages"] == {"counts": {"de": 50}, "expected": 1.0}


def outputs():
    """The bytes of all that tokenize writes."""
    files = [*paths.VOCABULARY.iterdir(), *paths.TOKENS.iterdir(), paths.COVERAGE, paths.PROFILE]
    return {path.as_posix(): path.read_bytes() for path in files}


@pytest.mark.slow
def test_shards_and_processes_change_no_byte(corpus, monkeypatch):
    train = [pair._replace(origin="news" if at % 3 else "web") for at, pair in enumerate(corpus)]
    write_split(paths.CORPUS, "train", train)
    monkeypatch.setenv("SEQ2SEQ_WORKERS", "1")
    tokenize.tokenize(settings())
    whole = outputs()
    assert {"news", "web"} == json.loads(paths.PROFILE.read_text())["sources"].keys()
    for rows, workers in ((70, "1"), (100, "2")):
        monkeypatch.setattr(encoding, "ROWS", rows)
        monkeypatch.setenv("SEQ2SEQ_WORKERS", workers)
        tokenize.tokenize(settings())
        assert outputs() == whole
        assert not paths.SHARDS.exists()


def test_a_stopped_run_continues_with_the_shards_that_are_left(corpus, monkeypatch, capsys):
    tokenize.tokenize(settings())
    whole = outputs()
    monkeypatch.setattr(encoding, "ROWS", 50)
    monkeypatch.setenv("SEQ2SEQ_WORKERS", "1")
    encode = encoding.Encoder.__call__
    done: list[str] = []

    def counted(self, rows):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(rows.folder(self.work).name)
        return encode(self, rows)

    monkeypatch.setattr(encoding.Encoder, "__call__", counted)
    with pytest.raises(KeyboardInterrupt):
        tokenize.tokenize(settings())
    done.clear()
    tokenize.tokenize(settings())
    assert done == ["train-000004", "train-000005", "validation-000000", "test-000000"]
    assert "continues a stopped run: 200 of 310 pairs are encoded" in capsys.readouterr().out
    assert outputs() == whole


def test_spans_of_a_share_of_the_training_pairs_are_masked(corpus, capsys):
    train = [Pair(f"der {word} {{x}} schläft", f"the {word} {{x}} sleeps") for word in WORDS] * 30
    write_split(paths.CORPUS, "train", train)
    tokenize.tokenize(settings(vocabulary_size=320))
    plain = json.loads(paths.COVERAGE.read_text())
    assert Vocabulary.load(paths.VOCABULARY).symbols == []
    tokenize.tokenize(settings(vocabulary_size=320, masked_share=0.5))
    assert "spans of 50% of the training pairs are masked" in capsys.readouterr().out
    vocabulary = Vocabulary.load(paths.VOCABULARY)
    for name, least, most in (("train", 100, 200), ("validation", 0, 0)):
        split = TokenSplit(paths.TOKENS, name)
        used = []
        for row in range(len(split)):
            sides = [
                set(side(row).tolist()) & set(vocabulary.symbols) for side in (split.source, split.target)
            ]
            assert sides[0] == sides[1]
            used.append(bool(sides[0]))
        assert least <= sum(used) <= most
    # The counts are those of the corpus as it is.
    assert known_words(paths.VOCABULARY) >= {"hund", "schläft"}
    found = json.loads(paths.COVERAGE.read_text())["coverage"]["train"]["source"]
    for key in ("unit", "round_trip_failures", "rewritten"):
        assert found[key] == plain["coverage"]["train"]["source"][key]
