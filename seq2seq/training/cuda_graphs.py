"""Loss and gradients of a batch on a GPU, recorded once for each shape of batch and then replayed.

Why: a word of the decoder is some fifty small kernels, which a GPU completes faster than Python launches
them. A CUDA graph is launched as one. It has fixed shapes and addresses: batches are padded to a coarse
grid of shapes, and copied to the inputs of the graph of their shape.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seq2seq.data.vocabulary import EOS, PAD
from seq2seq.nn.batches import Batch
from seq2seq.nn.model import Seq2Seq
from seq2seq.nn.precision import Precision
from seq2seq.training.fast_loss import summed_loss

# The grid: B, and S and T, are rounded up to multiples of these. Multi30k then has 68 shapes, and 9 % more
# decoder steps; with (32, 8) 26 shapes and 20 %, with (8, 2) 130 and 3 %.
SENTENCES, POSITIONS = 8, 4
MAX_GRAPHS = 256  # batches of further shapes run without a graph

Work = Callable[[], None]


class Graphs:
    """`fast_loss.summed_loss` and its backward pass, replayed; dropout differs at every replay.

    Gradients are written to the parameters' `grad`, which must remain these tensors: never set them to
    None. `record` makes a replay of work; tests replace it.
    """

    def __init__(
        self,
        model: Seq2Seq,
        smoothing: float,
        precision: Precision,
        record: Callable[[Work], Work] | None = None,
    ) -> None:
        self._model, self._smoothing, self._precision = model, smoothing, precision
        parameters = list(model.parameters())
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        self._grads = [p.grad for p in parameters if p.grad is not None]
        self._device = parameters[0].device
        self._record = record or Recorder(self._device)
        self._share = torch.ones((), dtype=precision.accumulation_dtype, device=self._device)  # of one token
        self._loss = torch.zeros((), dtype=precision.accumulation_dtype, device=self._device)
        self._recorded: dict[tuple[int, int, int], tuple[Batch, Work]] = {}

    def __call__(self, batch: Batch) -> Tensor:
        """The summed loss of a batch, overwritten by the next call; sets the gradients per token."""
        self._share.fill_(1 / batch.tokens)
        shape = grid(batch)
        if shape not in self._recorded:
            if len(self._recorded) == MAX_GRAPHS:
                self._run(batch)
                return self._loss
            inputs = empty(shape, self._device)
            fill(inputs, batch)
            self._recorded[shape] = inputs, self._record(lambda: self._run(inputs))
        inputs, replay = self._recorded[shape]
        fill(inputs, batch)
        replay()
        return self._loss

    def _run(self, batch: Batch) -> None:
        torch._foreach_zero_(self._grads)
        loss = summed_loss(self._model, batch, self._smoothing, self._precision)
        (loss * self._share).backward()  # type: ignore[no-untyped-call]
        self._loss.copy_(loss.detach())


class Recorder:
    """Records work on a CUDA device; the graphs share one memory pool, since one runs at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, work: Work) -> Work:
        """Run `work` once, to initialise libraries, and record it; leaves the random state unchanged."""
        random = torch.cuda.get_rng_state(self._device)
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)
        torch.cuda.set_rng_state(random, self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            work()
        return graph.replay


def grid(batch: Batch) -> tuple[int, int, int]:
    """The shape (B, S, T) of the grid for a batch."""
    (sentences, source), target = batch.source_BS.shape, batch.input_BT.shape[1]
    return up(sentences, SENTENCES), up(source, POSITIONS), up(target, POSITIONS)


def up(number: int, step: int) -> int:
    """The next multiple of a step."""
    return -(-number // step) * step


def empty(shape: tuple[int, int, int], device: torch.device) -> Batch:
    """An input for batches of a shape."""
    sentences, source, target = shape

    def table(*size: int) -> Tensor:
        return torch.full(size, PAD, device=device)

    return Batch(
        table(sentences, source), table(sentences), table(sentences, target), table(sentences, target), 0
    )


def fill(inputs: Batch, batch: Batch) -> None:
    """Copy a batch into a graph's input; surplus sentences have the source eos, and no output."""
    for into, tensor in zip(inputs[:4], batch[:4], strict=True):
        into.fill_(PAD)
        into[tuple(map(slice, tensor.shape))].copy_(tensor, non_blocking=True)
    surplus = slice(len(batch.source_BS), None)  # with eos, as a softmax over no position would be NaN
    inputs.source_BS[surplus, 0] = EOS
    inputs.source_lengths_B[surplus] = 1
