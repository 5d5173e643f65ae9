"""The precision of matrix products: of operands, of multiplication and of accumulation.

Why: rounding changes the result, so it is a parameter. The type in which rounded operands are multiplied
changes the order of summation only. Where a processor's products of a type are slower than those of
float32, operands are rounded to that type, kept in float32 and multiplied there (emulated).
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from seq2seq.common.errors import UserError

# Of operands, as params.yaml names them; int8 only in search.
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}
BF16 = "SEQ2SEQ_BF16"
NATIVE, EMULATED = "native", "emulated"
# Native products are chosen at this share of float32's time or less. Processors have about 0.4, or 1.2 and
# more, so that a measurement on a busy machine leads to the same choice.
WORTH_IT = 0.8
ROWS, INPUTS, OUTPUTS = 128, 512, 1024  # of the product that is measured: a step of a decoder
ROUNDS = 5


@dataclass(frozen=True)
class Precision:
    """The type that operands of products are rounded to; if `emulated`, they are kept in float32.

    int8 is for products with weights in search alone, whose other operand is in [-1, 1]: all others are those
    of float32.
    """

    dtype: torch.dtype = torch.float32
    emulated: bool = False

    @property
    def storage_dtype(self) -> torch.dtype:
        """The type of operands in memory, and of their products."""
        return torch.float32 if self.emulated else self.dtype

    @property
    def accumulation_dtype(self) -> torch.dtype:
        """The type of sums, softmaxes and losses: float32 at least."""
        return torch.promote_types(self.dtype, torch.float32)

    @property
    def products(self) -> str:
        """native or emulated."""
        return EMULATED if self.emulated else NATIVE

    def round(self, x: Tensor) -> Tensor:
        """Round an operand. Its gradient passes unchanged, and is rounded where it becomes an operand."""
        assert self.dtype != torch.int8  # which needs a scale
        if not self.emulated:
            return x.to(self.dtype)
        if not (x.requires_grad and torch.is_grad_enabled()):
            return to_bfloat16_and_back(x)
        rounded: Tensor = Rounded.apply(x)  # type: ignore[no-untyped-call]
        return rounded

    def autocast(
        self, device: str, *, encoder: bool = False, rounded: dict[int, Tensor] | None = None
    ) -> AbstractContextManager[object]:
        """A context in which products of modules on a type of device take bfloat16 operands, if set.

        An encoder on CUDA is left out: autocast gives cuDNN's LSTMs float16, whatever type is set, whose
        range is too narrow for gradients. An encoder on a CPU whose oneDNN has no bfloat16 LSTM is always
        emulated. `rounded` caches the emulation's rounded parameters, as long as their values do not
        change.
        """
        if self.dtype != torch.bfloat16:
            return nullcontext()
        if self.emulated or (encoder and device == "cpu" and not supports_matmul(self.dtype)):
            return Rounding(rounded)
        return torch.autocast(device, torch.bfloat16, enabled=not (encoder and device == "cuda"))


class Rounded(Function):
    """A float32 tensor rounded to bfloat16; the gradient passes unchanged."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Two passes: a hundredth of the time of a product."""
        return to_bfloat16_and_back(x)

    @staticmethod
    def backward(ctx: Any, d_x: Tensor) -> Tensor:
        """Unchanged."""
        return d_x


