"""silu: y = x * sigmoid(x)."""

from __future__ import annotations

from edgebit.ir.graph import F32Array, Node
from edgebit.ops import floatmath
from edgebit.ops.unary import UnaryFloat


class SiluOp(UnaryFloat):
    """y = x * sigmoid(x), +0 where the sigmoid is 0. f32, any shape, in place."""

    name = "silu"
    flops = 26.0

    def apply(self, node: Node, x: F32Array) -> F32Array:
        return floatmath.silu(x)
