"""slice: a regular part of a tensor."""

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


class SliceOp(Op):
    """y[i...] = x[starts + i * steps], sizes elements per axis. Any type, any rank that merges into 6 axes.

    attrs starts, sizes, steps (each one per axis; starts >= 0, sizes and steps >= 1).
    """

    name = "slice"

    def _ranges(self, node: Node, x: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        n = len(x.shape)
        starts = integers(node, "starts", n, 0)
        sizes = integers(node, "sizes", n, 1)
        steps = integers(node, "steps", n, 1, default=(1,) * n)
        for axis, (start, size, step) in enumerate(zip(starts, sizes, steps, strict=True)):
            last = start + (size - 1) * step
            if last >= x.shape[axis]:
                raise bad(node, f"reads index {last} of axis {axis}, which has {x.shape[axis]} elements")
        return starts, sizes, steps

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        arity(node, 1)
        x = activation(node, graph)
        made = output(node, self._ranges(node, x)[1], x.dtype, x.quant)
        self._lower(node, x, None)
        return [made]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        x = array(args[0])
        ranges = self._ranges(node, graph.tensors[node.inputs[0]])
        index = tuple(slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(*ranges, strict=True))
        return [np.ascontiguousarray(x[index])]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        alias = self._lower(node, graph.tensors[node.inputs[0]], None).alias
        return () if alias else ("strided_copy",)

    def _lower(self, node: Node, x: Tensor, choice: KernelChoice | None) -> Lowered:
        starts, sizes, steps = self._ranges(node, x)
        whole = row_major(x.shape)
        offset = sum(a * w for a, w in zip(starts, whole, strict=True))
        strides = [s * w for s, w in zip(steps, whole, strict=True)]
        return lower_view(node, choice, sizes, strides, offset, x.dtype.bytes, x.elements)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        return self._lower(node, graph.tensors[node.inputs[0]], choice)

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        return [0 if self.lower(node, graph, None).alias else None]

    def samples(self, rng: np.random.Generator) -> Sample | None:
        shape = random_shape(rng)
        starts, sizes, steps = [], [], []
        for d in shape:
            whole = rng.random() < 0.3
            start = 0 if whole else int(rng.integers(0, d))
            step = 1 if whole or rng.random() < 0.5 else int(rng.integers(1, 4))
            most = (d - 1 - start) // step + 1
            starts.append(start)
            steps.append(step)
            sizes.append(most if whole else int(rng.integers(1, most + 1)))
        dtype = DType(str(rng.choice(["f32", "s8", "s32"])))
        attrs = {"starts": starts, "sizes": sizes, "steps": steps}
        return sample(self.name, [(random_of(rng, shape, dtype), None)], attrs)
