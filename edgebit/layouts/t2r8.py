"""Two-bit trits of eight rows side by side for binary32 vectors: what tmatvec_f32__neon and __avx2 read.

Row blocks are 8 rows. Every 16 columns of one are 32 bytes: a 32-bit little-endian word a row, which holds column k
at bits 2 k and 2 k + 1 as a two's complement number: 00, 01 or 11.
"""

from __future__ import annotations

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits, round_up

ROWS, COLS = 8, 16


class T2r8(Layout):
    """Eight rows by sixteen columns in 32 bytes; 2 bits a weight."""

    name = "t2r8"
    element = "trit"
    row_multiple = ROWS
    col_multiple = COLS

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        rows, cols = weights.shape
        trits = np.zeros((round_up(rows, ROWS), round_up(cols, COLS)), np.int8)
        trits[:rows, :cols] = weights
        codes = (trits & 3).astype(np.uint32).reshape(-1, ROWS, trits.shape[1] // COLS, COLS)
        words = (codes << np.arange(0, 2 * COLS, 2, dtype=np.uint32)).sum(axis=3, dtype=np.uint32)
        raw: bytes = words.transpose(0, 2, 1).astype("<u4").tobytes()
        return raw

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        height, width = round_up(rows, ROWS), round_up(cols, COLS)
        if len(raw) != height * width // 4:
            raise EdgebitError(
                f"{self.name}: {len(raw)} bytes for a {rows} x {cols} matrix of {height * width // 4}"
            )
        words = np.frombuffer(raw, "<u4").reshape(-1, width // COLS, ROWS).transpose(0, 2, 1)
        codes = (words[..., None] >> np.arange(0, 2 * COLS, 2, dtype=np.uint32) & 3).astype(np.int8)
        if (codes == 2).any():
            raise EdgebitError(f"{self.name}: a code that is no trit")
        trits = np.where(codes == 3, -1, codes).astype(np.int8).reshape(height, width)
        return np.ascontiguousarray(trits[:rows, :cols])

    def scratch(self, stem: str, rows: int, cols: int) -> int:
        return 16 * round_up(cols, COLS) if stem.endswith("__avx2") else 0

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 2.0 * round_up(rows, ROWS) * round_up(cols, COLS) / (rows * cols)
