"""Parquet files of splits: row ranges, samples, and bytes that depend on the pairs alone."""

import sys
import unicodedata
from itertools import islice

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data import corpus
from seq2seq.data.corpus import (
    INVISIBLE,
    Pair,
    normalise_all,
    read_rows,
    read_split,
    sample,
    split_path,
    to_table,
    write_split,
)

PAIRS = [Pair(f"Satz {i}.", f"Sentence {i}.", None if i % 3 else "0-0") for i in range(25)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A split of three row groups."""
    made = tmp_path_factory.mktemp("corpus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "BATCH", 10)
        assert write_split(made, "train", PAIRS) == len(PAIRS)
    assert pq.read_metadata(split_path(made, "train")).num_row_groups == 3
    return made


@given(st.integers(0, 30), st.none() | st.integers(0, 30), st.sampled_from([1, 4, 100]))
def test_a_range_of_rows_is_that_slice(folder, start, stop, batch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "BATCH", batch)
        assert list(read_rows(split_path(folder, "train"), start, stop)) == PAIRS[start:stop]


@given(st.integers(1, 30), st.integers(0, 30))
def test_a_sample_is_every_nth_pair(folder, step, first):
    assert list(sample(split_path(folder, "train"), step, first)) == list(islice(PAIRS, first, None, step))


@given(st.lists(st.integers(0, 12), max_size=6))
def test_the_bytes_of_a_split_do_not_depend_on_the_tables_written(tmp_path_factory, folder, sizes):
    made, rest = tmp_path_factory.mktemp("again"), iter(PAIRS)
    tables = [to_table(islice(rest, size)) for size in sizes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "BATCH", 10)
        assert corpus.write_tables(made, "train", [*tables, to_table(rest)]) == len(PAIRS)
    assert split_path(made, "train").read_bytes() == split_path(folder, "train").read_bytes()
    assert list(read_split(made, "train")) == PAIRS


def test_each_invisible_character_is_removed_from_the_normalised_form():
    """They are looked up in a table, which must have those of the expression, and no other."""
    letters = [chr(code) for code in range(sys.maxunicode + 1)]
    expected = [INVISIBLE.match(letter) is not None for letter in letters]
    assert corpus._invisible().tolist() == expected
    assert normalise_all(["Stra\u00dfe\u200d", "e\u0301\u00ad a", "plain"]) == ["strasse", "é a", "plain"]


LETTERS = st.characters(codec="utf-8") | st.sampled_from("\n\r a\u0301\u0308ﬁ½\u3099\u0345ΐ")


@given(st.lists(st.text(LETTERS, max_size=8), min_size=1, max_size=5))
def test_texts_normalised_together_are_those_normalised_alone(texts):
    alone = [INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold() for text in texts]
    assert normalise_all(texts) == [" ".join(text.split()) for text in alone]
