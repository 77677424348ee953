"""lut: any function of one int8, by table."""

from __future__ import annotations

import numpy as np

from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.ops.base import CConst, KernelChoice, Lowered, Op, Sample
from edgebit.ops.support import (
    activation,
    arity,
    array,
    bad,
    c_ints,
    call,
    out_quant,
    output,
    random_quant,
    random_s8,
    random_shape,
    sample,
)


def _table(node: Node) -> Array:
    t = node.attrs.get("table")
    if not isinstance(t, np.ndarray) or t.dtype != np.int8 or t.shape != (256,):
        raise bad(node, "attribute 'table' must be an int8 array of 256 elements")
    return t


class LutOp(Op):
    """y = table[x + 128]. s8, any shape, in place. attrs table: int8[256]; out_quant."""

    name = "lut"

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        arity(node, 1)
        _table(node)
        x = activation(node, graph, 0, DType.S8)
        return [output(node, x.shape, DType.S8, out_quant(node))]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        return [_table(node)[array(args[0]).astype(np.int32) + 128]]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return ("lut_s8",)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        table = CConst("table", "int8_t", _table(node).tobytes())
        n = graph.tensors[node.outputs[0]].elements
        return call("lut_s8", choice, c_ints(n=n), consts=(table,))

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        return [0]

    def samples(self, rng: np.random.Generator) -> Sample | None:
        attrs = {"table": random_s8(rng, (256,)), "out_quant": random_quant(rng)}
        return sample("lut", [(random_s8(rng, random_shape(rng)), random_quant(rng))], attrs)
