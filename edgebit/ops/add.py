"""add: y = a + b, with a clamp."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebit.ir.graph import Array, F32Array, Node
from edgebit.ops.binary import BinaryOp, fits_int32
from edgebit.ops.support import integer


class AddOp(BinaryOp):
    """f32: y = clamp(a + b, lo, hi). s8: q = clamp((ma * a + mb * b + add) >> shift, qmin, qmax).

    s8 attrs: out_quant; ma, mb in -2^20..2^20; add; shift 0..30; qmin, qmax. Operand shapes: see binary.py.
    """

    name = "add"

    def combine_f32(self, a: F32Array, b: F32Array) -> F32Array:
        return a + b

    def check_s8(self, node: Node) -> dict[str, int]:
        v = {k: integer(node, k, -(2**20), 2**20) for k in ("ma", "mb")}
        v["add"] = integer(node, "add", -(2**31), 2**31 - 1)
        v["shift"] = integer(node, "shift", 0, 30)
        fits_int32(node, 128 * (abs(v["ma"]) + abs(v["mb"])) + abs(v["add"]))
        return v

    def combine_s8(self, node: Node, a: Array, b: Array) -> Array:
        v = self.check_s8(node)
        out: Array = (v["ma"] * a + v["mb"] * b + v["add"]) >> v["shift"]
        return out

    def sample_s8(self, rng: np.random.Generator) -> dict[str, Any]:
        shift = int(rng.integers(0, 21))
        top = min(2 ** (shift + 1), 2**20)
        ma, mb = (int(rng.integers(-top // 4, top + 1)) for _ in range(2))
        return {"ma": ma, "mb": mb, "add": int(rng.integers(-(2**30), 2**30)) >> (20 - shift), "shift": shift}
