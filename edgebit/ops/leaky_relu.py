"""leaky_relu: y = x below zero times alpha."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebit.ir.graph import F32Array, Node
from edgebit.ops import floatmath
from edgebit.ops.support import real
from edgebit.ops.unary import UnaryFloat


class LeakyReluOp(UnaryFloat):
    """`x < 0 ? x * alpha : x`. f32, any shape, in place. attr alpha: finite."""

    name = "leaky_relu"
    flops = 2.0

    def numbers(self, node: Node) -> dict[str, float]:
        return {"alpha": real(node, "alpha")}

    def apply(self, node: Node, x: F32Array) -> F32Array:
        return floatmath.leaky_relu(x, real(node, "alpha"))

    def sample_attrs(self, rng: np.random.Generator) -> dict[str, Any]:
        return {"alpha": float(rng.choice([0.01, 0.2, 1.5, -0.5]))}
