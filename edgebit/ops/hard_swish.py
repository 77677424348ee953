"""hard_swish: y = x * clamp(x / 6 + 1/2, 0, 1)."""

from __future__ import annotations

from edgebit.ir.graph import F32Array, Node
from edgebit.ops import floatmath
from edgebit.ops.unary import UnaryFloat


class HardSwishOp(UnaryFloat):
    """y = x * clamp(x * float32(1/6) + 0.5, 0, 1), +0 where the clamp gives 0. f32, any shape, in place."""

    name = "hard_swish"
    flops = 6.0

    def apply(self, node: Node, x: F32Array) -> F32Array:
        return floatmath.hard_swish(x)
