"""tanh: y = tanh x."""

from __future__ import annotations

from edgebit.ir.graph import F32Array, Node
from edgebit.ops import floatmath
from edgebit.ops.unary import UnaryFloat


class TanhOp(UnaryFloat):
    """y = tanh x; error bound in floatmath. f32, any shape, in place."""

    name = "tanh"
    flops = 26.0

    def apply(self, node: Node, x: F32Array) -> F32Array:
        return floatmath.tanh(x)
