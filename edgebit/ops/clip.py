"""clip: y = clamp(x, lo, hi); relu is lo 0, hi infinite."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebit.ir.graph import F32Array, Node
from edgebit.ops import floatmath
from edgebit.ops.support import bounds
from edgebit.ops.unary import UnaryFloat


class ClipOp(UnaryFloat):
    """`x < lo ? lo : x`, then `> hi ? hi`. f32, any shape, in place. attrs lo <= hi, may be infinite."""

    name = "clip"
    flops = 2.0

    def numbers(self, node: Node) -> dict[str, float]:
        lo, hi = bounds(node)
        return {"lo": lo, "hi": hi}

    def apply(self, node: Node, x: F32Array) -> F32Array:
        return floatmath.clamp(x, *bounds(node))

    def sample_attrs(self, rng: np.random.Generator) -> dict[str, Any]:
        lo = float(rng.choice([0.0, -0.0, -1.0, -np.inf, -3.4e38]))
        return {"lo": lo, "hi": float(rng.choice([0.0, 1.0, 6.0, np.inf]))}
