"""The built-in corpus: the guarantees of its splits, and errors of faulty grammar files.

Why: all later stages rely on one translation a source and on an unseen test split.
"""

from __future__ import annotations

import functools
import random
import re
from pathlib import Path

import pytest

from seq2seq.data import grammar, grammar_splits
from seq2seq.data.grammar import Example, Grammar
from seq2seq.data.grammar_splits import write_splits
from tests.support.projects import ROOT

DE_EN = ROOT / "corpora/grammar-de-en.yaml"
SIZES = {"train": 1200, "validation": 100, "test": 100}

TINY = """
source_language: xx
target_language: yy
licence: CC0-1.0
description: two words
start: S
closing: "."
rules:
  S:
    - {with: {n: N, v: V}, source: "{n.one} {v.<n.number>}.", target: "{v} the {n}."}
  N:
    - {source: {one: "{lemma}a"}, target: "{en}", words: {kat: {en: cat, number: sg}}}
  V:
    - {source: {sg: "{lemma}it {part}", pl: x}, target: "{en}", words: {dorm: {en: sleeps, part: on}}}
"""


@pytest.fixture(autouse=True)
def _load_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the grammar takes longer than most tests."""
    monkeypatch.setattr(Grammar, "load", load)


load = functools.cache(Grammar.load)


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Example]]:
    return write_splits(DE_EN, SIZES, seed=1)


@pytest.fixture(scope="module")
def many() -> list[Example]:
    """A stream of samples, in which sources may recur."""
    de_en, rng = Grammar.load(DE_EN), random.Random(7)
    return [de_en.sample(rng) for _ in range(1500)]


def length(example: Example) -> int:
    return len(example.source.split())


def bare(text: str) -> set[str]:
    return {word.strip(".,?").lower() for word in text.split()}


def write(folder: Path, text: str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.slow
def test_sizes_and_metadata(splits: dict[str, list[Example]]) -> None:
    assert {split: len(examples) for split, examples in splits.items()} == SIZES
    about = Grammar.load(DE_EN).about
    assert (about["source_language"], about["target_language"]) == ("de", "en")
    assert about["licence"] == "Apache-2.0"
    assert about["description"]


def test_at_least_200_lemmas() -> None:
    rules = Grammar.load(DE_EN).rules
    lemmas = {p.when["lemma"] for s in ("Noun", "Verb", "Adjective") for p in rules[s]}
    assert len(lemmas) >= 200


@pytest.mark.slow
def test_one_target_a_source(many: list[Example]) -> None:
    targets: dict[str, str] = {}
    for example in many:
        assert targets.setdefault(example.source, example.target) == example.target
    assert len(targets) > 0.95 * len(many)  # the grammar has far more sentences


@pytest.mark.slow
def test_nothing_leaks_between_splits(splits: dict[str, list[Example]]) -> None:
    sources = [example.source for examples in splits.values() for example in examples]
    assert len(sources) == len(set(sources))
    seen = {example.target for example in splits["train"]}
    for split in ("validation", "test"):
        assert seen.isdisjoint(example.target for example in splits[split])


def test_words_of_validation_and_test_occur_in_train(splits: dict[str, list[Example]]) -> None:
    for side in (0, 1):
        known = {word for example in splits["train"] for word in bare(example[side])}
        for split in ("validation", "test"):
            for example in splits[split]:
                assert bare(example[side]) <= known


@pytest.mark.slow
def test_held_out_combinations_occur_only_in_test(monkeypatch: pytest.MonkeyPatch) -> None:
    spelled: list[tuple[Example, set[str]]] = []
    original = Grammar.spell

    def spell(self: Grammar, root: grammar.Node) -> Example:
        example = original(self, root)
        spelled.append((example, set(root.combinations())))
        return example

    monkeypatch.setattr(Grammar, "spell", spell)
    splits = write_splits(DE_EN, {"train": 300, "validation": 10, "test": 40}, seed=3)
    combinations = {example.source: found for example, found in spelled}
    of = {s: [combinations[e.source] for e in examples] for s, examples in splits.items()}
    trained = set().union(*of["train"], *of["validation"])
    assert all(any(grammar_splits._held_out(c) for c in found) for found in of["test"])
    assert all(found - trained for found in of["test"])
    assert not any(map(grammar_splits._held_out, trained))


def test_longest_quarter_of_test_is_longer_than_most_of_train(
    splits: dict[str, list[Example]],
) -> None:
    train = sorted(map(length, splits["train"]))
    test = sorted(map(length, splits["test"]))
    assert test[-len(test) // 4] > train[int(0.9 * len(train))]
    assert train[0] <= 3
    assert train[-1] == grammar_splits.LONGEST_TRAIN
    assert grammar_splits.LONGEST_TRAIN < test[-1] <= grammar_splits.LONGEST


@pytest.mark.slow
def test_alignment_is_in_range_and_leaves_no_word_out(many: list[Example]) -> None:
    for example in many[:1000]:
        pairs = [tuple(map(int, pair.split("-"))) for pair in example.alignment.split()]
        assert len(pairs) == len(set(pairs))
        assert {i for i, _ in pairs} == set(range(len(example.source.split())))
        assert {j for _, j in pairs} == set(range(len(example.target.split())))


def test_alignment_follows_the_derivation(tmp_path: Path) -> None:
    example = Grammar.load(write(tmp_path, TINY)).sample(random.Random(0))
    # the separated verb is one word in the other language; `the` is the rule's own
    assert example == Example("Kata dormit on.", "Sleeps the cat.", "0-2 1-0 2-0")


@pytest.mark.slow
def test_another_seed_another_corpus() -> None:
    sizes = {"train": 300, "validation": 10, "test": 10}
    assert write_splits(DE_EN, sizes, 1)["train"] != write_splits(DE_EN, sizes, 2)["train"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("v: V}", "v: W}", "S, rule 1: unknown symbol W"),
        ("{n.one}", "{n.two}", "N, rule 1, word kat: no source field 'two'"),
        ("the {n}", "the {m}", "S, rule 1: {m} is no child"),
        ("<n.number>", "<n.numer>", "S, rule 1: <n.numer> is never set"),
        ("{en: cat, ", "{", "N, rule 1, word kat: {en} is no child or attribute"),
        ('target: "{en}", words: {kat', "words: {kat", "N, rule 1, word kat: no target"),
        ("with: {n: N, v: V}", "with: {n: N, v: V, s: S}", "S, rule 1: a cycle without end"),
        ("number: sg", "number: du", "no source field 'du'"),
        ("n: N,", "n: N(number=pl),", "S, rule 1: no N with {'number': 'pl'}"),
        ("n: N,", "n: N(number,", "is not like"),
        ("with:", "wiht:", "S, rule 1: unknown key ['wiht']"),
        ("start: S", "start: T", "start 'T' has no rule"),
        ("licence: CC0-1.0", "", "no key 'licence'"),
        ("rules:", "rules: [", "not yaml"),
        ("rules:", "rules: 7\nother:", "rules needs symbols"),
        ("words: {kat: {en: cat, number: sg}}", "words: [kat]", "N, rule 1: words needs names with values"),
        ("words: {kat: {en: cat, number: sg}}", "words: ", "N, rule 1: words needs names with values"),
        ("kat: {en: cat, number: sg}", "kat: cat", "N, rule 1, word kat: needs attributes"),
        ("with: {n: N, v: V}", "with: ", "S, rule 1: with needs names with values"),
        ("    - {with: {n: N, v: V}", "    -\n    - {with: {n: N, v: V}", "S, rule 1: needs keys"),
        ("{lemma}a", "{stem}a", "is no child or attribute"),
        ("en: cat, ", 'en: "{en}s", ', "N, rule 1: an attribute mentions itself"),
        ("{with: {n: N, v: V}", "{weight: heavy, with: {n: N, v: V}", "S, rule 1: weight needs a number"),
        ("en: cat, ", "en: cat, weight: -1, ", "N, rule 1: weight needs a number"),
        ('target: "{v} the {n}."', "target: ", "S, rule 1: target needs templates"),
        ('target: "{v} the {n}."', "target: [x, y]", "S, rule 1: target needs templates"),
        ('{one: "{lemma}a"}', "{one: }", "N, rule 1: source needs templates"),
        ("en: cat", "en: ", "N, rule 1, word kat: en is empty"),
        ("with: {n: N, v: V}", 'combinations: "<n>", with: {n: N, v: V}', "combinations needs a list"),
        ("rules:", "spelling: {source: [['[', x]]}\nrules:", "spelling needs pairs"),
        ("rules:", "spelling: {source: [ab]}\nrules:", "spelling needs pairs"),
        ("rules:", "spelling: {source: [[a, 7]]}\nrules:", "spelling needs pairs"),
        ("rules:", "spelling: {source: [[a, '\\9']]}\nrules:", "spelling needs pairs"),
        ("rules:", "spelling: {sourc: []}\nrules:", "spelling is of source and target"),
        ("rules:", "spelling: x\nrules:", "spelling is of source and target"),
    ],
)
def test_a_fault_is_named_with_its_rule_and_remedy(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, TINY.replace(old, new, 1))
    with pytest.raises(ValueError) as error:
        Grammar.load(path).sample(random.Random(0))
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_an_empty_closing_joins_no_words(tmp_path: Path) -> None:
    closed = Grammar.load(write(tmp_path, TINY.replace('closing: "."', "closing:", 1)))
    assert closed.sample(random.Random(0)).source == "Kata dormit on."


def test_recursion_ends(tmp_path: Path) -> None:
    deeper = '    - {weight: 1000, with: {s: S}, source: "x {s}", target: "{s}"}\n  N:'
    recursive = Grammar.load(write(tmp_path, TINY.replace("  N:", deeper, 1)))
    assert length(recursive.sample(random.Random(0))) <= grammar.MAX_DEPTH + 5


def test_a_grammar_too_small_for_the_sizes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found 1 of 3 train pairs"):
        write_splits(write(tmp_path, TINY), {"train": 3, "validation": 1, "test": 1}, 0)
    with pytest.raises(ValueError, match="give train, validation and test"):
        write_splits(DE_EN, {"train": 3}, 0)


# German sentences generated by the grammar, each with a phenomenon that must be correct.
def test_the_grammar_generates_german_phenomena(many: list[Example]) -> None:
    sources = [example.source for example in many]
    for phenomenon in (
        ", dass ", ", weil ", ", um ", " nicht ", " kein", " an.", " ist ", " hat ", "wer ", "wo ",
        "wann ", "warum ", "was ", "wen ", ", der ", ", die ", ", das ", ", den ", " muss ", " am ",
    ):  # fmt: skip
        assert any(phenomenon in f" {source.lower()}" for source in sources), phenomenon
    targets = " ".join(example.target for example in many)
    for phenomenon in (" does not ", " did not ", " an ", " cannot ", " has to ", " who ", " that "):
        assert phenomenon in targets, phenomenon
    assert not re.search(r" a [aeiou]| an [^aeiou]", targets)
