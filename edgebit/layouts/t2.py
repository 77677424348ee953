"""Plain 2-bit trits: what the reference kernels read.

Row-major. Code = trit + 1 (0, 1, 2; 3 is never written), four to a byte, the first in the low bits. Each row
is padded to a whole byte with code 1 (a zero weight).
"""

from __future__ import annotations

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits


class T2(Layout):
    """Four trits a byte, row-major."""

    name = "t2"
    element = "trit"
    col_multiple = 4

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        rows, cols = weights.shape
        codes = np.ones((rows, -(-cols // 4) * 4), np.uint8)
        codes[:, :cols] = (weights + 1).astype(np.uint8)
        c = codes.reshape(rows, -1, 4)
        packed = c[..., 0] | c[..., 1] << 2 | c[..., 2] << 4 | c[..., 3] << 6
        return bytes(packed.astype(np.uint8).tobytes())

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        row_bytes = -(-cols // 4)
        if len(raw) != rows * row_bytes:
            raise EdgebitError(f"t2: {len(raw)} bytes for a {rows} x {cols} matrix of {rows * row_bytes}")
        b = np.frombuffer(raw, np.uint8).reshape(rows, row_bytes, 1)
        codes = (b >> np.array([0, 2, 4, 6], np.uint8)) & 3
        if (codes == 3).any():
            raise EdgebitError("t2: the code 3 is not a trit")
        return (codes.reshape(rows, -1)[:, :cols].astype(np.int8) - 1).astype(np.int8)

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 8.0 * -(-cols // 4) / cols
