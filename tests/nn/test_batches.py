"""Length buckets and token ids on disk."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data.tokens import TokenSplit, TokenWriter
from seq2seq.data.vocabulary import PAD
from seq2seq.nn.batches import Batches, plan_batches

LENGTHS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=60)


@given(LENGTHS, st.integers(1, 200), st.none() | st.integers(0, 5))
def test_every_pair_is_in_exactly_one_batch_within_the_budget(lengths, budget, seed):
    source, target = np.array(lengths, np.int64).reshape(-1, 2).T
    shuffle = None if seed is None else np.random.default_rng(seed)
    batches = plan_batches(source, target, budget, shuffle)
    assert sorted(np.concatenate([np.empty(0, int), *batches]).tolist()) == list(range(len(lengths)))
    for batch in batches:
        cost = len(batch) * (source[batch].max() + target[batch].max() + 2)
        assert cost <= budget or len(batch) == 1


def write(folder: Path, pairs: list[tuple[list[int], list[int]]]) -> TokenSplit:
    with TokenWriter(folder, "train") as writer:
        writer.append("source", [source for source, _ in pairs])
        writer.append("target", [target for _, target in pairs])
    return TokenSplit(folder, "train")


ID_LISTS = st.lists(st.integers(4, 2**32 - 1), max_size=9)


@given(pairs=st.lists(st.tuples(ID_LISTS, ID_LISTS), max_size=8))
def test_ids_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, pairs):
    split = write(tmp_path_factory.mktemp("tokens"), pairs)
    assert len(split) == len(pairs)
    assert [(split.source(i).tolist(), split.target(i).tolist()) for i in range(len(pairs))] == pairs


def corpus(tmp_path: Path) -> TokenSplit:
    random = np.random.default_rng(0)
    sentence = lambda: random.integers(4, 99, random.integers(1, 40)).tolist()  # noqa: E731
    return write(tmp_path, [(sentence(), sentence()) for _ in range(800)])


def test_epochs_repeat_exactly_and_differ_from_each_other(tmp_path: Path):
    split = corpus(tmp_path)
    first, again = (list(Batches(split, 1000, 50, seed=1).epoch(0)) for _ in range(2))
    assert all(a.source_BS.equal(b.source_BS) for a, b in zip(first, again, strict=True))
    resumed = list(Batches(split, 1000, 50, seed=1).epoch(0, start=7))
    assert resumed[0].source_BS.equal(first[7].source_BS)
    assert len(resumed) == len(first) - 7
    for other in (Batches(split, 1000, 50, seed=1).epoch(1), Batches(split, 1000, 50, seed=2).epoch(0)):
        assert not next(other).source_BS.equal(first[0].source_BS)


def test_buckets_hold_hardly_any_padding(tmp_path: Path):
    batches = list(Batches(corpus(tmp_path), 1000, 50, seed=1).epoch(0))
    filled = [float((b.output_BT != PAD).float().mean()) for b in batches]
    assert np.mean(filled) > 0.95


def test_pairs_that_are_too_long_or_empty_are_left_out_and_counted(tmp_path: Path):
    split = write(tmp_path, [([5], [6]), ([5] * 11, [6]), ([5], []), ([5] * 10, [7] * 10)])
    batches = Batches(split, 100, max_tokens=10, seed=1)
    assert (batches.pairs, batches.skipped) == (2, 2)
    assert sum(b.tokens for b in batches.in_order()) == 2 + 11


@pytest.mark.parametrize("ranks", [2, 3])
def test_shards_of_a_batch_are_its_rows_and_count_the_tokens_of_the_whole(tmp_path: Path, ranks):
    split = corpus(tmp_path)
    whole = list(Batches(split, 200, 50, seed=1).epoch(0))
    shards = [list(Batches(split, 200, 50, seed=1, shard=(rank, ranks)).epoch(0)) for rank in range(ranks)]
    idle = 0
    for batch, *parts in zip(whole, *shards, strict=True):
        assert {part.tokens for part in parts} == {batch.tokens} == {int((batch.output_BT != PAD).sum())}
        for rank, part in enumerate(parts):
            rows = [row[row != PAD].tolist() for row in part.output_BT]
            expected = [row[row != PAD].tolist() for row in batch.output_BT[rank::ranks]]
            assert rows == (expected or [[]])  # without a row of its own: one without output
            assert part.source_BS.shape[0] == part.output_BT.shape[0] == part.input_BT.shape[0]
            idle += not expected
    assert idle > 0
