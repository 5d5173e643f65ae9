"""Directions: stored with a corpus, and comparable or not between versions."""

import pytest

from seq2seq.data import direction
from seq2seq.data.direction import Direction, Side

GERMAN, FRENCH, ENGLISH = Side("de", "Latin"), Side("fr", "Latin"), Side("en", "Latin")
UNKNOWN = Side(None, "Latin")


def tags(source, target=ENGLISH, kind="file", corpus="a.tsv", columns=("0", "1")):
    """The tags of a version."""
    found = direction.tags(Direction(source, target), kind, dict(zip(direction.SIDES, columns, strict=True)))
    return found | {"corpus.id": corpus}


def test_a_written_direction_is_read_and_unknown_without_a_file(tmp_path):
    assert direction.read(tmp_path) == Direction()
    for found in (Direction(GERMAN, UNKNOWN), Direction(Side("zh-Hant", "Han"), Side())):
        direction.write(tmp_path / "new", found)
        assert direction.read(tmp_path / "new") == found
    assert str(Direction(GERMAN, UNKNOWN)) == "de → unknown (Latin)"


@pytest.mark.parametrize(
    ("challenger", "champion"),
    [
        (tags(GERMAN), tags(GERMAN, corpus="grown/b.parquet", kind="folder")),  # the corpus may move
        (tags(Side("DE", "Latin")), tags(GERMAN)),
        (tags(Side("de-AT", "Latin")), tags(GERMAN)),  # a region makes no difference
        (tags(UNKNOWN), tags(UNKNOWN)),  # the same corpus and columns
        (tags(GERMAN), {"corpus.id": "a.tsv"}),  # registered without such tags
        ({}, {}),
    ],
)
def test_versions_of_one_direction_are_compared(challenger, champion):
    assert direction.difference(challenger, champion) == ""


@pytest.mark.parametrize(
    ("challenger", "champion", "part"),
    [
        (tags(GERMAN), tags(FRENCH), "translates fr → en, learnt from natural a.tsv"),
        (tags(GERMAN), tags(ENGLISH, GERMAN), "translates en → de"),
        (tags(GERMAN), tags(UNKNOWN), "translates unknown (Latin) → en"),
        (tags(UNKNOWN), tags(GERMAN), "the challenger translates unknown (Latin) → en"),
        (tags(UNKNOWN), tags(UNKNOWN, corpus="b.tsv"), "learnt from natural b.tsv"),
        (tags(UNKNOWN), tags(UNKNOWN, columns=("1", "0")), "translates"),
        (tags(GERMAN), tags(GERMAN, kind="grammar"), "learnt from synthetic a.tsv"),
        (tags(Side("zh-Hans", "Han")), tags(Side("zh-Hant", "Han")), "zh-Hant"),
        (tags(GERMAN), {"corpus.id": "b.tsv"}, "unknown → unknown, learnt from b.tsv"),
    ],
)
def test_versions_of_another_direction_or_kind_of_corpus_are_not(challenger, champion, part):
    assert part in direction.difference(challenger, champion)
