"""The shape shared by elementwise float functions of one tensor: f32 -> f32, in place."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from edgebit.ir.graph import Array, Const, DType, F32Array, Graph, Node, Tensor
from edgebit.ops.base import KernelChoice, Lowered, Op, Sample
from edgebit.ops.support import (
    activation,
    arity,
    array,
    c_float,
    c_int,
    call,
    output,
    random_f32,
    random_shape,
    sample,
)


class UnaryFloat(Op):
    """A float function applied to each element. Subclasses give the function, its numbers and its cost.

    The C kernel is eb_<name>_f32(params {n, numbers...}, const float *x, float *y).
    """

    flops: ClassVar[float] = 1.0

    def numbers(self, node: Node) -> dict[str, float]:
        """The float parameters, checked, by the names of the C struct's fields."""
        return {}

    def apply(self, node: Node, x: F32Array) -> F32Array:
        """The function."""
        raise NotImplementedError

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        arity(node, 1)
        self.numbers(node)
        return [output(node, activation(node, graph, 0, DType.F32).shape, DType.F32)]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        return [self.apply(node, array(args[0]))]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"{self.name}_f32",)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        fields = {"n": c_int(graph.tensors[node.outputs[0]].elements)}
        fields.update({k: c_float(v) for k, v in self.numbers(node).items()})
        return call(f"{self.name}_f32", choice, fields)

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        return [0]

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        n = float(graph.tensors[node.outputs[0]].elements)
        return {"call": 1.0, "element": n, "flop": n * self.flops}

    def sample_attrs(self, rng: np.random.Generator) -> dict[str, Any]:
        """Random attributes."""
        return {}

    def samples(self, rng: np.random.Generator) -> Sample | None:
        x = random_f32(rng, random_shape(rng), wild=True, infinite=True)
        return sample(self.name, [(x, None)], self.sample_attrs(rng))
