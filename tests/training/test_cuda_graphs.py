"""CUDA graphs: padding and replay change neither loss nor gradients of a batch."""

from typing import Any

import pytest
import torch

from seq2seq.nn.batches import Batch, collate
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.nn.precision import Precision
from seq2seq.training import cuda_graphs, fast_loss
from seq2seq.training.cuda_graphs import Graphs
from tests.support.tape import Tape

PIECES = 60


def model(kind: Any = "additive", dropout: float = 0.0, hidden: int = 24) -> Seq2Seq:
    torch.manual_seed(1)
    return Seq2Seq(Config(PIECES, 16, hidden, 12, 1, kind, dropout, True))


def batch(pairs: int, longest: int, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    sources = [
        torch.randint(4, PIECES, (1 + i % longest,), generator=generator).tolist() for i in range(pairs)
    ]
    return collate(sources, [source[::-1] for source in sources])


BATCHES = [
    batch(6, 5, 1),
    batch(33, 9, 2),  # another shape
    batch(8, 7, 3),  # the first one's shape, whose inputs must be overwritten
    batch(5, 5, 4),
    batch(33, 9, 5),
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["additive", "dot", "none"])
def test_loss_and_gradients_are_those_without_a_graph(kind):
    built, alone, tape = model(kind).double(), model(kind).double(), Tape()
    graphs = Graphs(built, 0.1, Precision(torch.float64), tape)
    grads = [p.grad for p in built.parameters()]
    for pairs in BATCHES:
        expected = fast_loss.summed_loss(alone, pairs, 0.1, Precision(torch.float64))
        alone.zero_grad()
        (expected / pairs.tokens).backward()
        assert graphs(pairs).item() == pytest.approx(expected.item(), rel=1e-12)
        for (name, made), right in zip(built.named_parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(made.grad, right.grad, rtol=1e-9, atol=1e-11, msg=name)
    assert tape.records == 2
    # A graph writes to fixed addresses.
    assert all(p.grad is grad for p, grad in zip(built.parameters(), grads, strict=True))


@pytest.mark.slow
def test_it_learns_with_gradients_in_fixed_tensors():
    built, pairs = model(), batch(6, 5, 1)
    graphs = Graphs(built, 0.1, Precision(torch.float32), Tape())
    optimizer = torch.optim.AdamW(built.parameters(), lr=0.01, fused=True)
    losses = []
    for _ in range(20):
        losses.append(graphs(pairs).item() / pairs.tokens)
        torch.nn.utils.clip_grad_norm_(built.parameters(), 1.0)
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


def test_a_shape_too_many_runs_without_a_graph(monkeypatch):
    monkeypatch.setattr(cuda_graphs, "MAX_GRAPHS", 1)
    built, tape = model().double(), Tape()
    graphs = Graphs(built, 0.0, Precision(torch.float64), tape)
    graphs(BATCHES[0])
    expected = fast_loss.summed_loss(built, BATCHES[1], 0.0, Precision(torch.float64)).item()
    assert graphs(BATCHES[1]).item() == pytest.approx(expected, rel=1e-12)
    assert tape.records == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("hidden", [24, 384])  # cuDNN has an algorithm of its own for small ones
@pytest.mark.parametrize(
    "precision", [Precision(), Precision(torch.bfloat16), Precision(torch.bfloat16, True)]
)
def test_on_a_gpu_a_replay_has_the_batch_s_loss_with_the_current_weights(hidden, precision, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    here = torch.device("cuda")
    built, alone = model(hidden=hidden).to(here), model(hidden=hidden).to(here)
    graphs = Graphs(built, 0.1, precision)
    optimizers = [torch.optim.SGD(one.parameters(), lr=0.1) for one in (built, alone)]
    rounding = 1e-3 if precision.dtype == torch.float32 else 5e-2
    for pairs in [pairs.to(here) for pairs in (*BATCHES, *BATCHES)]:
        expected = fast_loss.summed_loss(alone, pairs, 0.1, precision)
        alone.zero_grad()
        (expected / pairs.tokens).backward()
        assert graphs(pairs).item() == pytest.approx(expected.item(), rel=rounding)
        for (name, made), right in zip(built.named_parameters(), alone.parameters(), strict=True):
            assert (made.grad - right.grad).norm() <= rounding * right.grad.norm() + 1e-5, name
        for optimizer in optimizers:
            optimizer.step()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_dropout_draws_anew_at_every_replay():
    drawn, pairs = Graphs(model(dropout=0.5).cuda(), 0.0, Precision()), BATCHES[0].to(torch.device("cuda"))
    assert len({drawn(pairs).item() for _ in range(5)}) == 5
