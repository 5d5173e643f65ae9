"""The vocabulary: round trips, feasible sizes, bytes, known words."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.common.errors import UserError
from seq2seq.data.vocabulary import FILE, Vocabulary, known_words, learn

WORDS = "der die das Hund Katze schläft läuft im am Haus Garten und weil nicht rote große".split()
SETTINGS: Any = {"character_coverage": 1.0, "normalization": "nmt_nfkc"}


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    draw = random.Random(5)
    return [" ".join(draw.choices(WORDS, k=draw.randint(2, 9))) + "." for _ in range(400)]


@pytest.fixture(scope="module")
def vocabulary(sentences) -> Vocabulary:
    return Vocabulary(learn(sentences, algorithm="unigram", size=310, **SETTINGS)[0])


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_decoding_an_encoding_gives_the_normalised_text(vocabulary, text):
    assert vocabulary.decode(vocabulary.encode(text)) == vocabulary.normalise(text)


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
@pytest.mark.parametrize("size", [265, 100_000])
def test_an_infeasible_size_gives_the_nearest_feasible_one(sentences, algorithm, size):
    model, given_size = learn(sentences, algorithm=algorithm, size=size, **SETTINGS)
    assert given_size != size
    assert (given_size > size) == (size == 265)
    assert Vocabulary(model).size == given_size


def test_a_feasible_size_is_kept_and_learning_repeats(sentences):
    first, again = (learn(sentences, algorithm="unigram", size=295, **SETTINGS) for _ in range(2))
    assert first == again
    assert first[1] == 295


def test_no_sentences_at_all_is_a_clear_error():
    with pytest.raises(UserError, match="cannot be learnt from 2 sentences"):
        learn(["", " "], algorithm="unigram", size=400, **SETTINGS)


def test_characters_without_a_piece_are_counted_once_each(vocabulary):
    assert vocabulary.characters_in_bytes(vocabulary.encode("der Hund")) == 0
    assert vocabulary.characters_in_bytes(vocabulary.encode("der 東ж Hund")) == 2
    assert vocabulary.decode(vocabulary.encode("東ж")) == "東ж"


def test_special_pieces_in_text_are_ordinary_text(vocabulary):
    assert all(i > 3 for i in vocabulary.encode("</s> <s> <pad> <unk>"))


def test_a_folder_without_a_list_of_words_has_no_known_words(tmp_path: Path):
    assert known_words(tmp_path) is None


def test_a_missing_model_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=FILE):
        Vocabulary.load(tmp_path)
