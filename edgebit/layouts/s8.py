"""Plain int8 weights, row-major, no padding."""

from __future__ import annotations

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array
from edgebit.layouts.base import Layout


def check_s8(weights: Array) -> None:
    """Raise EdgebitError unless `weights` is an int8 matrix."""
    if weights.ndim != 2 or weights.dtype != np.int8:
        raise EdgebitError(f"s8: weights must be an int8 matrix, not {weights.dtype} {weights.shape}")


class S8(Layout):
    """One byte a weight, two's complement."""

    name = "s8"
    element = "s8"

    def pack(self, weights: Array) -> bytes:
        check_s8(weights)
        return weights.tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> Array:
        return np.frombuffer(raw, np.int8).reshape(rows, cols).copy()

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 8.0
