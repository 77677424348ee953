"""Float graphs with quantisation, built node by node together with the values of one run."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebit.ir.graph import (
    Affine,
    Array,
    Const,
    Graph,
    Node,
    Quant,
    Tensor,
    TernaryWeights,
)
from edgebit.ir.serial import graph_to_bytes
from edgebit.ops.base import op_of
from edgebit.passes.calibrate import choose_quant, int8_weights
from edgebit.passes.prepare import prepare

INF = float("inf")


class Build:
    """A channels-last float graph with quantize/dequantize pairs, and the values of one run of it."""

    def __init__(self, seed: int = 0) -> None:
        self.g = Graph("test")
        self.rng = np.random.default_rng(seed)
        self.values: dict[str, Array] = {}

    def input(self, *shape: int) -> str:
        name = self.g.fresh("x")
        self.g.inputs.append(name)
        self.g.tensors[name] = Tensor(name, shape)
        self.values[name] = self.rng.normal(size=shape).astype(np.float32)
        return name

    def const(self, value: Const) -> str:
        name = self.g.fresh("w")
        self.g.consts[name] = value
        return name

    def op(self, op: str, *inputs: str, **attrs: Any) -> str:
        out = self.g.fresh(f"{op}{len(self.g.nodes)}")
        node = Node(op, f"{op}{len(self.g.nodes)}", list(inputs), [out], attrs)
        (self.g.tensors[out],) = op_of(node).infer(node, self.g)
        args = [self.g.consts[i] if i in self.g.consts else self.values[i] for i in inputs]
        (self.values[out],) = op_of(node).run(node, self.g, list(args))
        self.g.nodes.append(node)
        return out

    def shape(self, x: str) -> tuple[int, ...]:
        return self.g.tensors[x].shape

    def qdq(self, x: str, quant: Quant | None = None, qmin: int = -128, qmax: int = 127) -> str:
        v = self.values[x]
        quant = quant or choose_quant(float(v.min()), float(v.max()))
        return self.op("dequantize", self.op("quantize", x, out_quant=quant, qmin=qmin, qmax=qmax))

    def weights(self, *shape: int) -> tuple[str, Array]:
        if self.rng.random() < 0.5:
            scale = (np.abs(self.rng.normal(size=shape[0])) + 0.05).astype(np.float32)
            trits = self.rng.integers(-1, 2, shape).astype(np.int8)
            return self.const(TernaryWeights(trits, scale)), scale
        w = int8_weights(self.rng.normal(size=shape).astype(np.float32))
        return self.const(w), w.scale

    def conv(self, x: str, outs: int, k: int, *, lo: float = -INF, depthwise: bool = False) -> str:
        c = self.shape(x)[3]
        w, scale = self.weights(c if depthwise else outs, k, k, 1 if depthwise else c)
        bias = self.rng.normal(size=scale.size).astype(np.float32)
        attrs = {
            "strides": (1, 1),
            "pads": (k // 2,) * 4,
            "dilations": (1, 1),
            "groups": c if depthwise else 1,
        }
        return self.op("conv2d", x, w, epilogue=Affine(scale=scale, bias=bias, lo=lo), **attrs)

    def dense(self, x: str, outs: int) -> str:
        w, scale = self.weights(outs, self.shape(x)[1])
        return self.op("dense", x, w, epilogue=Affine(scale=scale))

    def pool(self, op: str, x: str, k: int) -> str:
        attrs: dict[str, Any] = {"kernel": (k, k), "strides": (k, k), "pads": (0, 0, 0, 0)}
        return self.op(op, x, **attrs, **({"dilations": (1, 1)} if op == "max_pool2d" else {}))

    def channel(self, op: str, x: str) -> str:
        return self.op(op, x, self.const(self.rng.normal(size=self.shape(x)[-1]).astype(np.float32)))

    def done(self, *outputs: str) -> Graph:
        self.g.outputs = list(outputs)
        self.g.check()
        return self.g


def compare(b: Build, fused: Graph) -> tuple[int, int]:
    """(elements, differing elements) over all int8 tensors both graphs have, each node of `fused` fed with
    the float path's own integers; fails where one differs by more than one step."""
    values: dict[str, Array] = {i: b.values[i] for i in fused.inputs}
    total = different = 0
    for n in fused.nodes:
        args = [None if not i else fused.consts[i] if i in fused.consts else values[i] for i in n.inputs]
        for o, v in zip(n.outputs, op_of(n).run(n, fused, list(args)), strict=True):
            want = b.values.get(o)
            if want is not None and v.dtype == np.int8:
                assert want.shape == v.shape
                step = np.abs(v.astype(np.int32) - want.astype(np.int32))
                assert int(step.max(initial=0)) <= 1, f"{n.name}: {n.op} is {step.max()} steps off"
                total, different = total + v.size, different + int((step > 0).sum())
            values[o] = v if want is None or want.dtype != v.dtype else want
    return total, different


def ops(graph: Graph) -> list[str]:
    return [n.op for n in graph.nodes]


def prepared(b: Build, *outputs: str) -> Graph:
    g = b.done(*outputs)
    p = prepare(g)
    p.check()
    assert graph_to_bytes(p) == graph_to_bytes(prepare(g))
    assert p.outputs == g.outputs
    compare(b, p)
    return p
