"""A byte a ternary weight of a depthwise product: what dwconv_t_s8__neon and __avx2 read.

The matrix has a row a tap and a column a channel, row-major, without padding; a byte is -1, 0 or +1.
"""

from __future__ import annotations

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits

MAX_TAPS = 255  # sums of -128 each in 16 bits


class DwBytes(Layout):
    """One byte a weight, two's complement."""

    name = "dwbytes"
    element = "trit"

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        return weights.tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        if len(raw) != rows * cols:
            raise EdgebitError(f"dwbytes: {len(raw)} bytes for {rows} taps of {cols} channels")
        trits = np.frombuffer(raw, np.int8).reshape(rows, cols).copy()
        check_trits(trits)
        return trits

    def limits(self, weights: Array) -> str | None:
        if weights.shape[0] > MAX_TAPS:
            return f"dwbytes takes at most {MAX_TAPS} taps, not {weights.shape[0]}"
        return None

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 8.0
