"""transpose: reorder the axes."""

from __future__ import annotations

import numpy as np

from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.ops.base import KernelChoice, Lowered, Op, Sample
from edgebit.ops.strided import lower_view, row_major
from edgebit.ops.support import (
    activation,
    arity,
    array,
    bad,
    integers,
    output,
    random_of,
    random_shape,
    sample,
)


class TransposeOp(Op):
    """y = x.transpose(perm). Any type, any rank that merges into 6 moving axes. attr perm: output axis i is
    input axis perm[i]. One that only moves axes of size 1 is an alias."""

    name = "transpose"

    def _perm(self, node: Node, x: Tensor) -> tuple[int, ...]:
        n = len(x.shape)
        perm = integers(node, "perm", n, 0, max(n - 1, 0))
        if sorted(perm) != list(range(n)):
            raise bad(node, f"attribute 'perm' {perm} is no permutation of the {n} axes")
        return perm

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        arity(node, 1)
        x = activation(node, graph)
        made = output(node, [x.shape[p] for p in self._perm(node, x)], x.dtype, x.quant)
        self._lower(node, x, None)
        return [made]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        return [np.ascontiguousarray(array(args[0]).transpose(node.attrs["perm"]))]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        alias = self._lower(node, graph.tensors[node.inputs[0]], None).alias
        return () if alias else ("strided_copy",)

    def _lower(self, node: Node, x: Tensor, choice: KernelChoice | None) -> Lowered:
        perm, strides = self._perm(node, x), row_major(x.shape)
        sizes = [x.shape[p] for p in perm]
        return lower_view(node, choice, sizes, [strides[p] for p in perm], 0, x.dtype.bytes, x.elements)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        return self._lower(node, graph.tensors[node.inputs[0]], choice)

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        return [0 if self.lower(node, graph, None).alias else None]

    def samples(self, rng: np.random.Generator) -> Sample | None:
        shape = random_shape(rng, int(rng.integers(1, 7)))
        dtype = DType(str(rng.choice(["f32", "s8", "s32"])))
        perm = rng.permutation(len(shape)).tolist()
        return sample(self.name, [(random_of(rng, shape, dtype), None)], {"perm": perm})
