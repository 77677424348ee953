"""dynamic_quantize: float to int8 with a scale found at run time per row or image."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.ops import floatmath
from edgebit.ops.base import KernelChoice, Lowered, Op, Sample
from edgebit.ops.support import (
    activation,
    arity,
    array,
    bad,
    c_float,
    c_ints,
    call,
    choice_of,
    int8_bounds,
    output,
    random_f32,
    random_shape,
    real,
    sample,
)

_F = np.float32


class DynamicQuantizeOp(Op):
    """a = max(max |x|, eps) over the row; s = (1 / a) * 127 (form "recip_mul") or 127 / a (form "div");
    xq = clamp(rne(x * s), qmin, qmax); d = 1 / s.

    x f32 -> xq s8 of the same shape and d f32 (rows,). attrs per: "row" (the last axis) or "image" (all but
    axis 0); form; eps > 0, such that 127 / eps is finite in binary32; qmin, qmax. An infinite
    input gives d = inf.
    """

    name = "dynamic_quantize"

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        arity(node, 1, 2)
        x = activation(node, graph, 0, DType.F32)
        if not x.shape:
            raise bad(node, "takes at least one dimension")
        self._eps(node)
        int8_bounds(node)
        rows, _ = self._rows(node, x.shape)
        return [output(node, x.shape, DType.S8), output(node, (rows,), DType.F32, index=1)]

    def _eps(self, node: Node) -> float:
        eps = real(node, "eps")
        with np.errstate(all="ignore"):
            if eps <= 0 or np.isinf(_F(127) / _F(eps)):
                raise bad(node, f"attribute 'eps' is {eps!r}; it must be above 0 with 127 / eps finite")
        return eps

    def _rows(self, node: Node, shape: tuple[int, ...]) -> tuple[int, int]:
        """(rows, elements per row)"""
        if choice_of(node, "per", ("row", "image")) == "row":
            return prod(shape[:-1]), shape[-1]
        return shape[0], prod(shape[1:])

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        x = array(args[0])
        rows = x.reshape(self._rows(node, x.shape))
        with np.errstate(all="ignore"):
            a = np.maximum(np.abs(rows).max(axis=1), _F(self._eps(node)))
            if choice_of(node, "form", ("recip_mul", "div")) == "recip_mul":
                s = (_F(1) / a) * _F(127)
            else:
                s = _F(127) / a
            q = np.clip(floatmath.rne(rows * s[:, None]), *int8_bounds(node))
            return [q.astype(np.int8).reshape(x.shape), _F(1) / s]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return ("dynamic_quantize_f32",)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        rows, cols = self._rows(node, graph.tensors[node.inputs[0]].shape)
        qmin, qmax = int8_bounds(node)
        div = int(choice_of(node, "form", ("recip_mul", "div")) == "div")
        fields = c_ints(rows=rows, cols=cols, div=div, qmin=qmin, qmax=qmax)
        low = call("dynamic_quantize_f32", choice, fields | {"eps": c_float(self._eps(node))})
        return replace(low, outputs=len(node.outputs))

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        # Of xq (the first output). A row is read twice, the second time just ahead of the writes.
        return [0]

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        rows, cols = self._rows(node, graph.tensors[node.inputs[0]].shape)
        n = float(rows * cols)
        return {"call": 1.0, "row": float(rows), "element": 2 * n, "flop": 5 * n}

    def samples(self, rng: np.random.Generator) -> Sample | None:
        x = random_f32(rng, random_shape(rng), wild=True, infinite=bool(rng.random() < 0.2))
        if rng.random() < 0.2:
            x = np.zeros_like(x)
        attrs = {
            "per": str(rng.choice(["row", "image"])),
            "form": str(rng.choice(["recip_mul", "div"])),
            "eps": float(rng.choice([1e-5, 1e-8, 1e-30])),
            "qmin": int(rng.choice([-128, -127])),
            "qmax": 127,
        }
        return sample(self.name, [(x, None)], attrs, outputs=2)