class Rounding(TorchFunctionMode):
    """Emulated autocast: products take rounded operands, and their results are rounded.

    So are the gradients of the results, which are operands of the backward pass. The state of an LSTM is
    not rounded between positions of one call. Each parameter is rounded once and cached in `rounded`.
    """

    def __init__(self, rounded: dict[int, Tensor] | None = None) -> None:
        super().__init__()
        self._rounded = {} if rounded is None else rounded

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Round operands and results of products; call other functions unchanged."""
        if func not in PRODUCTS:
            return func(*args, **(kwargs or {}))
        args, kwargs = tree_map_only(Tensor, self._operand, (args, kwargs or {}))
        return tree_map_only(Tensor, to_bfloat16_and_back, func(*args, **kwargs))

    def _operand(self, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            return x
        if not isinstance(x, nn.Parameter):
            return Rounded.apply(x)  # type: ignore[no-any-return, no-untyped-call]
        if id(x) not in self._rounded:
            self._rounded[id(x)] = Rounded.apply(x)  # type: ignore[no-untyped-call]
        return self._rounded[id(x)]


PRODUCTS = {F.linear, torch.mm, torch.bmm, torch.matmul, Tensor.matmul, torch._VF.lstm, torch._VF.lstm_cell}


def to_bfloat16_and_back(x: Tensor) -> Tensor:
    """Rounded to bfloat16, in float32; so is the gradient."""
    return torch.empty_like(x).copy_(x.to(torch.bfloat16))  # a fifth faster than converting twice


def choose_precision(precision: str, device: torch.device, kept: str | None = None) -> Precision:
    """One of PRECISIONS on a device; prints whether products of bfloat16 or int8 are native or emulated.

    `kept` is the choice (native or emulated) of an earlier part of the same training; SEQ2SEQ_BF16
    overrides it. Raises UserError for another value of SEQ2SEQ_BF16.
    """
    torch.backends.cudnn.allow_tf32 = False  # as the decoder's cells, the encoder has full precision
    dtype = PRECISIONS[precision]
    if dtype == torch.float32:
        return Precision(dtype)
    if dtype == torch.int8:
        how, reason = _int8_products(device.type)
    else:
        how, reason = _bfloat16_products(device.type, kept)
    _print_once(f"{precision}: {how} products on this {device.type} ({reason})")
    return Precision(dtype, emulated=how == EMULATED)


def _int8_products(device: str) -> tuple[str, str]:
    """native or emulated, and why."""
    if device == "cpu" and supports_matmul(torch.int8):
        return NATIVE, "it has them"
    return EMULATED, "it has none of its own: precision fp32 is faster"


def _bfloat16_products(device: str, kept: str | None) -> tuple[str, str]:
    """native or emulated, and why."""
    setting = os.environ.get(BF16) or "auto"
    if setting not in (NATIVE, EMULATED, "auto"):
        raise UserError(f"{BF16}={setting}: must be {NATIVE}, {EMULATED} or auto")
    if setting != "auto":
        return setting, f"{BF16} is set"
    if device != "cpu":
        slow = not torch.cuda.is_bf16_supported(including_emulation=False)
        return NATIVE, "it has none of its own: precision fp32 is faster" if slow else "it has them"
    if not supports_matmul(torch.bfloat16):
        return EMULATED, "it has none of its own: operands are rounded to bfloat16, multiplied in float32"
    if kept is not None:
        return kept, "as the checkpoint has it"
    share = native_share()
    how = NATIVE if share <= WORTH_IT else EMULATED
    return how, f"native ones take {share:.2f} times as long as those of float32; {BF16} sets either"


@functools.cache
def native_share() -> float:
    """The time of this CPU's bfloat16 products as a share of that of emulated ones; takes milliseconds.

    Both alternate, and the minimum of each counts, which limits the influence of other processes.
    """
    x, weight = torch.ones(ROWS, INPUTS), torch.ones(OUTPUTS, INPUTS)
    short_x, short_weight = x.bfloat16(), weight.bfloat16()

    def native() -> None:
        F.linear(short_x, short_weight)

    def emulated() -> None:
        F.linear(to_bfloat16_and_back(x), weight)

    times: dict[Callable[[], None], list[float]] = {native: [], emulated: []}
    with torch.inference_mode():
        for _ in range(1 + ROUNDS):
            for product, seconds in times.items():
                began = time.perf_counter()
                product()
                seconds.append(time.perf_counter() - began)
    fastest = [min(seconds[1:]) for seconds in times.values()]  # the first round prepares kernels
    return fastest[0] / fastest[1]


@functools.cache
def _print_once(line: str) -> None:
    # To standard error: the standard output of `translate` is translations.
    print(line, file=sys.stderr, flush=True)


def supports_matmul(dtype: torch.dtype) -> bool:
    """Whether oneDNN has products of a type on this CPU."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.int8:  # without VNNI, sums of two products of bytes saturate
        return bool(torch.cpu._is_vnni_supported())
    return dtype == torch.float32
