"""The shape shared by add and mul: two tensors of the same shape, or a second operand spread over the first.

The second operand b may be
  - an activation of a's shape,
  - an activation of shape (N, 1, ..., 1, C) for a of shape (N, ..., C): one value per image and channel,
  - a constant of a's last dimension (C,), or of shape () or (1,): one value per channel, or one for all.
All are one loop nest: y[o, r, c] = f(a[o, r, c], b[o, c]) with `outer` x `rows` x `cols` elements.
"""

from __future__ import annotations

from math import gcd, prod
from typing import Any

import numpy as np

from edgebit.ir.graph import Array, Const, DType, F32Array, Graph, Node, Tensor
from edgebit.ops.base import CConst, KernelChoice, Lowered, Op, Sample
from edgebit.ops.floatmath import clamp
from edgebit.ops.support import (
    INT32_MAX,
    activation,
    arity,
    array,
    bad,
    bounds,
    c_float,
    c_ints,
    call,
    check_quant,
    int8_bounds,
    out_quant,
    output,
    random_f32,
    random_quant,
    random_s8,
    random_shape,
    sample,
)


class BinaryOp(Op):
    """f32 x f32 -> f32 with a clamp (attrs lo, hi), or s8 x s8 -> s8 by integers (out_quant and numbers)."""

    def combine_f32(self, a: F32Array, b: F32Array) -> F32Array:
        """The float operation."""
        raise NotImplementedError

    def combine_s8(self, node: Node, a: Array, b: Array) -> Array:
        """The integer operation before the clamp, on int64."""
        raise NotImplementedError

    def check_s8(self, node: Node) -> dict[str, int]:
        """The integer parameters, checked so that no int32 step can overflow."""
        raise NotImplementedError

    def sample_s8(self, rng: np.random.Generator) -> dict[str, Any]:
        """Random integer parameters near their limits or as real layers have them."""
        raise NotImplementedError

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        arity(node, 2)
        a = activation(node, graph, 0, DType.F32, DType.S8)
        self.spread(node, graph)
        if a.dtype is DType.F32:
            bounds(node)
            return [output(node, a.shape, DType.F32)]
        for i in (0, 1):
            if not graph.is_const(node.inputs[i]):
                check_quant(node, graph.tensors[node.inputs[i]].quant, f"input {i}")
        self.check_s8(node)
        int8_bounds(node)
        return [output(node, a.shape, DType.S8, out_quant(node))]

    def spread(self, node: Node, graph: Graph) -> tuple[int, int, int]:
        """(outer, rows, cols); raises when the operands do not go together."""
        a = activation(node, graph, 0)
        name = node.inputs[1]
        cols = a.shape[-1] if a.shape else 1
        if graph.is_const(name):
            c = graph.consts[name]
            if not isinstance(c, np.ndarray) or c.dtype != a.dtype.numpy:
                raise bad(node, f"the constant {name!r} must be a plain {a.dtype.value} array")
            if c.size == 1 and c.ndim <= 1:
                return 1, a.elements, 1
            if c.shape == (cols,):
                return 1, a.elements // cols, cols
            raise bad(node, f"the constant {name!r} of shape {c.shape} does not fit the input {a.shape}")
        b = activation(node, graph, 1, a.dtype)
        if b.shape == a.shape:
            return 1, 1, a.elements
        n = len(a.shape)
        if len(b.shape) == n >= 3 and b.shape == (a.shape[0], *(1,) * (n - 2), cols):
            return a.shape[0], prod(a.shape[1:-1]), cols
        raise bad(node, f"shapes {a.shape} and {b.shape} do not go together")

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        a, b = array(args[0]), array(args[1])
        if a.dtype == np.float32:
            with np.errstate(all="ignore"):
                return [clamp(self.combine_f32(a, b), *bounds(node))]
        q = self.combine_s8(node, a.astype(np.int64), b.astype(np.int64))
        return [np.clip(q, *int8_bounds(node)).astype(np.int8)]

    def family(self, node: Node, graph: Graph) -> str:
        return f"{self.name}_{graph.tensors[node.inputs[0]].dtype.value}"

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (self.family(node, graph),)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        outer, rows, cols = self.spread(node, graph)
        fields = c_ints(outer=outer, rows=rows, cols=cols)
        if graph.tensors[node.inputs[0]].dtype is DType.F32:
            lo, hi = bounds(node)
            fields |= {"lo": c_float(lo), "hi": c_float(hi)}
        else:
            qmin, qmax = int8_bounds(node)
            fields |= c_ints(**self.check_s8(node), qmin=qmin, qmax=qmax)
        family = self.family(node, graph)
        const = graph.consts.get(node.inputs[1])
        if const is None:
            return call(family, choice, fields, (0, 1))
        value = array(const)
        ctype = "float" if value.dtype == np.float32 else "int8_t"
        raw = np.ascontiguousarray(value.reshape(-1), value.dtype.newbyteorder("<")).tobytes()
        return call(family, choice, fields, (0,), consts=(CConst("b", ctype, raw),))

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        a = graph.tensors[node.inputs[0]]
        b = graph.tensors.get(node.inputs[1])
        return [0, 0 if b is not None and b.shape == a.shape else None]

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        out = graph.tensors[node.outputs[0]]
        n = float(out.elements)
        if out.dtype is DType.F32:
            return {"call": 1.0, "element": n, "flop": 3 * n}
        outer, rows, cols = self.spread(node, graph)
        stretch, count = (outer * cols, 1) if rows == 1 else (cols, outer * rows)
        aligned = -(-count // (4 // gcd(stretch, 4)))  # of the stretches, those that begin at whole words
        words = aligned * (stretch // 4)
        full = int8_bounds(node) == (-128, 127)
        return {
            "call": 1.0,
            "element": n,
            "stretch": float(count),
            "run": float(aligned * (stretch >= 4)),
            "word": float(words),
            "single": n - 4 * words,
            "clamp": 0.0 if full else 4.0 * words,
        }

    def samples(self, rng: np.random.Generator) -> Sample | None:
        f32 = bool(rng.random() < 0.5)
        shape = random_shape(rng)
        form = rng.choice(["same", "channel", "scalar", "image"])
        b_shape: tuple[int, ...] = shape
        if form == "channel":
            b_shape = shape[-1:]
        elif form == "scalar":
            b_shape = () if rng.random() < 0.5 else (1,)
        elif form == "image":
            shape = random_shape(rng, int(rng.integers(3, 5)))
            b_shape = (shape[0], *(1,) * (len(shape) - 2), shape[-1])
        a, b = (
            random_f32(rng, s, wild=True) if f32 else random_s8(rng, s)  # finite, so that no NaN comes up
            for s in (shape, b_shape)
        )
        attrs: dict[str, Any]
        if f32:
            attrs = {} if rng.random() < 0.4 else {"lo": 0.0, "hi": float(rng.choice([6.0, np.inf]))}
        else:
            attrs = self.sample_s8(rng) | {"out_quant": random_quant(rng)}
            attrs |= {"qmin": int(rng.integers(-128, 0)), "qmax": int(rng.integers(0, 128))}
        qa, qb = (None, None) if f32 else (random_quant(rng), random_quant(rng))
        if form in ("same", "image"):
            return sample(self.name, [(a, qa), (b, qb)], attrs, note=str(form))
        return sample(self.name, [(a, qa)], attrs, [b], note=str(form))


def fits_int32(node: Node, worst: int) -> None:
    """Refuse integer parameters with which an int32 step could overflow."""
    if worst > INT32_MAX:
        raise bad(node, f"the integer parameters could overflow int32 (up to {worst})")
