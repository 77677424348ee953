"""reshape: the same elements in the same order under another shape."""

from __future__ import annotations

from math import prod

import numpy as np

from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.ops.base import KernelChoice, Lowered, Op, Sample
from edgebit.ops.support import (
    activation,
    alias,
    arity,
    array,
    bad,
    integers,
    output,
    random_of,
    random_shape,
    sample,
)


def _shape(node: Node) -> tuple[int, ...]:
    v = node.attrs.get("shape")
    if not isinstance(v, (list, tuple)):
        raise bad(node, f"attribute 'shape' must be a list of integers, it is {v!r}")
    return integers(node, "shape", len(v), 1)


class ReshapeOp(Op):
    """y = x.reshape(shape). Any type; an alias of its input. attr shape: every dimension, batch included."""

    name = "reshape"

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        arity(node, 1)
        x = activation(node, graph)
        shape = _shape(node)
        if prod(shape) != x.elements:
            raise bad(node, f"cannot make {x.shape} ({x.elements} elements) into {shape} ({prod(shape)})")
        return [output(node, shape, x.dtype, x.quant)]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        return [array(args[0]).reshape(_shape(node))]

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        return alias()

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        return [0]

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        return {}

    def samples(self, rng: np.random.Generator) -> Sample | None:
        shape = random_shape(rng)
        x = random_of(rng, shape, DType(str(rng.choice(["f32", "s8", "s32"]))))
        return sample(self.name, [(x, None)], {"shape": rng.permutation(shape).tolist()})
