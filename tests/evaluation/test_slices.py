"""The sentences of slices, in several scripts, and the scores of slices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.common import params
from seq2seq.data.corpus import Pair
from seq2seq.evaluation import scores, slices
from tests.support.projects import ROOT

HOW = params.load(ROOT / "params.yaml").evaluate


def counted(pairs, train=()):
    counts = slices.WordCounts(pairs)
    train = [Pair(text, "") for text in train]
    assert list(counts.over(train)) == train
    return counts.counts


def inside(source, target="x", train=(), **changes):
    """The slices of one sentence, except for its length."""
    pairs = [Pair(source, target)]
    found = slices.find(pairs, counted(pairs, train), HOW.model_copy(update=changes))
    return {name for name in found if not name.startswith(slices.LENGTH)}


def test_rare_and_unknown_words():
    train = ["Der Hund bellt"] * 6 + ["die Katze"] * 5
    assert inside("der HUND bellt.", train=train) == set()
    assert inside("Die Katze?!", train=train, rare_words=5) == {"rare words", "questions"}
    assert inside("Die Katze", train=train, rare_words=4) == set()
    assert inside("Der Dachs", train=train, rare_words=5) == {"rare words", "unknown words"}
    assert inside("Der Hund 1987", train=train) == {"numbers"}  # a number is no word
    assert inside("Katze Katze", train=train, rare_words=0) == set()


@pytest.mark.parametrize(
    ("source", "numbers"),
    [("Um 3 Uhr", True), ("B2B", True), ("३ बजे", True), ("٣ ساعات", True), ("drei", False), ("x²", False)],
)
def test_numbers(source, numbers):
    assert ("numbers" in inside(source)) == numbers


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("Der Hund von Anna bellt", "The dog of Anna barks", True),
        ("Der Hund bellt im Garten", "The dog barks in the garden", False),  # German nouns
        ("Heute sehe ich den Hund", "Today I see the dog", False),  # "I" is not a name
        ("The dog barks", "Der Hund bellt", False),
        ("Сегодня Том дома", "Today Tom is at home", True),
        ("Anna schläft", "Anna sleeps", False),  # the first word does not count
        ("- Anna ruft.", "- Anna calls.", False),
        ("Er ruft. Sie geht: Nein!", "He calls. She goes: No!", False),
        ("Sie kennt „Anna“", "She knows 'Anna'", True),
        ("汤姆在波士顿", "In Boston Tom lives", True),  # a script without capitals does not count
        ("汤姆在", "你好", False),
    ],
)
def test_capitalised(source, target, expected):
    assert ("capitalised" in inside(source, target)) == expected


@pytest.mark.parametrize(
    ("source", "negations", "expected"),
    [
        ("Das ist NICHT gut.", ["nicht", "kein"], True),
        ("Das ist vernichtend", ["nicht"], False),
        ("Das ist gut", [], False),
        ("I don't know", ["don't"], True),
        ("Ce n'est rien", ["n'"], True),
        ("It is no longer so", ["no longer"], True),
        ("No, it is longer", ["no longer"], False),
        ("我不是学生", ["不是"], True),
        ("我是学生", ["不是"], False),
    ],
)
def test_negation(source, negations, expected):
    assert ("negation" in inside(source, negations=negations)) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Wer da?", True),
        ("„Wer da?“ ", True),
        ("(Wer da?!)", True),
        ("谁？", True),
        ("من هناك؟", True),
        ("Ποιος είναι;", True),
        ("Ποιος είναι\u037e", True),
        ("Wer da; niemand;", False),
        ("Wer? Er.", False),
        ("Er ist da.", False),
    ],
)
def test_questions(source, expected):
    assert ("questions" in inside(source)) == expected


TEXTS = st.text(st.sampled_from("aB ß3.?;-'我ü"), max_size=12)
PAIRS = st.lists(st.builds(Pair, TEXTS, TEXTS), min_size=1, max_size=12)


@pytest.mark.slow
@given(PAIRS, PAIRS, st.integers(1, 4))
def test_slices_hold_sentences_and_each_sentence_has_one_length(pairs, train, bins):
    counts = counted(pairs, [pair.source for pair in train])
    found = slices.find(pairs, counts, HOW.model_copy(update={"length_bins": bins}))
    rows = [row for name, rows in found.items() if name.startswith(slices.LENGTH) for row in rows]
    assert sorted(rows) == list(range(len(pairs)))
    for rows in found.values():
        assert rows
        assert sorted(set(rows)) == rows
        assert set(rows) <= set(range(len(pairs)))
    assert set(found.get("unknown words", [])) <= set(found.get("rare words", []))


@pytest.mark.slow
@given(PAIRS, st.randoms())
def test_the_slices_of_a_sentence_do_not_depend_on_its_position(pairs, draw):
    order = draw.sample(range(len(pairs)), len(pairs))
    shuffled = [pairs[row] for row in order]
    before = slices.find(pairs, counted(pairs), HOW)
    after = slices.find(shuffled, counted(shuffled), HOW)
    assert {name: sorted(order[row] for row in rows) for name, rows in after.items()} == before


def test_length_is_in_characters_in_scripts_without_spaces():
    sources = ["我喜欢吃苹果。", "今天天气很好，我们去公园吧。", "他", "犬が好きです"]
    pairs = [Pair(source, "x") for source in sources]
    found = slices.find(pairs, counted(pairs), HOW.model_copy(update={"length_bins": 2}))
    lengths = {name: rows for name, rows in found.items() if name.startswith(slices.LENGTH)}
    assert lengths == {"length 1-6 characters": [0, 2, 3], "length 12 characters": [1]}
    rows = slices.score(lengths, sources, sources)
    assert [one.words for one in slices.by_length(rows)] == ["1-6", "12"]


def test_each_slice_is_scored_by_itself():
    sources = ["a b c", "a b", "a b c d e f", "a b c d?"]
    references = ["one two three four", "the dog sleeps here", "no word of this", "the cat eats now"]
    hypotheses = [*references[:2], "entirely different text", references[3]]
    pairs = list(map(Pair, sources, references))
    how = HOW.model_copy(update={"length_bins": 2, "rare_words": 0})
    found = slices.find(pairs, counted(pairs, sources), how)
    rows = slices.score(found, hypotheses, references)
    assert [row[:2] for row in rows] == [("all", 4), ("length 2-3", 2), ("length 4-6", 2), ("questions", 1)]
    assert [row.bleu == 100.0 for row in rows] == [False, True, False, True]
    chosen = hypotheses[2:], references[2:]
    assert rows[2][2:] == (scores.score("bleu", *chosen), scores.score("chrf", *chosen))
    assert rows[0].chrf == scores.score("chrf", hypotheses, references)
    assert slices.by_length(rows) == [
        scores.LengthBin("2-3", *rows[1][1:]),
        scores.LengthBin("4-6", *rows[2][1:]),
    ]
