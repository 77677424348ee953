"""dequantize: static int8 to float."""

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
    check_quant,
    output,
    random_quant,
    random_s8,
    random_shape,
    sample,
    stream_overlap,
)


class DequantizeOp(Op):
    """y = float(q - zero_point) * scale, with the input's own quantisation. s8 -> f32, any shape."""

    name = "dequantize"

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        arity(node, 1)
        x = activation(node, graph, 0, DType.S8)
        check_quant(node, x.quant, "the input")
        return [output(node, x.shape, DType.F32)]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        q = check_quant(node, graph.tensors[node.inputs[0]].quant, "the input")
        return [floatmath.dequantize(array(args[0]), q.scale, q.zero_point)]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return ("dequantize_s8",)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        q = check_quant(node, graph.tensors[node.inputs[0]].quant, "the input")
        fields = c_ints(n=graph.tensors[node.outputs[0]].elements, zero_point=q.zero_point)
        return call("dequantize_s8", choice, fields | {"scale": c_float(q.scale)})

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        return [stream_overlap(graph.tensors[node.outputs[0]].elements, 1, 4)]

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        n = float(graph.tensors[node.outputs[0]].elements)
        return {"call": 1.0, "element": n, "flop": 2.0 * n}

    def samples(self, rng: np.random.Generator) -> Sample | None:
        return sample(self.name, [(random_s8(rng, random_shape(rng)), random_quant(rng))], {})
