"""mul: y = a * b, with a clamp."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebit.ir.graph import Array, F32Array, Node
from edgebit.ops.binary import BinaryOp, fits_int32
from edgebit.ops.support import integer


class MulOp(BinaryOp):
    """f32: y = clamp(a * b, lo, hi). s8: q = clamp(((a - za) * (b - zb) * m + add) >> shift, qmin, qmax).

    s8 attrs: out_quant; za, zb in -128..127; |m| < 2^14; add; shift 0..30; qmin, qmax. Shapes: see binary.py.
    """

    name = "mul"

    def combine_f32(self, a: F32Array, b: F32Array) -> F32Array:
        return a * b

    def check_s8(self, node: Node) -> dict[str, int]:
        v = {k: integer(node, k, -128, 127) for k in ("za", "zb")}
        v["m"] = integer(node, "m", 1 - 2**14, 2**14 - 1)
        v["add"] = integer(node, "add", -(2**31), 2**31 - 1)
        v["shift"] = integer(node, "shift", 0, 30)
        reach = [max(127 - z, z + 128) for z in (v["za"], v["zb"])]
        fits_int32(node, reach[0] * reach[1] * abs(v["m"]) + abs(v["add"]))
        return v

    def combine_s8(self, node: Node, a: Array, b: Array) -> Array:
        v = self.check_s8(node)
        out: Array = ((a - v["za"]) * (b - v["zb"]) * v["m"] + v["add"]) >> v["shift"]
        return out

    def sample_s8(self, rng: np.random.Generator) -> dict[str, Any]:
        za, zb = (int(rng.choice([-128, 0, 127, int(rng.integers(-128, 128))])) for _ in range(2))
        m = int(rng.integers(-(2**14) + 1, 2**14))
        add = int(rng.integers(-(2**29), 2**29))
        return {"za": za, "zb": zb, "m": m, "add": add, "shift": int(rng.integers(12, 24))}
