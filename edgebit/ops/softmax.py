"""softmax over the last axis."""

from __future__ import annotations

from math import prod

import numpy as np

from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.ops import floatmath
from edgebit.ops.base import KernelChoice, Lowered, Op, Sample
from edgebit.ops.support import (
    activation,
    arity,
    array,
    bad,
    c_ints,
    call,
    output,
    random_f32,
    random_shape,
    sample,
)


class SoftmaxOp(Op):
    """Per row of the last axis: m = `v > m ? v : m` from the first element on; e = exp(x == m ? 0 : x - m);
    sum from +0.0 in order; y = e / sum. f32, any shape of rank 1 or more, in place.

    The select makes rows with infinities defined: the infinite elements share the whole.
    """

    name = "softmax"

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        arity(node, 1)
        x = activation(node, graph, 0, DType.F32)
        if not x.shape:
            raise bad(node, "takes at least one dimension")
        return [output(node, x.shape, DType.F32)]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        x = array(args[0])
        with np.errstate(all="ignore"):
            m = x.max(axis=-1, keepdims=True)
            e = floatmath.exp(np.where(x == m, np.float32(0), x - m))
            total = np.zeros(m.shape, np.float32)
            for i in range(x.shape[-1]):
                total += e[..., i : i + 1]
            return [e / total]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return ("softmax_f32",)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        shape = graph.tensors[node.outputs[0]].shape
        return call("softmax_f32", choice, c_ints(rows=prod(shape[:-1]), cols=shape[-1]))

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        return [0]

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        t = graph.tensors[node.outputs[0]]
        n = float(t.elements)
        return {"call": 1.0, "row": n / t.shape[-1], "element": n, "flop": 26.0 * n}

    def samples(self, rng: np.random.Generator) -> Sample | None:
        return sample(self.name, [(random_f32(rng, random_shape(rng), wild=True, infinite=True), None)], {})
