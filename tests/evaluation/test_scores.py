"""Scores agree with sacreBLEU, tests distinguish differences from chance, and bins are equal."""

import logging
import random
import re
from itertools import pairwise

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq.data.corpus import Pair
from seq2seq.evaluation import scores
from seq2seq.gate.behaviour import sign_test

REFERENCES = ["The dog sleeps in the garden.", "The cat eats the fish today.", "I know that."]
HYPOTHESES = ["The dog sleeps in a garden.", "The cat eats a fish.", "I know that."]
MANY = [f"{name} saw {count} birds near the {place}." for name in ("Ann", "Bo") for count in range(20)
        for place in ("lake", "old mill")]  # fmt: skip


def worse(texts, share, seed=1):
    """Replace every word but the first with that probability."""
    draw = random.Random(seed)
    return [
        " ".join([first, *("nothing" if draw.random() < share else word for word in rest)])
        for first, *rest in map(str.split, texts)
    ]


def test_corpus_scores_are_sacrebleus_and_carry_its_signatures():
    found = scores.corpus_scores(HYPOTHESES, REFERENCES)
    bleu = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES])
    assert found.bleu == pytest.approx(bleu.score, abs=1e-4)
    assert found.brevity_penalty == pytest.approx(bleu.bp, abs=1e-4)
    assert found.chrf == pytest.approx(sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score, abs=1e-4)
    assert found.ter == pytest.approx(sacrebleu.corpus_ter(HYPOTHESES, [REFERENCES]).score, abs=1e-4)
    for name in scores.METRICS:
        assert scores.score(name, HYPOTHESES, REFERENCES) == getattr(found, name)


def test_signatures_describe_scores_and_not_intervals():
    found = scores.corpus_scores(HYPOTHESES, REFERENCES).signatures
    version = f"version:{sacrebleu.__version__}"
    assert found == {
        "bleu": f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{version}",
        "chrf": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|{version}",
        "ter": f"nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|{version}",
    }


def test_a_perfect_translation_scores_100_and_an_empty_one_0():
    perfect = scores.corpus_scores(REFERENCES, REFERENCES)
    assert perfect[:9] == (100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 0.0, 0.0, 0.0)
    assert perfect.brevity_penalty == 1.0
    empty = scores.corpus_scores(["", "", ""], REFERENCES)
    assert empty[:9] == (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100.0, 100.0, 100.0)
    assert scores.sentence_chrf("The dog.", "The dog.") == 100.0
    assert scores.sentence_chrf("", "The dog.") == 0.0


def test_intervals_are_sacrebleus_and_narrower_with_more_sentences():
    few, many = (scores.corpus_scores(worse(texts, 0.3), texts) for texts in (MANY[:10], MANY))
    metric = sacrebleu.metrics.TER()
    ter = metric.corpus_score(worse(MANY, 0.3), [MANY], n_bootstrap=1000)
    text = ter.format(4, signature=str(metric.get_signature()))
    mean, half = map(float, re.search(r"μ = (\S+) ± ([\d.]+)", text).groups())
    assert (many.ter_low, many.ter_high) == pytest.approx((mean - half, mean + half), abs=0.15 * half)
    for name in scores.METRICS:
        value, low, high = (getattr(many, f"{name}{end}") for end in ("", "_low", "_high"))
        assert low < value < high
        assert high - low < getattr(few, f"{name}_high") - getattr(few, f"{name}_low")


def test_intervals_are_defined_if_some_resamples_have_no_match():
    found = scores.corpus_scores(["one two three four five", ""], ["one two three four five", "six seven"])
    assert found.bleu_low < found.bleu < found.bleu_high


def test_intervals_stay_within_the_range_of_scores():
    found = scores.corpus_scores([*MANY[:9], "no"], MANY[:10])
    assert (found.bleu_high, found.chrf_high, found.ter_low) == (100.0, 100.0, 0.0)


@pytest.mark.slow
def test_a_clear_difference_is_found_in_every_metric_and_nothing_is_logged(caplog, capfd):
    caplog.set_level(logging.WARNING)
    baseline, system = worse(MANY, 0.4), worse(MANY, 0.1)
    found = scores.paired_test(baseline, system, MANY)
    assert tuple(found) == scores.METRICS
    assert all(difference.p < 0.001 for difference in found.values())
    assert found["bleu"].delta > 0 > found["ter"].delta
    for name, difference in found.items():
        both = [scores.score(name, texts, MANY) for texts in (baseline, system)]
        assert difference.delta == pytest.approx(both[1] - both[0], abs=2e-4)
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")


@pytest.mark.slow
def test_swapping_the_systems_changes_the_sign_and_little_else():
    one, other = worse(MANY, 0.32, 1), worse(MANY, 0.3, 2)
    there = scores.paired_test(one, other, MANY, ["bleu"])["bleu"]
    back = scores.paired_test(other, one, MANY, ["bleu"])["bleu"]
    assert there.delta == -back.delta
    assert there.p == pytest.approx(back.p, abs=0.02)
    assert there.p > 0.1


