"""A model as two ONNX graphs: the encoder, and one step of the decoder with the best words after it.

Why: a search needs both, and nothing else of PyTorch. In float32 the contribution of source positions to the
gates and the readout is one product a sentence, shared by its hypotheses, as in inference/fast_model.py; in
int8 the product of a step costs less than the larger memory.

Tensors are named as in inference/fast_model.py; besides, C are the candidates of a row. Columns of the output
layer are words from `eos` on, padded to whole blocks, then a block of its own with the words that no
translation contains: these have a share in the softmax, and the search for candidates leaves them out.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from torch import nn

from seq2seq.data.vocabulary import EOS, PAD
from seq2seq.export.builder import Array, Graph, Precision
from seq2seq.nn.attention import AdditiveAttention, GeneralAttention
from seq2seq.nn.model import Seq2Seq

BLOCK = 64  # columns of the output layer whose best one is compared first
FORBIDDEN = -1e30  # the score of a column that is no word, and of a position that is padding


def encoder(model: Seq2Seq, precision: Precision) -> Graph:
    """From `source` (N, S) and `lengths` (N): the memory, and the decoder's first state."""
    graph = Graph("encoder", precision)
    source, lengths = graph.input("source", "int64", "NS"), graph.input("lengths", "int32", "N")
    parts, decoder = model.encoder, model.decoder
    embedded = graph.rows(_embeddings(parts.embedding), source)
    inputs = graph.node("Transpose", embedded, perm=[1, 0, 2])
    hidden, cell = [], []
    for pair in zip(parts.forward_lstm, parts.backward_lstm, strict=True):
        directions = [[_array(p) for _, p in lstm.named_parameters()] for lstm in pair]
        states, last = graph.lstm(inputs, lengths, directions)
        # (S, 2, N, H) to (S, N, 2 H), both directions of a position beside each other
        inputs = _joined(graph, states, [0, 2, 1, 3], [0, 0, -1])
        final = _joined(graph, last, [1, 0, 2], [0, -1])
        hidden.append(graph.node("Tanh", _linear(graph, final, parts.first_hidden, bounded=True)))
        cell.append(_linear(graph, final, parts.first_cell, bounded=True))
    for number, (d, c) in enumerate(zip(hidden, cell, strict=True)):
        graph.output(d, f"hidden{number}", "float", ["N", model.config.hidden_size])
        graph.output(c, f"cell{number}", "float", ["N", model.config.hidden_size])
    attend = decoder.attention
    if attend is None:
        return graph
    values = graph.node("Transpose", _normed(graph, inputs, parts.norm), perm=[1, 0, 2])
    keys = values
    if isinstance(attend, AdditiveAttention):
        keys = _linear(graph, values, attend.key)
    else:
        if isinstance(attend, GeneralAttention):
            keys = _linear(graph, values, attend.key)
        else:
            halves = graph.node("Split", values, outputs=2, axis=2, num_outputs=2)
            keys = graph.node("Add", *halves)
        keys = graph.node("Div", keys, graph.constant(math.sqrt(model.config.hidden_size)))
        keys = graph.node("Transpose", keys, perm=[0, 2, 1])
    units = model.config.hidden_size
    hoisted = _contribution(graph, model, values) if _hoists(graph) else values
    padding = graph.node("Equal", source, graph.constant(PAD))
    mask = graph.node("Where", padding, graph.constant(FORBIDDEN), graph.constant(0.0))
    mask = graph.node("Unsqueeze", mask, graph.constant([1]))
    context, _ = _attend(graph, model, hidden[-1], hoisted, keys, mask)
    graph.output(_slice(graph, context, 0, 4 * units), "context", "float", ["N", 4 * units])
    graph.output(hoisted, "values", "float", ["N", "S", _values_size(graph, model)])
    additive = isinstance(attend, AdditiveAttention)
    graph.output(keys, "keys", "float", ["N", "S", "A"] if additive else ["N", "A", "S"])
    graph.output(mask, "mask", "float", ["N", 1, "S"])
    return graph


