"""Plain binary32 weights, row-major, little-endian, no padding."""

from __future__ import annotations

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array
from edgebit.layouts.base import Layout


class F32(Layout):
    """Four bytes a weight."""

    name = "f32"
    element = "f32"

    def pack(self, weights: Array) -> bytes:
        if weights.ndim != 2 or weights.dtype != np.float32:
            raise EdgebitError(f"f32: weights must be a float32 matrix, not {weights.dtype} {weights.shape}")
        return np.ascontiguousarray(weights, "<f4").tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> Array:
        return np.frombuffer(raw, "<f4").astype(np.float32).reshape(rows, cols)

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 32.0
