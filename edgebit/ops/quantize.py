"""quantize: float to static int8."""

from __future__ import annotations

import numpy as np

from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.ops import floatmath
from edgebit.ops.base import KernelChoice, Lowered, Op, Sample
from edgebit.ops.support import (
    activation,
    arity,
    array,
    c_float,
    c_ints,
    call,
    int8_bounds,
    out_quant,
    output,
    random_f32,
    random_quant,
    random_shape,
    sample,
    stream_overlap,
)


class QuantizeOp(Op):
    """q = clamp(rne(x / scale) + zero_point, qmin, qmax). f32 -> s8, any shape.

    attrs out_quant, qmin, qmax.
    """

    name = "quantize"

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        arity(node, 1)
        int8_bounds(node)
        x = activation(node, graph, 0, DType.F32)
        return [output(node, x.shape, DType.S8, out_quant(node))]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        q = out_quant(node)
        return [floatmath.quantize(array(args[0]), q.scale, q.zero_point, *int8_bounds(node))]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return ("quantize_f32",)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        q = out_quant(node)
        qmin, qmax = int8_bounds(node)
        n = graph.tensors[node.outputs[0]].elements
        fields = c_ints(n=n, zero_point=q.zero_point, qmin=qmin, qmax=qmax)
        return call("quantize_f32", choice, fields | {"scale": c_float(q.scale)})

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        return [stream_overlap(graph.tensors[node.outputs[0]].elements, 4, 1)]

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        n = float(graph.tensors[node.outputs[0]].elements)
        return {"call": 1.0, "element": n, "flop": 4.0 * n}

    def samples(self, rng: np.random.Generator) -> Sample | None:
        attrs = {"out_quant": random_quant(rng)}
        x = random_f32(rng, random_shape(rng), wild=True, infinite=True)
        if rng.random() < 0.4:  # ties
            steps = rng.integers(-600, 600, x.shape).astype(np.float32) * np.float32(0.5)
            x = np.asarray(steps * np.float32(attrs["out_quant"].scale), np.float32)
        if rng.random() < 0.5:
            return sample(self.name, [(x, None)], {**attrs, "qmin": -127, "qmax": int(rng.integers(0, 128))})
        return sample(self.name, [(x, None)], dict(attrs))
