"""pad: a constant border."""

from __future__ import annotations

import numpy as np

from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.ops.base import KernelChoice, Lowered, Op, Sample
from edgebit.ops.support import (
    activation,
    alias,
    arity,
    array,
    bad,
    c_int,
    c_list,
    call,
    integer,
    integers,
    output,
    random_of,
    random_shape,
    real,
    sample,
)

RANK = 4


class PadOp(Op):
    """x inside a border of `value`. Any type; any rank that merges into 4 axes.

    attrs pads (one before each axis, then one after each, all >= 0), value (f32: a number; s8, s32: the
    integer stored, default the zero point of a quantised input, else 0).
    """

    name = "pad"

    def _pads(self, node: Node, x: Tensor) -> list[tuple[int, int]]:
        n = len(x.shape)
        pads = integers(node, "pads", 2 * n, 0)
        return list(zip(pads[:n], pads[n:], strict=True))

    def _value(self, node: Node, x: Tensor) -> Array:
        if x.dtype is DType.F32:
            return np.array(real(node, "value", 0.0, finite=False), np.float32)
        info = np.iinfo(x.dtype.numpy)
        zero = x.quant.zero_point if x.quant is not None else 0
        return np.array(integer(node, "value", int(info.min), int(info.max), zero), x.dtype.numpy)

    def _axes(self, node: Node, x: Tensor) -> list[tuple[int, int, int]]:
        """(before, size, after) of the merged axes: an axis without border joins the one before it."""
        axes: list[tuple[int, int, int]] = []
        for d, (before, after) in zip(x.shape, self._pads(node, x), strict=True):
            if axes and before == after == 0:
                b, n, a = axes[-1]
                axes[-1] = (b * d, n * d, a * d)
            elif axes and axes[-1] == (0, 1, 0):
                axes[-1] = (before, d, after)
            else:
                axes.append((before, d, after))
        if len(axes) > RANK:
            raise bad(node, f"pads {len(axes)} independent axes, at most {RANK} are supported")
        return axes

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        arity(node, 1)
        x = activation(node, graph)
        shape = [d + b + a for d, (b, a) in zip(x.shape, self._pads(node, x), strict=True)]
        self._value(node, x)
        self._axes(node, x)
        return [output(node, shape, x.dtype, x.quant)]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        x = graph.tensors[node.inputs[0]]
        if not x.shape:
            return [array(args[0])]
        return [np.pad(array(args[0]), self._pads(node, x), constant_values=self._value(node, x))]

    def _alias(self, node: Node, graph: Graph) -> bool:
        return not any(b or a for b, a in self._pads(node, graph.tensors[node.inputs[0]]))

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return () if self._alias(node, graph) else ("pad",)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        if self._alias(node, graph):
            return alias()
        x = graph.tensors[node.inputs[0]]
        axes = self._axes(node, x)
        axes = [(0, 1, 0)] * (RANK - len(axes)) + axes
        raw = self._value(node, x).astype(x.dtype.numpy.newbyteorder("<")).tobytes()
        fields = {
            "before": c_list([b for b, _, _ in axes]),
            "size": c_list([n for _, n, _ in axes]),
            "after": c_list([a for _, _, a in axes]),
            "element": c_int(x.dtype.bytes),
            "value": f"{int.from_bytes(raw, 'little'):#x}u",
        }
        return call("pad", choice, fields)

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        return [0 if self._alias(node, graph) else None]

    def samples(self, rng: np.random.Generator) -> Sample | None:
        shape = random_shape(rng, limit=200)
        pads = (rng.integers(0, 4, 2 * len(shape)) * (rng.random(2 * len(shape)) < 0.5)).tolist()
        dtype = DType(str(rng.choice(["f32", "s8", "s32"])))
        value = random_of(rng, (1,), dtype)[0].item()
        return sample(self.name, [(random_of(rng, shape, dtype), None)], {"pads": pads, "value": value})
