"""Builds a network twice with the same calls: in floats, to find ranges, then as ONNX QDQ with those ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

Weights = Literal["ternary", "int8"]
F32 = npt.NDArray[np.float32]
Scale = tuple[float, int]

SAMPLES = 4
ZEROS = 0.5
INPUT_SCALE = 1 / 64
"""Of the int8 input, whose samples are drawn uniformly over all codes."""


class Builder:
    """One pass over a network. Feature maps are NCHW, as ONNX has them.

    scales: (scale, zero point) of each quantised activation by name; None in the float pass, which makes
    every activation that will be quantised an output of the model instead. The random numbers of a pass
    depend on the seed only, so both passes have the same weights.
    """

    def __init__(
        self, shape: Sequence[int], seed: int, first: Weights, scales: Mapping[str, Scale] | None
    ) -> None:
        self.shape = tuple(shape)
        self.scales = scales
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._weights: Weights = first
        self._nodes: list[onnx.NodeProto] = []
        self._inits: list[onnx.TensorProto] = []
        self.signed: dict[str, bool] = {}

    @property
    def quantised(self) -> bool:
        return self.scales is not None

    def _init(self, name: str, a: npt.NDArray[Any]) -> str:
        self._inits.append(numpy_helper.from_array(np.asarray(a, order="C"), name))
        return name

    def _node(self, op: str, inputs: Sequence[str], out: str, **attrs: Any) -> str:
        self._nodes.append(helper.make_node(op, list(inputs), [out], name=out, **attrs))
        return out

    def input(self) -> str:
        """The network's input: int8 codes, or what they mean in the float pass."""
        if not self.quantised:
            return "x"
        scale, zero = self._init("x.scale", np.float32(INPUT_SCALE)), self._init("x.zero", np.int8(0))
        return self._node("DequantizeLinear", ["x", scale, zero], "x.real")

    def _int8(self, x: str, *, signed: bool) -> str:
        """An activation in int8; all 256 codes are for values above zero unless it is signed."""
        self.signed[x] = signed
        if self.scales is None:
            return x
        s, z = self.scales[x]
        scale, zero = self._init(f"{x}.scale", np.float32(s)), self._init(f"{x}.zero", np.int8(z))
        q = self._node("QuantizeLinear", [x, scale, zero], f"{x}.q")
        return self._node("DequantizeLinear", [q, scale, zero], f"{x}.dq")

    def _weight(self, name: str, shape: Sequence[int]) -> str:
        """Random weights (OC, ...) that keep the size of activations; the first are int8 if so chosen."""
        outs, fan_in = shape[0], int(np.prod(shape[1:]))
        if self._weights == "ternary":
            nonzero = (1 - ZEROS) / 2
            codes = self._rng.choice([-1, 0, 1], tuple(shape), p=[nonzero, ZEROS, nonzero])
            power = fan_in * (1 - ZEROS)
        else:
            codes = np.clip(np.rint(self._rng.normal(0, 40, tuple(shape))), -127, 127)
            power = fan_in * 40.0**2
        self._weights = "ternary"
        scale = (np.sqrt(2 / power) * self._rng.uniform(0.7, 1.4, outs)).astype(np.float32)
        q = self._init(f"{name}.weight", codes.astype(np.int8))
        s = self._init(f"{name}.weight_scale", scale)
        return self._node("DequantizeLinear", [q, s], f"{name}.w", axis=0)

    def _bias(self, name: str, outs: int) -> str:
        return self._init(f"{name}.bias", self._rng.normal(0, 0.2, outs).astype(np.float32))

    def conv(
        self,
        x: str,
        name: str,
        channels: int,
        outs: int,
        kernel: tuple[int, int],
        stride: int = 1,
        *,
        size: tuple[int, int],
        depthwise: bool = False,
        relu: bool = True,
    ) -> str:
        """A convolution of a (height, width) map with TensorFlow's "same" padding, and its ReLU."""
        pads = [same_padding(n, k, stride) for n, k in zip(size, kernel, strict=True)]
        w = self._weight(name, (outs, 1 if depthwise else channels, *kernel))
        y = self._node(
            "Conv",
            [x, w, self._bias(name, outs)],
            f"{name}.conv",
            kernel_shape=list(kernel),
            strides=[stride, stride],
            pads=[pads[0][0], pads[1][0], pads[0][1], pads[1][1]],
            group=channels if depthwise else 1,
        )
        if relu:
            y = self._node("Relu", [y], f"{name}.relu")
        return self._int8(y, signed=not relu)

    def dense(self, x: str, name: str, ins: int, outs: int, *, relu: bool, last: bool = False) -> str:
        """A fully connected layer; the last one of a classifier stays in floats."""
        y = self._node("Gemm", [x, self._weight(name, (outs, ins)), self._bias(name, outs)], name, transB=1)
        if relu:
            y = self._node("Relu", [y], f"{name}.relu")
        return y if last else self._int8(y, signed=not relu)

    def add(self, a: str, b: str, name: str) -> str:
        """The sum of two branches and its ReLU."""
        y = self._node("Relu", [self._node("Add", [a, b], name)], f"{name}.relu")
        return self._int8(y, signed=False)

    def mean(self, x: str, name: str) -> str:
        """The mean of every channel, flattened."""
        y = self._int8(self._node("GlobalAveragePool", [x], name), signed=False)
        return self._node("Flatten", [y], f"{name}.flat", axis=1)

    def classes(self, x: str, name: str, ins: int, outs: int) -> str:
        """A classifier: fully connected, then softmax."""
        return self._node("Softmax", [self.dense(x, name, ins, outs, relu=False, last=True)], "y", axis=1)

    def model(self, name: str, y: str, outs: int, extra: Sequence[str], batch: int) -> onnx.ModelProto:
        """What was built: input "x", output `y`, and `extra` outputs of unknown shape."""
        kind = TensorProto.INT8 if self.quantised else TensorProto.FLOAT
        y_kind = TensorProto.INT8 if y.endswith(".q") else TensorProto.FLOAT
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info("x", kind, [batch, *self.shape])],
            [
                helper.make_tensor_value_info(y, y_kind, [batch, outs]),
                *(helper.make_tensor_value_info(e, TensorProto.FLOAT, None) for e in extra if e != y),
            ],
            self._inits,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="edgebit-examples"
        )
        if self.quantised:
            onnx.checker.check_model(model, full_check=True)
        return model


