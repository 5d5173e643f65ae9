"""How operands of products are rounded, in which type they are multiplied, and what is summed up beside them.

Why: rounding changes the result, so that it is a parameter. The type in which rounded operands are
multiplied changes the order of summation only, and not every processor is quick at bfloat16: where its
bfloat16 products are the slower ones, operands are rounded to bfloat16 all the same, kept in float32 and
multiplied there (emulated).
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

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}  # of operands, as params.yaml names them
BF16 = "SEQ2SEQ_BF16"
NATIVE, EMULATED = "native", "emulated"
# Native products are chosen at this share of float32's time or less. Processors lie far to one side of it
# (about 0.4, or 1.2 and more), so that a measurement on a busy machine comes to the same choice.
WORTH_IT = 0.8
ROWS, READ, WRITTEN = 128, 512, 1024  # of the product that is measured: a step of a decoder
ROUNDS = 5


@dataclass(frozen=True)
class Precision:
    """The type that operands of products are rounded to; `emulated`: and then kept in float32."""

    dtype: torch.dtype = torch.float32
    emulated: bool = False

    @property
    def kept(self) -> torch.dtype:
        """The type of operands as they lie in memory, which is that of their products."""
        return torch.float32 if self.emulated else self.dtype

    @property
    def wide(self) -> torch.dtype:
        """The type of what is summed up beside products: float32 at least."""
        return torch.promote_types(self.dtype, torch.float32)

    @property
    def products(self) -> str:
        """native or emulated: how products are made."""
        return EMULATED if self.emulated else NATIVE

    def round(self, x: Tensor) -> Tensor:
        """An operand. Gradients that pass back through it are rounded where they become operands."""
        if not self.emulated:
            return x.to(self.dtype)
        if not (x.requires_grad and torch.is_grad_enabled()):
            return to_bfloat16_and_back(x)
        rounded: Tensor = Rounded.apply(x)  # type: ignore[no-untyped-call]
        return rounded

    def casting(
        self, device: str, *, encoder: bool = False, rounded: dict[int, Tensor] | None = None
    ) -> AbstractContextManager[object]:
        """Within it products of modules on a type of device take rounded operands, if of bfloat16.

        Not those of an encoder on CUDA: autocast hands cuDNN's LSTMs float16, whatever type was asked
        for, which is too narrow for gradients. An encoder on a CPU whose oneDNN has no bfloat16 LSTM is
        emulated, also where native products were asked for. `rounded` keeps the emulation's parameters from
        one use to the next, while their values stay the same.
        """
        if self.dtype != torch.bfloat16:
            return nullcontext()
        if self.emulated or (encoder and device == "cpu" and not has_products(self.dtype)):
            return Rounding(rounded)
        return torch.autocast(device, torch.bfloat16, enabled=not (encoder and device == "cuda"))


class Rounded(Function):
    """A float32 tensor rounded to what bfloat16 can hold; the gradient passes as it is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Two passes, which take a hundredth of the time of a product."""
        return to_bfloat16_and_back(x)

    @staticmethod
    def backward(ctx: Any, d_x: Tensor) -> Tensor:
        """Unchanged."""
        return d_x


class Rounding(TorchFunctionMode):
    """What autocast does, emulated: products take rounded operands, and their results are rounded.

    So are the gradients of the results, which are operands on the way back. An LSTM of several positions
    multiplies its own state as it is between them. Each parameter is rounded once and put into `rounded`.
    """

    def __init__(self, rounded: dict[int, Tensor] | None = None) -> None:
        super().__init__()
        self._rounded = {} if rounded is None else rounded

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Round around products, and call everything else as it is."""
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
    """The nearest numbers that bfloat16 can hold, in float32; so is the gradient rounded."""
    return torch.empty_like(x).copy_(x.to(torch.bfloat16))  # a fifth quicker than converting twice


def choose_precision(precision: str, device: torch.device, kept: str | None = None) -> Precision:
    """How to compute in one of PRECISIONS on a device; prints how bfloat16 products are made, and why.

    `kept`: native or emulated, what an earlier part of the same work chose; SEQ2SEQ_BF16 comes before it.
    Raises UserError for another value of SEQ2SEQ_BF16.
    """
    torch.backends.cudnn.allow_tf32 = False  # the decoder's cells have full precision: so must the encoder
    dtype = PRECISIONS[precision]
    if dtype == torch.float32:
        return Precision(dtype)
    how, reason = _bfloat16_products(device.type, kept)
    _print_once(f"bf16: {how} products on this {device.type} ({reason})")
    return Precision(dtype, emulated=how == EMULATED)


def _bfloat16_products(device: str, kept: str | None) -> tuple[str, str]:
    """native or emulated, and why."""
    asked = os.environ.get(BF16) or "auto"
    if asked not in (NATIVE, EMULATED, "auto"):
        raise UserError(f"{BF16}={asked}: must be {NATIVE}, {EMULATED} or auto")
    if asked != "auto":
        return asked, f"{BF16} is set"
    if device != "cpu":
        slow = not torch.cuda.is_bf16_supported(including_emulation=False)
        return NATIVE, "it has none of its own: precision fp32 is quicker" if slow else "it has them"
    if not has_products(torch.bfloat16):
        return EMULATED, "it has none of its own: operands are rounded to bfloat16, multiplied in float32"
    if kept is not None:
        return kept, "as the checkpoint has it"
    share = native_share()
    how = NATIVE if share <= WORTH_IT else EMULATED
    return how, f"native ones take {share:.2f} times as long as those of float32; {BF16} sets either"


@functools.cache
def native_share() -> float:
    """The time of this CPU's bfloat16 products as a share of emulated ones', measured in milliseconds.

    Products take turns, and the quickest of each counts, so that other processes disturb little.
    """
    x, weight = torch.ones(ROWS, READ), torch.ones(WRITTEN, READ)
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
    quickest = [min(seconds[1:]) for seconds in times.values()]  # the first round prepares kernels
    return quickest[0] / quickest[1]


@functools.cache
def _print_once(line: str) -> None:
    # To standard error: the standard output of `translate` is translations.
    print(line, file=sys.stderr, flush=True)


def has_products(dtype: torch.dtype) -> bool:
    """Whether this CPU has oneDNN's products of a type."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
