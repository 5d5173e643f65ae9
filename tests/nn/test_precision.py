"""Native or emulated bfloat16 products are chosen by measurement, by the user, or by a checkpoint."""

from typing import Any

import pytest
import torch

from seq2seq.common.errors import UserError
from seq2seq.nn import precision
from seq2seq.nn.precision import Precision, Rounding, choose_precision

CPU = torch.device("cpu")
NATIVE, EMULATED = Precision(torch.bfloat16), Precision(torch.bfloat16, emulated=True)


@pytest.fixture(autouse=True)
def _as_at_the_start():
    precision._print_once.cache_clear()
    precision.native_share.cache_clear()


def has(monkeypatch, *, products: bool, share: float = 1.0) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: products)
    monkeypatch.setattr(precision, "native_share", lambda: share)


def test_float32_is_float32_and_nothing_is_printed(capsys):
    assert choose_precision("fp32", CPU) == Precision(torch.float32)
    assert capsys.readouterr().err == ""


def test_a_processor_without_bfloat16_products_emulates(monkeypatch, capsys):
    has(monkeypatch, products=False, share=0.1)
    assert choose_precision("bf16", CPU) == EMULATED
    assert "bf16: emulated products on this cpu (it has none of its own" in capsys.readouterr().err
    choose_precision("bf16", CPU)
    assert capsys.readouterr().err == ""  # once per process


@pytest.mark.parametrize(("vnni", "how"), [(True, "native"), (False, "emulated")])
def test_int8_products_need_a_processor_that_has_them(monkeypatch, capsys, vnni, how):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: vnni)
    assert choose_precision("int8", CPU) == Precision(torch.int8, emulated=how == "emulated")
    assert f"int8: {how} products on this cpu" in capsys.readouterr().err
    assert choose_precision("int8", torch.device("cuda")).emulated


@pytest.mark.parametrize(("share", "expected"), [(0.4, NATIVE), (0.95, EMULATED), (1.7, EMULATED)])
def test_the_faster_products_are_chosen(monkeypatch, capsys, share, expected):
    has(monkeypatch, products=True, share=share)
    assert choose_precision("bf16", CPU) == expected
    assert f"take {share:.2f} times as long as those of float32" in capsys.readouterr().err


def test_the_choice_of_a_checkpoint_is_kept_without_a_measurement(monkeypatch):
    has(monkeypatch, products=True)
    monkeypatch.setattr(precision, "native_share", lambda: pytest.fail("measured"))
    assert choose_precision("bf16", CPU, kept="native") == NATIVE
    assert choose_precision("bf16", CPU, kept="emulated") == EMULATED


@pytest.mark.parametrize(("asked", "expected"), [("native", NATIVE), ("emulated", EMULATED)])
def test_the_user_can_force_either(monkeypatch, asked, expected):
    has(monkeypatch, products=asked == "emulated", share=0.1 if asked == "emulated" else 9.0)
    monkeypatch.setenv("SEQ2SEQ_BF16", asked)
    assert choose_precision("bf16", CPU, kept="native") == expected


def test_another_value_is_refused(monkeypatch):
    monkeypatch.setenv("SEQ2SEQ_BF16", "yes")
    with pytest.raises(UserError, match="SEQ2SEQ_BF16=yes: must be native, emulated or auto"):
        choose_precision("bf16", CPU)


def test_a_measurement_is_a_positive_number_made_once():
    assert precision.native_share() > 0
    assert precision.native_share() == precision.native_share()


@pytest.mark.parametrize("kind", [torch.nn.Linear, torch.nn.LSTM, torch.nn.LSTMCell])
def test_products_of_modules_take_rounded_operands_and_round_their_results(kind):
    torch.manual_seed(1)
    module, x = kind(8, 8), torch.randn(3, 8, requires_grad=True)
    with Rounding():
        results = module(x)
    for result in results if isinstance(results, tuple) else [results]:
        for tensor in result if isinstance(result, tuple) else [result]:
            assert torch.equal(tensor, tensor.bfloat16().float())
    with torch.no_grad():
        for parameter in (*module.parameters(), x):
            parameter.copy_(parameter.bfloat16())
    rounded_before = module(x)
    while isinstance(rounded_before, tuple):
        rounded_before, results = rounded_before[0], results[0]
    assert torch.equal(rounded_before.bfloat16().float(), results)


def test_a_parameter_is_rounded_once_and_gets_its_whole_gradient():
    torch.manual_seed(1)
    layer, x = torch.nn.Linear(8, 8, bias=False), torch.randn(4, 8)
    with Rounding():
        (layer(x).sum() + layer(2 * x).sum()).backward()
    expected = 3 * x.bfloat16().float().sum(dim=0).expand(8, 8)
    torch.testing.assert_close(layer.weight.grad, expected)


def test_rounded_parameters_can_be_kept_from_one_use_to_the_next():
    layer = torch.nn.Linear(8, 8)
    kept: dict[Any, Any] = {}
    with torch.inference_mode():
        with EMULATED.autocast("cpu", encoder=True, rounded=kept):
            layer(torch.ones(1, 8))
        first = dict(kept)
        with EMULATED.autocast("cpu", encoder=True, rounded=kept):
            layer(torch.ones(1, 8))
    assert len(first) == 2
    assert all(kept[key] is tensor for key, tensor in first.items())


def test_emulated_rounding_is_that_of_bfloat16_and_passes_the_gradient():
    x = torch.tensor([1 + 2**-9, 3.14159, -1e-30], requires_grad=True)
    rounded = EMULATED.round(x)
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, NATIVE.round(x).float())
    rounded.backward(torch.tensor([1 + 2**-20, 1.0, 2.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [1 + 2**-20, 1.0, 2.0]
