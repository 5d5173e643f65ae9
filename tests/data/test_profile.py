"""The corpus in figures: counts by source and side, in bounded memory, the same in every run."""

import json
import random

import pytest

from seq2seq.common import paths
from seq2seq.data import profile, profile_counts
from seq2seq.data.corpus import Pair, write_split
from seq2seq.data.direction import Direction, Side
from tests.support.profiles import of_corpus

GERMAN, ENGLISH = Side("de", "Latin"), Side("en", "Latin")
DIRECTION = Direction(GERMAN, ENGLISH)
NONE_IN_BYTES = {side: {"characters_in_bytes": 0.25} for side in ("source", "target")}
COVERAGE = dict.fromkeys(paths.SPLITS, NONE_IN_BYTES)


def made(folder, train, validation=(), test=()):
    for split, pairs in (("train", train), ("validation", validation), ("test", test)):
        write_split(folder, split, pairs)
    return of_corpus(folder, DIRECTION, COVERAGE)


def test_the_figures_of_a_small_corpus(tmp_path):
    train = [
        Pair("Der Hund schläft.", "The dog sleeps."),
        Pair("Der Hund schläft.", "The dog is asleep."),
        Pair("我喜欢吃苹果。", "I like apples."),
        Pair("Die Katze läuft im Garten herum und sucht nach Mäusen.", "x" * 400),
    ]
    found = made(tmp_path, train, [Pair("Der Hund bellt", "The cat barks")])
    assert found["pairs"] == 4
    source, target = (found["sources"]["corpus"][side] for side in ("source", "target"))
    assert source["repeated"] == 0.25
    assert target["repeated"] == 0.0
    # 17, 17, 7 and 54 characters; 3, 3, 6 (letters, without spaces) and 10 words
    assert source["characters"]["counts"] == [1, 2, 0, 0, 1] + 8 * [0]
    assert source["words"]["counts"] == [0, 2, 1, 0, 1] + 7 * [0]
    assert target["characters"]["deciles"][-1] == 400
    assert target["characters"]["counts"][-3] == 1
    assert source["scripts"]["Han"] == 6
    assert source["alphabet"]["counts"]["我"] == 1
    assert source["frequent"]["counts"]["hund"] == 2
    assert found["unknown"]["validation"]["source"] == {"words": round(1 / 3, 6), "characters": 0.25}
    assert found["unknown"]["validation"]["target"]["words"] == round(2 / 3, 6)
    assert sum(found["sources"]["corpus"]["ratio"]) == 4
    assert found["sources"]["corpus"]["ratio"][-1] == 1  # 400 characters for 54
    assert json.loads(json.dumps(found)) == json.loads(
        json.dumps(made(tmp_path, train, [Pair("a", "b")]))
    ) | {"unknown": found["unknown"]}


def test_sources_are_counted_apart(tmp_path):
    train = [
        Pair("ein Hund", "a dog", None, "news"),
        Pair("eine Katze", "a cat"),
        Pair("zwei", "two", None, "news"),
    ]
    found = made(tmp_path, train)
    assert {name: one["pairs"] for name, one in found["sources"].items()} == {"corpus": 1, "news": 2}


def test_languages_of_a_sample_of_the_distinct_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(profile_counts, "SAMPLED", 40)
    german = "Das ist ein ganz gewöhnlicher deutscher Satz über das Wetter vom Tag"
    english = "This is a quite ordinary English sentence about the weather of day"
    texts = [f"{german if row % 4 else english} {row}." for row in range(400)]
    found = made(tmp_path, [Pair(text, f"{english} {row}.") for row, text in enumerate(texts)])
    languages = found["sources"]["corpus"]["source"]["languages"]
    assert sum(languages["counts"].values()) == 40
    assert languages["counts"]["de"] == pytest.approx(30, abs=8)
    assert profile.language_share(found, "target") == 1.0


def test_an_unknown_language_has_no_share(tmp_path):
    write_split(tmp_path, "train", [Pair("a b", "c d")])
    for split in ("validation", "test"):
        write_split(tmp_path, split, [])
    found = of_corpus(tmp_path, Direction(Side(None, "Latin"), Side("tlh", "Latin")), COVERAGE)
    assert [profile.language_share(found, side) for side in ("source", "target")] == [None, None]


@pytest.mark.slow
def test_memory_is_bounded_and_the_figures_stay_near(tmp_path, monkeypatch):
    monkeypatch.setattr(profile_counts, "MOST_WORDS", 200)
    monkeypatch.setattr(profile_counts, "MOST_HASHES", 256)
    draw = random.Random(1)
    rows = [f"often {'usual ' * (row % 2)}{draw.randrange(10**9)}" for row in range(2000)]
    rows += rows[:1000]  # a third is repeated
    found = made(tmp_path, [Pair(text, text) for text in rows])["sources"]["corpus"]["source"]
    assert found["repeated"] == pytest.approx(1 / 3, abs=0.1)
    assert found["frequent"]["total"] == sum(len(text.split()) for text in rows)
    assert list(found["frequent"]["counts"].items())[:2] == [("often", 3000), ("usual", 1500)]