Network = Callable[[Builder], tuple[str, int]]
"""Builds a network with a Builder; returns its output, whose int8 codes are taken if it was quantised, and how
many values that has."""


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "same": (before, after) so that there are ceil(size / stride) outputs."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def build(name: str, network: Network, shape: Sequence[int], seed: int, first: Weights) -> onnx.ModelProto:
    """The QDQ model of a network, its ranges found by running it in floats on random inputs."""
    floats = Builder(shape, seed, first, None)
    y, outs = network(floats)
    watched = list(floats.signed)
    model = floats.model(name, y, outs, watched, SAMPLES)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    codes = np.random.Generator(np.random.PCG64(seed + 1)).integers(-128, 128, (SAMPLES, *shape))
    found = session.run(watched, {"x": (codes * INPUT_SCALE).astype(np.float32)})
    scales = {n: _scale(v, signed=floats.signed[n]) for n, v in zip(watched, found, strict=True)}
    qdq = Builder(shape, seed, first, scales)
    y, outs = network(qdq)
    return qdq.model(name, f"{y}.q" if y in scales else y, outs, (), 1)


def _scale(values: F32, *, signed: bool) -> Scale:
    """The scale and zero point for the range of `values`, to 1/64 so that every machine finds the same."""
    peak = max(float(np.quantile(np.abs(values), 0.999)), 1e-3)
    mantissa, exponent = np.frexp(peak)
    rounded = np.ldexp(np.ceil(mantissa * 64) / 64, exponent)
    return (float(rounded) / 127, 0) if signed else (float(rounded) / 255, -128)