def step(model: Seq2Seq, precision: Precision) -> Graph:
    """From `word` (R) and the state before it: `best` and `words` (R, C), and the state after it.

    `best` has the log-probabilities of the `count` likeliest words, `weights` those of attention; they
    are not computed for a program that does not request them.
    """
    graph = Graph("step", precision)
    decoder, units, embedding = model.decoder, model.config.hidden_size, model.config.embedding_size
    word, count = graph.input("word", "int64", "R"), graph.input("count", "int64", [1])
    cells = list(decoder.cells)
    before = [
        [graph.input(f"{name}{n}", "float", ["R", units]) for name in ("hidden", "cell")]
        for n in range(len(cells))
    ]
    attend = decoder.attention
    memory = []
    if attend is not None:
        context = graph.input("context", "float", ["R", 4 * units])
        memory.append(graph.input("values", "float", ["N", "S", _values_size(graph, model)]))
        keys = ["N", "S", "A"] if isinstance(attend, AdditiveAttention) else ["N", "A", "S"]
        memory += [graph.input("keys", "float", keys), graph.input("mask", "float", ["N", 1, "S"])]
    inputs = graph.rows(_embeddings(decoder.embedding), word)
    after = []
    for number, (cell, (hidden, state)) in enumerate(zip(cells, before, strict=True)):
        weight, bias = _array(cell.weight_ih), _array(cell.bias_ih) + _array(cell.bias_hh)
        weight = weight[:, :embedding] if number == 0 else weight
        gates = graph.linear(inputs, _gates(weight), _gates(bias), bounded=number > 0)
        gates = graph.node("Add", gates, graph.linear(hidden, _gates(_array(cell.weight_hh)), bounded=True))
        if number == 0 and attend is not None:
            gates = graph.node("Add", gates, context)
        inputs, state = _lstm_cell(graph, gates, state, units)
        after.append((inputs, state))
    d = inputs
    weight, bias = _array(decoder.readout.weight)[:, :units], _array(decoder.readout.bias)
    readout = graph.linear(d, weight, bias, bounded=True)
    if attend is not None:
        context, weights = _attend(graph, model, d, *memory)
        graph.output(weights, "weights", "float", ["N", "K", "S"])
        readout = graph.node("Add", readout, _slice(graph, context, 4 * units, 4 * units + embedding))
        graph.output(_slice(graph, context, 0, 4 * units), "context_after", "float", ["R", 4 * units])
    readout = graph.node("Tanh", _normed(graph, readout, decoder.norm))
    best, words = _candidates(graph, readout, decoder.vocabulary, count)
    graph.output(best, "best", "float", "RC")
    graph.output(words, "words", "int64", "RC")
    for number, (hidden, state) in enumerate(after):
        graph.output(hidden, f"hidden{number}_after", "float", ["R", units])
        graph.output(state, f"cell{number}_after", "float", ["R", units])
    return graph


