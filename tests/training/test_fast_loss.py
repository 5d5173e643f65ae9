"""The fast loss has the loss and gradients of model.py; with bfloat16 the model learns as well."""

import functools
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from seq2seq.nn.batches import Batch, collate
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.nn.precision import Precision
from seq2seq.training import fast_loss
from seq2seq.training.attention_tape import AdditiveAttentionTape, AttentionTape
from seq2seq.training.loss import cross_entropy

PIECES = 60
BF16 = [Precision(torch.bfloat16), Precision(torch.bfloat16, emulated=True)]


def model(
    kind: Any, layers: int = 1, dropout: float = 0.0, tied: bool = True, layer_norm: bool = False
) -> Seq2Seq:
    torch.manual_seed(1)
    built = Seq2Seq(Config(PIECES, 16, 24, 12, layers, kind, dropout, tied, layer_norm))
    with torch.no_grad():  # so that attention weights differ
        for parameter in built.parameters():
            parameter.mul_(2.0)
    return built


def batch(pairs: int = 6) -> Batch:
    """Pairs of 1 to 9 tokens; a target is its source reversed."""
    generator = torch.Generator().manual_seed(2)
    sources = [torch.randint(4, PIECES, (1 + i % 9,), generator=generator).tolist() for i in range(pairs)]
    return collate(sources, [source[::-1] for source in sources])


def reference(built: Seq2Seq, pairs: Batch, smoothing: float) -> torch.Tensor:
    logits_BTV, _ = built(pairs.source_BS, pairs.source_lengths_B, pairs.input_BT)
    return cross_entropy(logits_BTV, pairs.output_BT, smoothing)


def gradients(built: Seq2Seq, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    built.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in built.named_parameters()}


