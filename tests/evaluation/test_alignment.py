"""Links between words: parsed, from attention, and their error rate."""

import numpy as np
import pytest

from seq2seq.data.corpus import Pair
from seq2seq.evaluation import alignment
from seq2seq.inference.translation import Translation


def test_error_rate():
    gold = alignment.gold(Pair("a b c", "x y z", "0-0 1-1 2-2"))
    assert gold == {(0, 0), (1, 1), (2, 2)}
    assert alignment.error_rate([(gold, gold)]) == 0.0
    assert alignment.error_rate([({(0, 1)}, gold)]) == 1.0
    # 2 of 3 found links are right, 2 of 3 gold links are found
    assert alignment.error_rate([({(0, 0), (1, 1), (2, 1)}, gold)]) == pytest.approx(1 / 3, abs=1e-4)
    assert alignment.error_rate([]) is None
    assert alignment.gold(Pair("a", "x")) == set()


def test_attention_is_counted_over_words_of_the_text():
    pieces = ["▁a", "▁b", "c", "</s>"], ["▁x", "▁y", "</s>"]
    attention = np.array([[0.1, 0.4, 0.4, 0.1], [0.7, 0.1, 0.1, 0.1], [0, 0, 0, 1]], np.float32)
    translation = Translation("x y", 0.0, *pieces, attention)
    assert alignment.attended(Pair("a bc", "x y"), translation) == {(1, 0), (0, 1)}
    assert alignment.attended(Pair("abc", "x y"), translation) == set()  # other words than the text's
    assert alignment.attended(Pair("a bc", "x-y", "0-0"), translation) == set()  # gold links count others
    assert alignment.attended(Pair("a bc", "x y"), translation._replace(attention_TS=None)) == set()


@pytest.mark.parametrize(
    ("links", "jump"),
    [("0-0 1-1 2-2", 0), ("0-0 5-1 1-2", 4), ("0-0 1-1 7-1 2-2", 0), ("5-0 0-1", 0), ("0-0 6-2", 0), ("", 0)],
)
def test_largest_jump(links, jump):
    assert alignment.largest_jump(alignment.parse(links)) == jump