@pytest.mark.parametrize(("differing", "least"), [(0, 1.0), (1, 1.0), (2, 0.5), (5, 0.0625), (8, 0.0078125)])
def test_a_few_better_sentences_are_not_significant(differing, least):
    """All 2^n exchanges are equally likely; two of them give as large a difference."""
    lost = [text.replace("birds", "nothing") for text in MANY]
    system = MANY[:differing] + lost[differing:]
    found = scores.paired_test(lost, system, MANY, ["bleu"])["bleu"]
    assert (found.delta > 0) == (differing > 0)
    assert found.p == pytest.approx(least, abs=0.015)


@pytest.mark.parametrize(
    ("better", "worse", "alike"), [(5, 1, 0), (8, 2, 0), (9, 3, 4), (6, 0, 9), (1, 0, 9)]
)
def test_p_is_that_of_the_sign_test_if_all_changes_are_equal(better, worse, alike):
    """Some translations are better by one word, some worse, some differ with the same score."""
    baseline, system = list(MANY), list(MANY)
    for row in range(better + worse + alike):
        if row >= better:
            system[row] = system[row].replace("birds", "nothing")
        if row < better or row >= better + worse:
            baseline[row] = baseline[row].replace("birds", "something")
    found = scores.paired_test(baseline, system, MANY, ["bleu"])["bleu"]
    assert found.delta > 0
    assert found.p == pytest.approx(sign_test(better, worse), abs=0.015)


def test_different_translations_with_the_same_scores_do_not_differ():
    found = scores.paired_test(["The cat"] * 9, ["the CAT"] * 9, ["the cat"] * 9, ["ter"])["ter"]
    assert found == (0.0, 1.0)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["a b c d e", "a b c", "x", ""]), min_size=2, max_size=12), st.randoms())
def test_a_p_is_a_probability_and_no_difference_is_certain(texts, draw):
    references = ["a b c d e"] * len(texts)
    shuffled = draw.sample(texts, len(texts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "SHUFFLES", 200)
        tests = scores.paired_test(texts, shuffled, references, ["bleu", "chrf"])
    for name, found in tests.items():
        assert 0 < found.p <= 1
        assert found == (0.0, 1.0), name  # the same translations in another order have the same corpus score


def test_resamples_of_many_sentences_come_in_portions(monkeypatch):
    whole = scores.corpus_scores(worse(MANY, 0.3), MANY)
    monkeypatch.setattr(scores, "MOST_DRAWN", 1000)
    portions = scores.corpus_scores(worse(MANY, 0.3), MANY)
    assert portions == whole  # the draws do not depend on the portions


@pytest.mark.slow
def test_exchanges_of_many_translations_come_in_portions(monkeypatch):
    whole = scores.paired_test(worse(MANY, 0.3), worse(MANY, 0.25), MANY, ["bleu"])
    monkeypatch.setattr(scores, "MOST_DRAWN", 1000)
    found = scores.paired_test(worse(MANY, 0.3), worse(MANY, 0.25), MANY, ["bleu"])
    assert found.keys() == {"bleu"}
    assert found["bleu"].delta == whole["bleu"].delta
    assert found["bleu"].p == pytest.approx(whole["bleu"].p, abs=0.02)


def test_a_sets_digest_depends_on_every_pair_and_its_order():
    pairs = [Pair("Hund", "dog", "0-0"), Pair("Katze", "cat"), Pair("Fisch", "fish")]
    digests = {
        scores.set_digest(some)
        for some in (pairs, pairs[::-1], pairs[1:], [Pair(p.target, p.source) for p in pairs])
    }
    assert len(digests) == 4
    assert scores.set_digest(pairs) == scores.set_digest([Pair(*pair[:2]) for pair in pairs])


@pytest.mark.parametrize(
    ("values", "bins", "expected"),
    [
        ([1, 2, 3, 4], 2, [(1, 2), (3, 4)]),
        ([5] * 9 + [6], 4, [(5, 5), (6, 6)]),
        ([3, 3, 3], 4, [(3, 3)]),
        ([7], 3, [(7, 7)]),
        ([1, 9], 5, [(1, 1), (9, 9)]),
        ([], 3, []),
    ],
)
def test_equal_bins(values, bins, expected):
    assert scores.equal_bins(values, bins) == expected


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 8))
def test_bins_cover_all_values_once_and_never_split_equal_ones(values, bins):
    ranges = scores.equal_bins(values, bins)
    assert len(ranges) <= bins
    assert all(least <= most for least, most in ranges)
    assert all(a[1] < b[0] for a, b in pairwise(ranges))
    assert all(sum(least <= value <= most for least, most in ranges) == 1 for value in values)


@given(st.integers(1, 8), st.integers(1, 10))
def test_bins_of_distinct_values_are_of_equal_count(bins, size):
    assert [b - a + 1 for a, b in scores.equal_bins(range(bins * size), bins)] == [size] * bins
