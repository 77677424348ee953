"""concat: join tensors along one axis."""

from __future__ import annotations

import hashlib
from math import prod

import numpy as np

from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.ops.base import KernelChoice, Lowered, Op, Sample
from edgebit.ops.support import (
    activation,
    alias,
    array,
    bad,
    declare,
    integer,
    output,
    random_of,
    random_shape,
    sample,
    stem_of,
)


class ConcatOp(Op):
    """Inputs joined along `axis`. Any type; all inputs agree in type, quantisation and the other axes.

    attr axis (0 or more). Lowered to one block copy per input: input i fills `block` bytes out of every
    `stride` bytes of the output, `outer` times.
    """

    name = "concat"

    def _inputs(self, node: Node, graph: Graph) -> tuple[list[Tensor], int]:
        if not node.inputs or not all(node.inputs) or len(node.outputs) != 1:
            raise bad(node, "takes one or more inputs and makes one output")
        xs = [activation(node, graph, i) for i in range(len(node.inputs))]
        rank = len(xs[0].shape)
        if rank == 0:
            raise bad(node, "takes at least one dimension")
        axis = integer(node, "axis", 0, rank - 1)
        for x in xs[1:]:
            if x.dtype is not xs[0].dtype or x.quant != xs[0].quant:
                raise bad(node, f"{x.name!r} and {xs[0].name!r} differ in type or quantisation")
            if len(x.shape) != rank or any(
                a != b for d, (a, b) in enumerate(zip(x.shape, xs[0].shape, strict=True)) if d != axis
            ):
                raise bad(node, f"shapes {x.shape} and {xs[0].shape} do not join along axis {axis}")
        return xs, axis

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        xs, axis = self._inputs(node, graph)
        shape = list(xs[0].shape)
        shape[axis] = sum(x.shape[axis] for x in xs)
        return [output(node, shape, xs[0].dtype, xs[0].quant)]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        return [np.concatenate([array(a) for a in args], axis=int(node.attrs["axis"]))]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return ("concat",) if len(node.inputs) > 1 else ()

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        xs, axis = self._inputs(node, graph)
        if len(xs) == 1:
            return alias()
        stem = stem_of(choice, "concat")
        outer = prod(xs[0].shape[:axis])
        blocks = [x.nbytes // outer for x in xs]
        key = hashlib.sha256(f"{stem} {outer} {blocks}".encode()).hexdigest()[:12]
        name = f"eb_concat_{len(xs)}_{key}"
        pointers = ", ".join(f"const void *x{i}" for i in range(len(xs)))
        lines = [f"static void {name}({pointers}, void *y) {{"]
        at = 0
        for i, block in enumerate(blocks):
            values = f".outer = {outer}, .block = {block}, .stride = {sum(blocks)}, .offset = {at}"
            lines.append(f"    static const eb_concat_params p{i} = {{{values}}};")
            at += block
        lines += [f"    eb_{stem}(&p{i}, x{i}, y);" for i in range(len(xs))]
        prelude = declare("concat", stem) + "\n".join([*lines, "}"]) + "\n"
        return Lowered(
            function=name,
            kernels=(stem,),
            inputs=tuple(range(len(xs))),
            prelude=prelude,
            kernel=stem,
        )

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        return [0] if len(node.inputs) == 1 else [None] * len(node.inputs)

    def samples(self, rng: np.random.Generator) -> Sample | None:
        shape = random_shape(rng, limit=200)
        axis = int(rng.integers(0, len(shape)))
        dtype = DType(str(rng.choice(["f32", "s8", "s32"])))
        parts = []
        for _ in range(int(rng.integers(1, 5))):
            part = (*shape[:axis], int(rng.integers(1, 6)), *shape[axis + 1 :])
            parts.append((random_of(rng, part, dtype), None))
        return sample(self.name, parts, {"axis": axis})
