"""Four rows by four columns in four words: what matvec_s8__armv7em reads.

Blocks of 4 rows follow each other. In a block, each step of 4 columns is 4 bytes of the first row, 4 of the
second and so on. Columns left over are one more such step, padded with zeros, unless it is a single column:
that is 4 bytes, one a row. Rows are padded to 4 with zero weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, round_up
from edgebit.layouts.s8 import check_s8


def _width(cols: int) -> int:
    """Columns that are stored."""
    return cols if cols % 4 == 1 else round_up(cols, 4)


class S8r4(Layout):
    """Words of 4 columns of a row, 4 rows in turn; 8 bits a weight."""

    name = "s8r4"
    element = "s8"
    row_multiple = 4

    def pack(self, weights: Array) -> bytes:
        check_s8(weights)
        rows, cols = weights.shape
        width = _width(cols)
        padded = np.zeros((round_up(rows, 4), width), np.int8)
        padded[:rows, :cols] = weights
        blocks = padded.reshape(-1, 4, width)
        whole = width // 4 * 4
        steps = blocks[:, :, :whole].reshape(len(blocks), 4, -1, 4).transpose(0, 2, 1, 3)
        parts = [steps.reshape(len(blocks), -1), blocks[:, :, whole:].reshape(len(blocks), -1)]
        return np.concatenate(parts, axis=1).tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        high, width = round_up(rows, 4), _width(cols)
        if len(raw) != high * width:
            raise EdgebitError(f"s8r4: {len(raw)} bytes for a {rows} x {cols} matrix of {high * width}")
        whole = width // 4 * 4
        blocks = np.frombuffer(raw, np.int8).reshape(-1, 4 * width)
        steps = blocks[:, : 4 * whole].reshape(len(blocks), -1, 4, 4).transpose(0, 2, 1, 3)
        last = blocks[:, 4 * whole :].reshape(len(blocks), 4, -1)
        out = np.concatenate([steps.reshape(len(blocks), 4, -1), last], axis=2).reshape(high, width)
        if out[rows:].any() or out[:, cols:].any():
            raise EdgebitError("s8r4: weights in the padding")
        return np.ascontiguousarray(out[:rows, :cols])

    def work(self, weights: Array) -> Mapping[str, float]:
        """Of blocks of 4 rows, block: all; quad: steps of 4 columns; single: those with a single column left."""
        rows, cols = weights.shape
        blocks = round_up(rows, 4) // 4
        return {"block": blocks, "quad": blocks * (_width(cols) // 4), "single": blocks * (cols % 4 == 1)}

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 8.0 * round_up(rows, 4) * _width(cols) / (rows * cols)
