"""argmax over the last axis."""

from __future__ import annotations

from math import prod

import numpy as np

from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.ops.base import KernelChoice, Lowered, Op, Sample
from edgebit.ops.support import (
    activation,
    arity,
    array,
    bad,
    c_ints,
    call,
    flag,
    output,
    random_of,
    random_quant,
    random_shape,
    sample,
    stream_overlap,
)


class ArgmaxOp(Op):
    """The index of the largest element of each row of the last axis; the first one wins a tie.

    -0 and +0 tie.

    f32 or s8, rank 1 or more -> s32 without the last axis, or with it as 1 when the attr keepdims is set.
    """

    name = "argmax"

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        arity(node, 1)
        x = activation(node, graph, 0, DType.F32, DType.S8)
        if not x.shape:
            raise bad(node, "takes at least one dimension")
        tail = (1,) if flag(node, "keepdims", False) else ()
        return [output(node, (*x.shape[:-1], *tail), DType.S32)]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        y = np.argmax(array(args[0]), axis=-1).astype(np.int32)
        return [np.asarray(y).reshape(graph.tensors[node.outputs[0]].shape)]

    def _rows(self, node: Node, graph: Graph) -> tuple[Tensor, int, int]:
        x = graph.tensors[node.inputs[0]]
        return x, prod(x.shape[:-1]), x.shape[-1]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"argmax_{graph.tensors[node.inputs[0]].dtype.value}",)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        x, rows, cols = self._rows(node, graph)
        return call(f"argmax_{x.dtype.value}", choice, c_ints(rows=rows, cols=cols))

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        x, rows, cols = self._rows(node, graph)
        return [stream_overlap(rows, cols * x.dtype.bytes, 4)]

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        x, _, _ = self._rows(node, graph)
        n = float(x.elements)
        return {"call": 1.0, "element": n, **({"flop": n} if x.dtype is DType.F32 else {})}

    def samples(self, rng: np.random.Generator) -> Sample | None:
        dtype = DType(str(rng.choice(["f32", "s8"])))
        x = random_of(rng, random_shape(rng), dtype)
        if rng.random() < 0.3:
            x = np.zeros_like(x)
        quant = random_quant(rng) if dtype is DType.S8 else None
        return sample(self.name, [(x, quant)], {"keepdims": bool(rng.random() < 0.5)})
