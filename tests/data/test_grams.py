"""Numbers of n-grams are those of a dictionary, whatever the letters, and counts those of a loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data.corpus import code_points
from seq2seq.data.gram_tables import GramTable, RunBound
from seq2seq.data.grams import Grams
from seq2seq.data.shares import RUN

TEXTS = st.lists(st.text("ab", max_size=30) | st.text("aé學𝒳", max_size=12) | st.text(max_size=9), max_size=6)


def grams(text, n):
    return [text[at : at + n] for at in range(len(text) - n + 1)]


@given(TEXTS, TEXTS, st.integers(4, 6))
def test_numbers_are_those_of_a_dictionary(sentences, texts, n):
    found = Grams(sentences, n)
    own = dict(
        zip((gram for one in sentences for gram in grams(one, n)), found.own[found.own > 0], strict=True)
    )
    assert len(set(own.values())) == len(own) == len(found) - 1
    numbers = found.of(code_points("".join(texts)), np.array(list(map(len, texts)), np.int64))
    expected = [
        own.get(gram, 0) for one in texts for gram in (*grams(one, n), *([""] * min(n - 1, len(one))))
    ]
    assert numbers.tolist() == expected


@given(TEXTS, TEXTS, st.integers(4, 6), st.booleans())
def test_a_table_counts_the_grams_in_common(sentences, texts, n, repeated):
    kind = list if repeated else set
    assert GramTable(sentences, n, repeated).of(texts).tolist() == [
        [sum(gram in set(grams(text, n)) for gram in kind(grams(one, n))) for one in sentences]
        for text in texts
    ]


@given(TEXTS, TEXTS)
def test_no_more_letters_are_in_common_runs_than_the_bound(sentences, texts):
    bound = RunBound(sentences).of(texts)
    for row, text in enumerate(texts):
        for number, sentence in enumerate(sentences):
            starts = [at for at, gram in enumerate(grams(sentence, RUN)) if gram in text]
            assert len({at + place for at in starts for place in range(RUN)}) <= bound[row, number]
