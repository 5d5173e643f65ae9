"""The corpus of new words: grammatical, and each pair has a word that no old one has."""

import pytest

from benchmarks import further
from seq2seq.data.corpus import Pair
from tests.support.projects import ROOT


@pytest.mark.slow
def test_new_pairs_have_new_words_and_their_translations(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    old = (ROOT / further.GRAMMAR).read_text("utf-8")
    nouns = [noun.split(": {")[0] for nouns in further.WORDS.values() for noun in nouns]
    assert not [noun for noun in nouns if f"\n        {noun}: {{" in old]
    known = [Pair(text, "") for text in old.replace(":", " ").splitlines()]
    pairs = further.new_pairs(known, 10, tmp_path / "grammar.yaml")
    assert len({pair.source for pair in pairs}) == 10
    donkeys = [pair for pair in pairs if "Esel" in pair.source]
    assert all("donkey" in pair.target for pair in donkeys)
    seen = {word for pair in known for word in further._words(pair.source)}
    assert all(set(further._words(pair.source)) - seen for pair in pairs)
