"""sigmoid: y = 1 / (1 + e^-x)."""

from __future__ import annotations

from edgebit.ir.graph import F32Array, Node
from edgebit.ops import floatmath
from edgebit.ops.unary import UnaryFloat


class SigmoidOp(UnaryFloat):
    """y = 1 / (1 + e^-x); error bound in floatmath. f32, any shape, in place."""

    name = "sigmoid"
    flops = 25.0

    def apply(self, node: Node, x: F32Array) -> F32Array:
        return floatmath.sigmoid(x)
