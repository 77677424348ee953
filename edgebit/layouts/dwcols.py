"""Trits of 3 x 3 depthwise convolutions, a byte a kernel column: what dwconv3x3_t_s8__armv6m reads.

The matrix has a row a tap (3 * ky + kx) and a column a channel. For each channel and kx the byte is twice the
number 9 * t[0][kx] + 3 * t[1][kx] + t[2][kx] + 13, an offset in the kernel's table of code.
"""

from __future__ import annotations

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import check_trits
from edgebit.layouts.dwquads import TAPS, BandLayout


class DwCols(BandLayout):
    """Three bytes a channel."""

    name = "dwcols"
    element = "trit"

    def plane(self, stem: str, columns: int, stride: int) -> int:
        return (32 if stride == 1 else 40) * columns

    def pairs(self, stride: int) -> list[tuple[int, int]]:
        return [(j, j + 3 * stride) for j in range(2 * stride + 3)]

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        why = self.limits(weights)
        if why is not None:
            raise EdgebitError(why)
        t = weights.reshape(3, 3, -1).astype(np.int16)
        numbers = 2 * (9 * t[0] + 3 * t[1] + t[2] + 13)
        return np.ascontiguousarray(numbers.T).astype(np.uint8).tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        if rows != TAPS or len(raw) != 3 * cols:
            raise EdgebitError(f"{self.name}: {len(raw)} bytes for {rows} taps of {cols} channels")
        codes = np.frombuffer(raw, np.uint8).reshape(cols, 3).T
        if (codes % 2).any() or codes.max() > 52:
            raise EdgebitError(f"{self.name}: a byte is not twice the number of three trits")
        n = codes // 2
        trits = np.stack([n // 9, n // 3 % 3, n % 3]).astype(np.int8) - np.int8(1)
        return np.ascontiguousarray(trits.reshape(TAPS, cols).astype(np.int8))

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 24 / TAPS

    def blank(self, rows: int, cols: int) -> Array:
        return np.zeros((TAPS, cols), np.int8)