@pytest.mark.parametrize("kind", ["additive", "dot", "general", "none"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("tied", "layer_norm"), [(True, False), (False, False), (True, True)])
def test_loss_and_gradients_are_the_reference_s(kind, layers, tied, layer_norm, monkeypatch):
    monkeypatch.setattr("seq2seq.training.loss.ROWS", {"cpu": 7})  # logits in several portions
    built = model(kind, layers, tied=tied, layer_norm=layer_norm).double()
    pairs = batch()
    expected = reference(built, pairs, 0.1)
    found = fast_loss.summed_loss(built, pairs, 0.1, Precision(torch.float64))
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    right, made = gradients(built, expected), gradients(built, found)
    for name, gradient in right.items():
        torch.testing.assert_close(made[name], gradient, rtol=1e-9, atol=1e-11, msg=name)


def test_in_float32_the_gradients_agree_to_its_rounding():
    built, pairs = model("additive"), batch()
    right = gradients(built, reference(built, pairs, 0.1))
    made = gradients(built, fast_loss.summed_loss(built, pairs, 0.1, Precision()))
    for name, gradient in right.items():
        assert (made[name] - gradient).norm() <= 1e-4 * gradient.norm() + 1e-6, name


def test_dropout_is_drawn_only_in_training():
    built, pairs = model("additive", dropout=0.5), batch()
    one, other = (fast_loss.summed_loss(built, pairs, 0.0, Precision()).item() for _ in range(2))
    assert one != other
    built.eval()
    assert fast_loss.summed_loss(built, pairs, 0.0, Precision()).item() == pytest.approx(
        reference(built, pairs, 0.0).item(), rel=1e-5
    )


@pytest.mark.parametrize("precision", BF16)
def test_with_bfloat16_sums_stay_in_float32(precision, monkeypatch):
    kinds = set()

    def spied(function, kind):
        def spy(*arguments):
            result = function(*arguments)
            kinds.add((kind, tuple(part.dtype for part in (*arguments, *result) if part is not None)))
            return result

        return spy

    forward_step, gradients_of_keys = (
        AttentionTape.forward_step,
        AdditiveAttentionTape.key_gradients,
    )

    def spied_forward_step(self, query_BA):
        context_BM = forward_step(self, query_BA)
        kinds.add(("weights", (self.weights[-1].dtype,)))
        return context_BM

    def spied_gradients(self, *arguments):
        kinds.add(("slopes", (self.slopes_BSA.dtype,)))
        return gradients_of_keys(self, *arguments)

    monkeypatch.setattr(fast_loss, "lstm", spied(fast_loss.lstm, "lstm"))
    monkeypatch.setattr(fast_loss, "lstm_backward", spied(fast_loss.lstm_backward, "lstm_backward"))
    monkeypatch.setattr(AttentionTape, "forward_step", spied_forward_step)
    monkeypatch.setattr(AdditiveAttentionTape, "key_gradients", spied_gradients)
    built, pairs = model("additive", layer_norm=True), batch(32)
    loss = fast_loss.summed_loss(built, pairs, 0.1, precision)
    made = gradients(built, loss)
    assert {kind for kind, _ in kinds} == {"lstm", "lstm_backward", "weights", "slopes"}
    assert {dtype for _, dtypes in kinds for dtype in dtypes} == {torch.float32}
    expected = fast_loss.summed_loss(built, pairs, 0.1, Precision())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
    for name, right in gradients(built, expected).items():
        assert (made[name] - right).norm() <= 0.07 * right.norm() + 1e-6, name


@pytest.mark.parametrize("kind", ["additive", "dot", "general", "none"])
@pytest.mark.parametrize("layers", [1, 2])
def test_native_and_emulated_products_give_one_loss_and_its_gradients(kind, layers):
    built, pairs = model(kind, layers), batch(32)
    native, emulated = (fast_loss.summed_loss(built, pairs, 0.1, precision) for precision in BF16)
    assert emulated.item() == pytest.approx(native.item(), rel=1e-3)
    right, made = gradients(built, native), gradients(built, emulated)
    for name, gradient in right.items():  # those of attention are small differences of large numbers
        assert (made[name] - gradient).norm() <= 0.1 * gradient.norm() + 1e-6, name


def test_emulation_multiplies_operands_rounded_to_bfloat16():
    operands: list[Any] = []

    class Spy(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.linear):
                operands.extend(x for x in args[-2:] if x.dim() == 2)
            return func(*args, **(kwargs or {}))

    built, pairs = model("dot", dropout=0.3), batch()
    with Spy():
        fast_loss.summed_loss(built, pairs, 0.1, BF16[1]).backward()
    assert len(operands) > 20  # those of gradients too
    for x in operands:
        assert x.dtype == torch.float32
        assert torch.equal(x, x.bfloat16().float())


@pytest.mark.parametrize("precision", BF16)
def test_bfloat16_rounds_scores_without_their_common_constant(precision):
    torch.manual_seed(4)
    energy_A = 0.05 + 0.02 * torch.randn(256)  # their sum is 13, and half of it the scores' constant
    query_BA, keys_BSA = 0.3 * torch.randn(4, 256), 0.3 * torch.randn(4, 9, 256)

    def scores(kind: Precision) -> torch.Tensor:
        mask_BS = torch.ones(4, 9, dtype=torch.bool)
        keys, energy = kind.round(keys_BSA), kind.round(energy_A)
        tape = AdditiveAttentionTape(kind, torch.empty(4, 9, 1), keys, mask_BS, energy)
        scores_BS = tape.score(kind.round(query_BA)).double()
        return scores_BS - scores_BS.mean(dim=1, keepdim=True)

    exact = scores(Precision(torch.float64))
    assert (scores(precision) - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_dropout_has_torch_s_law(share):
    torch.manual_seed(3)
    dropout, ones = torch.nn.Dropout(share), torch.ones(401, 499, requires_grad=True)
    dropped = fast_loss.fast_dropout(ones, dropout)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / (1 - share)], rel=1e-3)
    zeros = dropped == 0
    assert zeros.float().mean().item() == pytest.approx(share, abs=0.006)  # 5 sigmas
    for other in (zeros.roll(1, 0), zeros.roll(1, 1)):  # neighbours are independent
        assert (zeros & other).float().mean().item() == pytest.approx(share**2, abs=0.01)
    dropped.sum().backward()
    torch.testing.assert_close(ones.grad, dropped.detach())
    assert not torch.equal(fast_loss.fast_dropout(ones, dropout), dropped)
    assert fast_loss.fast_dropout(ones, dropout.eval()) is ones


@pytest.mark.parametrize("share", [1e-6, 1 - 1e-6])
def test_dropout_of_almost_none_or_all_is_torch_s(share):
    dropped = fast_loss.fast_dropout(torch.ones(1000), torch.nn.Dropout(share))
    assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=0.01)


@functools.cache
def curve(kind: str, precision: Precision | None) -> list[float]:
    """Losses of 15 updates; without a precision, those of the reference."""
    built, pairs = model(kind), batch(32)
    optimizer = torch.optim.Adam(built.parameters(), lr=0.02)
    losses = []
    for _ in range(15):
        if precision is None:
            summed = reference(built, pairs, 0.1)
        else:
            summed = fast_loss.summed_loss(built, pairs, 0.1, precision)
        optimizer.zero_grad()
        (summed / pairs.tokens).backward()
        optimizer.step()
        losses.append(summed.item() / pairs.tokens)
    return losses


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["additive", "none"])
@pytest.mark.parametrize("precision", BF16)
def test_bfloat16_has_the_reference_s_loss_curve(precision, kind):
    plain, half = curve(kind, None), curve(kind, precision)
    assert plain[-1] < 0.8 * plain[0]
    assert half == pytest.approx(plain, rel=0.05)
