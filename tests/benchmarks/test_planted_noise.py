"""Faults are planted as described, and the table counts what the filters drop."""

from collections import Counter

from benchmarks import planted_noise
from seq2seq.data.corpus import Pair

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


def test_the_command_prints_the_table(tmp_path, capsys):
    corpus = tmp_path / "clean.tsv"
    corpus.write_text("".join(f"{source}\t{target}\n" for source, target, *_ in PAIRS), "utf-8")
    assert planted_noise.main([str(corpus), "--each", "5"]) == 0
    printed = capsys.readouterr().out
    assert "200 clean pairs, 5 faults of each kind, recipe local" in printed
    assert "| wrong number | 100.0% |" in printed
