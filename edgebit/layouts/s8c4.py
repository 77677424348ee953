"""Columns of four rows: what matvec_s8__armv6m reads.

Blocks of 4 rows follow each other. In a block each column is 4 bytes, w + 128 of the rows in order; then come,
for each of the rows, -128 * (the sum of its weights) as an int32. Rows are padded to 4 with zero weights.
"""

from __future__ import annotations

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, round_up
from edgebit.layouts.s8 import check_s8

MAX_COLS = 65536


class S8c4(Layout):
    """A word a column of 4 rows; 8 bits a weight and 4 bytes a row."""

    name = "s8c4"
    element = "s8"
    row_multiple = 4

    def pack(self, weights: Array) -> bytes:
        check_s8(weights)
        rows, cols = weights.shape
        padded = np.zeros((round_up(rows, 4), cols), np.int64)
        padded[:rows] = weights
        blocks = padded.reshape(-1, 4, cols)
        columns = (blocks + 128).astype(np.uint8).transpose(0, 2, 1).reshape(len(blocks), -1)
        starts = (-128 * blocks.sum(axis=2)).astype("<i4").view(np.uint8)
        return np.concatenate([columns, starts], axis=1).tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        high = round_up(rows, 4)
        if len(raw) != high * (cols + 4):
            raise EdgebitError(f"s8c4: {len(raw)} bytes for a {rows} x {cols} matrix of {high * (cols + 4)}")
        blocks = np.frombuffer(raw, np.uint8).reshape(-1, 4 * cols + 16)
        columns = blocks[:, : 4 * cols].reshape(-1, cols, 4).astype(np.int64) - 128
        starts = np.ascontiguousarray(blocks[:, 4 * cols :]).view("<i4")
        if (starts != -128 * columns.sum(axis=1)).any():
            raise EdgebitError("s8c4: a row does not start at its sum")
        return np.ascontiguousarray(columns.transpose(0, 2, 1).reshape(high, cols)[:rows].astype(np.int8))

    def limits(self, weights: Array) -> str | None:
        if weights.shape[1] > MAX_COLS:
            return f"s8c4 takes at most {MAX_COLS} columns, not {weights.shape[1]}"
        return None

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 8.0 * round_up(rows, 4) * (cols + 4) / (rows * cols)

    def scratch(self, stem: str, rows: int, cols: int) -> int:
        return round_up(cols, 8)
