"""Faults are planted as described, and the table counts what the filters drop."""

from collections import Counter

import numpy as np
import pytest

from benchmarks import planted_noise
from seq2seq.data.corpus import Pair
from seq2seq.data.direction import Direction, Side

PAIRS = [
    Pair(
        f"Der müde Hund {n} schläft heute in dem grünen Garten.",
        f"The tired dog {n} sleeps in the green garden.",
    )
    for n in range(100, 300)
]


def test_each_kind_is_planted_and_no_clean_pair_is_changed():
    noisy, kinds = planted_noise.plant(PAIRS, 10, seed=1)
    assert Counter(kinds) == {planted_noise.CLEAN: 200} | {kind.__name__: 10 for kind in planted_noise.KINDS}
    clean = {pair for pair, kind in zip(noisy, kinds, strict=True) if kind == planted_noise.CLEAN}
    assert clean == set(PAIRS)
    changed = [pair for pair, kind in zip(noisy, kinds, strict=True) if kind != planted_noise.CLEAN]
    assert not clean.intersection(changed)
    assert planted_noise.plant(PAIRS, 10, seed=1) == (noisy, kinds)


def test_the_table_counts_drops_by_kind_and_leaves_repeated_clean_pairs_out():
    found = {
        "markup": Counter({"markup": 9, "kept": 1}),
        planted_noise.CLEAN: Counter({"kept": 97, "duplicate": 2, "numbers": 1}),
    }
    text = "\n".join(planted_noise.table(found))
    assert "| markup | 90.0% | markup 90.0% |" in text
    assert "| lost of the clean pairs | 1.00% |" in text
    assert text.endswith("Precision of all drops: 90.0%")


@pytest.mark.slow
def test_the_command_prints_the_table(tmp_path, capsys):
    corpus = tmp_path / "clean.tsv"
    corpus.write_text("".join(f"{source}\t{target}\n" for source, target, *_ in PAIRS), "utf-8")
    assert planted_noise.main([str(corpus), "--each", "5"]) == 0
    printed = capsys.readouterr().out
    assert "200 clean pairs, 5 faults of each kind, recipe local" in printed
    assert "| wrong number | 100.0% |" in printed


def test_the_table_of_scores_has_the_share_of_each_kind_below_each_threshold():
    kinds = [planted_noise.CLEAN] * 100 + ["misaligned"] * 4 + ["markup"] * 2
    values = np.array([-i / 100 for i in range(100)] + [-9, -9, -9, 0, np.nan, -2], np.float32)
    lines = planted_noise.score_table(values, kinds)
    assert lines[0] == "| score below | -0.99 | -0.99 | -0.98 | -0.97 | -0.94 |"
    assert "| misaligned | 75.0% | 75.0% | 75.0% | 75.0% | 75.0% |" in lines
    assert "| markup | 50.0% | 50.0% | 50.0% | 50.0% | 50.0% |" in lines
    assert lines[-1].startswith("| lost of the clean pairs | 1.0% | 1.0% | 1.0% | 2.0% | 5.0%")


@pytest.mark.slow
def test_a_pair_that_only_its_score_shows_is_found_by_it():
    clean = planted_noise.settings("local", ["clean.same_numbers=false"])
    noisy, kinds = planted_noise.plant(PAIRS, 10, seed=1)
    low = [kind == "misaligned" for kind in kinds]
    sides = Direction(Side("de"), Side("en"))
    found = planted_noise.find(noisy, kinds, clean, sides, low)
    assert found["misaligned"]["kept"] == 0
    assert found["misaligned"]["score"] > 0
    assert {reasons["score"] for kind, reasons in found.items() if kind != "misaligned"} == {0}
