"""The corpus in figures: counts by source and side, in bounded memory, the same in every run."""

import json
import random
from typing import NamedTuple

import pytest

from seq2seq.common import paths
from seq2seq.data import profile
from seq2seq.data.corpus import Pair, write_split
from seq2seq.data.direction import Direction, Side

GERMAN, ENGLISH = Side("de", "Latin"), Side("en", "Latin")
DIRECTION = Direction(GERMAN, ENGLISH)
NONE_IN_BYTES = {side: {"characters_in_bytes": 0.25} for side in ("source", "target")}
COVERAGE = dict.fromkeys(paths.SPLITS, NONE_IN_BYTES)


class From(NamedTuple):
    """A pair that names its source, as the reader gives it."""

    source: str
    target: str
    origin: str | None


def made(folder, train, validation=(), test=()):
    for split, pairs in (("train", train), ("validation", validation), ("test", test)):
        write_split(folder, split, pairs)
    return profile.of_corpus(folder, DIRECTION, COVERAGE)


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


def test_sources_are_counted_apart(tmp_path, monkeypatch):
    pairs = [
        From("ein Hund", "a dog", "news"),
        From("eine Katze", "a cat", None),
        From("zwei", "two", "news"),
    ]
    write_split(tmp_path, "validation", [])
    write_split(tmp_path, "test", [])
    monkeypatch.setattr(profile, "count_pairs", lambda *_: 3)
    monkeypatch.setattr(profile, "read_split", lambda _, split: iter(pairs if split == "train" else ()))
    found = profile.of_corpus(tmp_path, DIRECTION, COVERAGE)
    assert {name: one["pairs"] for name, one in found["sources"].items()} == {"corpus": 1, "news": 2}


def test_languages_of_an_even_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(profile, "SAMPLED", 8)
    german = "Das ist ein ganz gewöhnlicher deutscher Satz über das Wetter."
    english = "This is a quite ordinary English sentence about the weather."
    train = [Pair(german if row % 4 else english, english) for row in range(64)]
    found = made(tmp_path, train)
    languages = found["sources"]["corpus"]["source"]["languages"]
    assert sum(languages["counts"].values()) == 8
    assert profile.language_share(found, "target") == 1.0
    # Every 8th text is English here: a sample that is even falls upon them, one from the start does not.
    assert languages["counts"] == {"en": 8}
    mixed = made(tmp_path, [Pair(german, english)] * 30 + [Pair(english, english)] * 10)
    assert profile.language_share(mixed, "source") == pytest.approx(0.75, abs=0.13)


def test_an_unknown_language_has_no_share(tmp_path):
    write_split(tmp_path, "train", [Pair("a b", "c d")])
    for split in ("validation", "test"):
        write_split(tmp_path, split, [])
    found = profile.of_corpus(tmp_path, Direction(Side(None, "Latin"), Side("tlh", "Latin")), COVERAGE)
    assert [profile.language_share(found, side) for side in ("source", "target")] == [None, None]


def test_memory_is_bounded_and_the_figures_stay_near(tmp_path, monkeypatch):
    monkeypatch.setattr(profile, "MOST_WORDS", 200)
    monkeypatch.setattr(profile, "MOST_HASHES", 256)
    monkeypatch.setattr(profile, "BATCH", 50)
    draw = random.Random(1)
    rows = [f"often {'usual ' * (row % 2)}{draw.randrange(10**9)}" for row in range(2000)]
    rows += rows[:1000]  # a third is repeated
    found = made(tmp_path, [Pair(text, text) for text in rows])["sources"]["corpus"]["source"]
    assert found["repeated"] == pytest.approx(1 / 3, abs=0.1)
    assert found["frequent"]["total"] == sum(len(text.split()) for text in rows)
    assert list(found["frequent"]["counts"].items())[:2] == [("often", 3000), ("usual", 1500)]
