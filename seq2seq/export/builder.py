"""Builds an ONNX graph node by node, with linear layers in float32 or int8.

Why: an exporter of PyTorch traces the reference model, loop by loop; the graphs here have the precomputed
products of inference/fast_model.py and the fused nodes of onnxruntime, and need no further package.

In int8 weights have 7 bits and a scale for each output: products of 8 bits saturate on processors without
VNNI. An input is quantised by its range in the batch, or by a fixed one if its range is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 20, 10
MICROSOFT = "com.microsoft"  # the domain of onnxruntime's own nodes
MOST = 63  # of an int8 weight: 7 bits
BOUND, ZERO = 127.0, 128  # a fixed range from -1 to 1 as unsigned bytes
TYPES = {"float": TensorProto.FLOAT, "int64": TensorProto.INT64, "int32": TensorProto.INT32}

Precision = Literal["fp32", "int8"]
Array = npt.NDArray[Any]
Shape = Sequence[str | int]


class Graph:
    """A graph under construction; values are named by strings."""

    def __init__(self, name: str, precision: Precision) -> None:
        self.name, self.precision = name, precision
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._renamed: dict[str, str] = {}

    def input(self, name: str, kind: str, shape: Shape) -> str:
        """Declare an input."""
        self._inputs.append(helper.make_tensor_value_info(name, TYPES[kind], shape))
        return name

    def output(self, value: str, name: str, kind: str, shape: Shape) -> None:
        """Declare a value as an output of that name."""
        self._renamed[value] = name
        self._outputs.append(helper.make_tensor_value_info(name, TYPES[kind], shape))

    def constant(self, array: Array | float | int | list[int]) -> str:
        """A constant; integers become int64, other numbers float32."""
        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Add a node; returns the name of its output, or the names of several."""
        names = [f"n{len(self._nodes)}_{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, value: str, weight: Array, bias: Array | None = None, *, bounded: bool = False) -> str:
        """x W^T + b; a `bounded` input lies between -1 and 1."""
        if self.precision == "fp32":
            product: str = self.node("MatMul", value, self.constant(weight.T.astype(np.float32)))
            return product if bias is None else self.node("Add", product, self.constant(bias))
        whole, scale = quantized(weight)
        shift = "" if bias is None else self.constant(bias.astype(np.float32))
        weights = self.constant(whole.T), self.constant(scale)
        if not bounded:
            return self._own("DynamicQuantizeMatMul", value, *weights, "", shift)
        unit, zero = self.constant(1 / BOUND), self.constant(np.array(ZERO, np.uint8))
        rounded = self.node("QuantizeLinear", value, unit, zero)
        return self._own("MatMulIntegerToFloat", rounded, weights[0], unit, weights[1], zero, "", shift)

    def rows(self, table: Array, index: str) -> str:
        """Rows of a table of embeddings."""
        if self.precision == "fp32":
            return str(self.node("Gather", self.constant(table.astype(np.float32)), index))
        whole, scale = quantized(table, 127)
        picked = self.node("Cast", self.node("Gather", self.constant(whole), index), to=TensorProto.FLOAT)
        return str(self.node("Mul", picked, self.node("Gather", self.constant(scale[:, None]), index)))

    def lstm(self, inputs: str, lengths: str, directions: Sequence[Sequence[Array]]) -> tuple[str, str]:
        """A bidirectional LSTM over (S, B, X): its states (S, 2, B, H) and the last ones (2, B, H).

        A direction is PyTorch's weight_ih, weight_hh, bias_ih, bias_hh.
        """
        units = directions[0][1].shape[1]
        parts = [[_reorder(part, units) for part in direction] for direction in directions]
        bias = self.constant(np.stack([np.concatenate(part[2:]) for part in parts]))
        both = [np.stack([part[number] for part in parts]) for number in (0, 1)]
        attributes = {"direction": "bidirectional", "hidden_size": units, "outputs": 2}
        if self.precision == "fp32":
            states, last = self.node(
                "LSTM", inputs, *(self.constant(w) for w in both), bias, lengths, **attributes
            )
            return states, last
        found = [[quantized(direction) for direction in weight] for weight in both]
        wholes = (self.constant(np.stack([whole.T for whole, _ in pairs])) for pairs in found)
        scales = [np.stack([scale for _, scale in pairs]) for pairs in found]
        zeros = (self.constant(np.zeros(scale.shape, np.int8)) for scale in scales)
        named = [self.constant(scale) for scale in scales]
        zero = list(zeros)
        values = (*wholes, bias, lengths, "", "", "", named[0], zero[0], named[1], zero[1])
        states, last = self.node("DynamicQuantizeLSTM", inputs, *values, domain=MICROSOFT, **attributes)
        return states, last

    def _own(self, kind: str, *inputs: str) -> str:
        return str(self.node(kind, *inputs, domain=MICROSOFT))

    def write(self, path: Path, about: dict[str, str]) -> None:
        """Write the graph as a file, with texts about it."""
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [self._renamed.get(name, name) for name in names]
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, self._constants)
        domains = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=domains, ir_version=IR, producer_name="seq2seq")
        helper.set_model_props(model, about)
        onnx.save_model(model, str(path))


def quantized(weight: Array, most: int = MOST) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """The rows of a matrix as integers up to `most`, and the scale of each row."""
    scale = np.maximum(np.abs(weight).max(axis=1), 1e-12).astype(np.float32) / most
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


def _reorder(weight: Array, units: int) -> Array:
    """PyTorch's gates (input, forget, cell, output) in the order of ONNX (input, output, forget, cell)."""
    gates = weight.reshape(4, units, *weight.shape[1:])
    return np.ascontiguousarray(gates[[0, 3, 1, 2]].reshape(weight.shape))