def _candidates(graph: Graph, readout: str, vocabulary: nn.Linear, count: str) -> tuple[str, str]:
    """The log-probabilities and ids of the likeliest words: the best of a row are in its best blocks."""
    weight, bias = _array(vocabulary.weight), _array(vocabulary.bias)
    blocks = -(-(len(weight) - EOS) // BLOCK)
    columns = np.zeros((blocks + 1) * BLOCK, np.int64) - 1
    columns[: len(weight) - EOS] = np.arange(EOS, len(weight))
    columns[blocks * BLOCK : blocks * BLOCK + EOS] = np.arange(EOS)
    used = columns >= 0
    weight_XE = np.where(used[:, None], weight[columns], 0).astype(np.float32)
    bias_X = np.where(used, bias[columns], FORBIDDEN).astype(np.float32)
    logits = graph.linear(readout, weight_XE, bias_X, bounded=True)
    logs = graph.node("LogSoftmax", logits, axis=1)
    by_block = graph.node("Reshape", logs, graph.constant([0, blocks + 1, BLOCK]))
    most = graph.node("ReduceMax", by_block, graph.constant([2]), keepdims=0)
    some = graph.node("Min", count, graph.constant([blocks]))
    _, block = graph.node("TopK", _slice(graph, most, 0, blocks), some, outputs=2, axis=1)
    rows = graph.node("Shape", logs, start=0, end=1)
    row = graph.node("Range", graph.constant(0), graph.node("Squeeze", rows), graph.constant(1))
    row = graph.node("Mul", graph.node("Unsqueeze", row, graph.constant([1])), graph.constant(blocks + 1))
    flat = graph.node("Reshape", by_block, graph.constant([-1, BLOCK]))
    picked = graph.node("Gather", flat, graph.node("Add", row, block))
    picked = graph.node("Reshape", picked, graph.node("Concat", rows, graph.constant([-1]), axis=0))
    best, place = graph.node("TopK", picked, count, outputs=2, axis=1)
    width = graph.constant(BLOCK)
    which = graph.node("GatherElements", block, graph.node("Div", place, width), axis=1)
    column = graph.node("Add", graph.node("Mul", which, width), graph.node("Mod", place, width))
    return best, graph.node("Add", column, graph.constant(EOS))


def _hoists(graph: Graph) -> bool:
    """Whether the memory has contributions to the gates and the readout in place of the encoder's states."""
    return graph.precision == "fp32"


def _values_size(graph: Graph, model: Seq2Seq) -> int:
    """The width of the memory's values: P, or M."""
    units = model.config.hidden_size
    return 4 * units + model.config.embedding_size if _hoists(graph) else 2 * units


def _contribution(graph: Graph, model: Seq2Seq, context: str) -> str:
    """The contribution of a context, or of the encoder's states, to the gates and the readout (..., P)."""
    units, embedding, decoder = model.config.hidden_size, model.config.embedding_size, model.decoder
    to_gates = _array(cast("nn.LSTMCell", decoder.cells[0]).weight_ih)[:, embedding:]
    to_readout = _array(decoder.readout.weight)[:, units:]
    return graph.linear(context, np.concatenate([_gates(to_gates), to_readout]))


def _attend(graph: Graph, model: Seq2Seq, d: str, values: str, keys: str, mask: str) -> tuple[str, str]:
    """The contribution of the context of d to the gates and the readout (R, P), and the weights (N, K, S)."""
    attend, config = model.decoder.attention, model.config
    additive = isinstance(attend, AdditiveAttention)
    query = _linear(graph, d, attend.query, bounded=True) if isinstance(attend, AdditiveAttention) else d
    sentences = graph.node("Shape", values, start=0, end=1)
    size = config.attention_size if additive else config.hidden_size
    shape = graph.node("Concat", sentences, graph.constant([-1, size]), axis=0)
    query = graph.node("Reshape", query, shape)  # (N, K, A)
    if isinstance(attend, AdditiveAttention):
        every = graph.node("Unsqueeze", query, graph.constant([2]))
        energy = graph.node("Add", every, graph.node("Unsqueeze", keys, graph.constant([1])))
        weight = graph.constant(_array(attend.energy.weight).T)
        scores = graph.node("MatMul", graph.node("Tanh", energy), weight)
        scores = graph.node("Squeeze", scores, graph.constant([3]))
    else:
        scores = graph.node("MatMul", query, keys)
    weights = graph.node("Softmax", graph.node("Add", scores, mask), axis=2)
    context = graph.node("MatMul", weights, values)
    context = graph.node("Reshape", context, graph.constant([-1, _values_size(graph, model)]))
    return context if _hoists(graph) else _contribution(graph, model, context), weights


def _lstm_cell(graph: Graph, gates: str, cell: str, units: int) -> tuple[str, str]:
    """The state d and the new cell from the gates (input, forget, output, cell) before their activation."""
    opened = graph.node("Sigmoid", _slice(graph, gates, 0, 3 * units))
    input_gate, forget_gate, output_gate = graph.node("Split", opened, outputs=3, axis=1, num_outputs=3)
    cell_gate = graph.node("Tanh", _slice(graph, gates, 3 * units, 4 * units))
    cell = graph.node("Add", graph.node("Mul", forget_gate, cell), graph.node("Mul", input_gate, cell_gate))
    return graph.node("Mul", output_gate, graph.node("Tanh", cell)), cell


def _gates(weight: Array) -> Array:
    """PyTorch's gates (input, forget, cell, output) with the cell last, as in _lstm_cell."""
    gates = weight.reshape(4, -1, *weight.shape[1:])
    return np.ascontiguousarray(gates[[0, 1, 3, 2]].reshape(weight.shape))


def _normed(graph: Graph, value: str, norm: nn.Module) -> str:
    """Layer normalisation over the last axis, if the model has it."""
    if not isinstance(norm, nn.LayerNorm):
        return value
    scale, shift = graph.constant(_array(norm.weight)), graph.constant(_array(norm.bias))
    return str(graph.node("LayerNormalization", value, scale, shift, axis=-1, epsilon=norm.eps))


def _linear(graph: Graph, value: str, layer: nn.Linear, *, bounded: bool = False) -> str:
    bias = None if layer.bias is None else _array(layer.bias)
    return graph.linear(value, _array(layer.weight), bias, bounded=bounded)


def _joined(graph: Graph, states: str, order: list[int], shape: list[int]) -> str:
    return str(graph.node("Reshape", graph.node("Transpose", states, perm=order), graph.constant(shape)))


def _slice(graph: Graph, value: str, begin: int, end: int) -> str:
    """Columns of a matrix."""
    return str(graph.node("Slice", value, *(graph.constant([number]) for number in (begin, end, 1))))


def _embeddings(layer: Any) -> Array:
    """The table with the scale of its use as an input."""
    scaled: Array = _array(layer.weight) * layer.embedding_dim**0.5
    return scaled


def _array(weight: Any) -> Array:
    """A parameter as float32."""
    array: Array = weight.detach().cpu().float().numpy()
    return array
