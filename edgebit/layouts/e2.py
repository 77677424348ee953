"""Four rows a byte for dot-product instructions: what tmatvec_s8__neon_dotprod reads.

Row blocks are 16 rows; within one, every 4 columns are a vector of 16 bytes. Byte 4 q + j (q, j = 0..3) holds
column j of rows q, 4 + q, 8 + q and 12 + q in bits 0-1, 2-3, 4-5 and 6-7: the code trit + 1 in the first
three, the trit as a two's complement number in the last. Rows and columns are padded to 16 with zero trits.
"""

from __future__ import annotations

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits, round_up

MAX_COLS = 131072


class E2(Layout):
    """Sixteen rows by four columns in 16 bytes; 2 bits a weight."""

    name = "e2"
    element = "trit"
    row_multiple = 16
    col_multiple = 16

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        rows, cols = weights.shape
        trits = np.zeros((round_up(rows, 16), round_up(cols, 16)), np.int8)
        trits[:rows, :cols] = weights
        # (block, field, q, vector, j) -> (field, block, vector, q, j)
        f = trits.reshape(-1, 4, 4, trits.shape[1] // 4, 4).transpose(1, 0, 3, 2, 4)
        code = (f + 1).astype(np.uint8)
        packed = code[0] | code[1] << 2 | code[2] << 4 | (f[3] & 3).astype(np.uint8) << 6
        return bytes(packed.astype(np.uint8).tobytes())

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        height, width = round_up(rows, 16), round_up(cols, 16)
        if len(raw) != height * width // 4:
            raise EdgebitError(f"e2: {len(raw)} bytes for a {rows} x {cols} matrix of {height * width // 4}")
        b = np.frombuffer(raw, np.uint8).reshape(height // 16, width // 4, 4, 4)
        f = np.stack([b & 3, b >> 2 & 3, b >> 4 & 3, b >> 6]).astype(np.int8)
        if (f[:3] == 3).any() or (f[3] == 2).any():
            raise EdgebitError("e2: a code that is no trit")
        f[:3] -= 1
        f[3] = np.where(f[3] == 3, -1, f[3])
        trits = f.transpose(1, 0, 3, 2, 4).reshape(height, width)
        return np.ascontiguousarray(trits[:rows, :cols])

    def limits(self, weights: Array) -> str | None:
        if weights.shape[1] > MAX_COLS:
            return f"e2 takes at most {MAX_COLS} columns, not {weights.shape[1]}"
        return None

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 2.0 * round_up(rows, 16) * round_up(cols, 16) / (rows * cols)
