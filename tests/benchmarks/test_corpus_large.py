"""The large corpus: the same at each call, whatever its size, with the stated lengths and faults."""

import pyarrow.parquet as pq
import pytest

from benchmarks import corpus_large


@pytest.mark.slow
def test_a_prefix_of_a_larger_corpus_is_the_smaller_one(monkeypatch):
    monkeypatch.setattr(corpus_large, "BLOCK", 100)
    larger = [pair for block in corpus_large.corpus(350) for pair in block]
    assert [pair for block in corpus_large.corpus(150) for pair in block] == larger[:150]
    assert len(larger) == 350
    assert [pair for block in corpus_large.corpus(150, seed=2) for pair in block] != larger[:150]


@pytest.mark.slow
def test_lengths_and_repetitions_are_those_of_a_collected_corpus():
    [pairs] = corpus_large.corpus(corpus_large.BLOCK)
    words = [len(pair.source.split()) for pair in pairs]
    assert 15 < sum(words) / len(words) < 19
    assert max(words) > 60
    assert 0.02 < 1 - len(set(pairs)) / len(pairs) < 0.06


@pytest.mark.slow
def test_both_kinds_of_files_have_the_same_pairs(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_large, "BLOCK", 100)
    for name in ("corpus.tsv", "corpus.parquet"):
        assert corpus_large.main([str(tmp_path / name), "--pairs", "130"]) == 0
    table = pq.read_table(tmp_path / "corpus.parquet")
    lines = (tmp_path / "corpus.tsv").read_text("utf-8").splitlines()
    assert lines == ["\t".join(row.values()) for row in table.to_pylist()]
    assert corpus_large.main([str(tmp_path / "corpus.csv")]) == 2
