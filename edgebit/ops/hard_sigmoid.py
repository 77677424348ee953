"""hard_sigmoid: y = clamp(x * alpha + beta, 0, 1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebit.ir.graph import F32Array, Node
from edgebit.ops import floatmath
from edgebit.ops.support import bad, real
from edgebit.ops.unary import UnaryFloat


class HardSigmoidOp(UnaryFloat):
    """clamp(x * alpha + beta, 0, 1), two roundings. f32, any shape, in place.

    attrs alpha (not 0) and beta, finite.
    """

    name = "hard_sigmoid"
    flops = 4.0

    def numbers(self, node: Node) -> dict[str, float]:
        alpha = real(node, "alpha", 0.2)
        if alpha == 0:
            raise bad(node, "alpha is 0 in binary32, so the result would be constant")
        return {"alpha": alpha, "beta": real(node, "beta", 0.5)}

    def apply(self, node: Node, x: F32Array) -> F32Array:
        return floatmath.hard_sigmoid(x, **self.numbers(node))

    def sample_attrs(self, rng: np.random.Generator) -> dict[str, Any]:
        return {"alpha": float(rng.choice([0.2, 1 / 6, -0.3])), "beta": float(rng.choice([0.5, 0.0, 2.0]))}
