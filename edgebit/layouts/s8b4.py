"""Four rows by sixteen columns in 64 bytes: what vector kernels of matvec_s8 read (NEON, Helium, AVX2).

Blocks of 4 rows follow each other. In a block, each step of 16 columns is 16 bytes of the first row, 16 of the
second and so on. Rows are padded to 4 and columns to 16 with zero weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, round_up
from edgebit.layouts.s8 import check_s8

KEPT = 64
"""Columns of inputs that matvec_s8__mve keeps in registers."""


class S8b4(Layout):
    """Vectors of 16 columns of a row, 4 rows in turn; 8 bits a weight."""

    name = "s8b4"
    element = "s8"
    row_multiple = 4
    col_multiple = 16

    def pack(self, weights: Array) -> bytes:
        check_s8(weights)
        rows, cols = weights.shape
        padded = np.zeros((round_up(rows, 4), round_up(cols, 16)), np.int8)
        padded[:rows, :cols] = weights
        return padded.reshape(len(padded) // 4, 4, -1, 16).transpose(0, 2, 1, 3).tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        high, width = round_up(rows, 4), round_up(cols, 16)
        if len(raw) != high * width:
            raise EdgebitError(f"s8b4: {len(raw)} bytes for a {rows} x {cols} matrix of {high * width}")
        out = (
            np.frombuffer(raw, np.int8)
            .reshape(high // 4, -1, 4, 16)
            .transpose(0, 2, 1, 3)
            .reshape(high, width)
        )
        if out[rows:].any() or out[:, cols:].any():
            raise EdgebitError("s8b4: weights in the padding")
        return np.ascontiguousarray(out[:rows, :cols])

    def work(self, weights: Array) -> Mapping[str, float]:
        """block: of 4 rows; vector: steps of 16 columns of one; long, long_vector: of these, where there are more
        columns than Helium has registers for."""
        rows, cols = weights.shape
        blocks = round_up(rows, 4) // 4
        vectors = blocks * (round_up(cols, 16) // 16)
        long = cols > KEPT
        return {"block": blocks, "vector": vectors, "long": blocks * long, "long_vector": vectors * long}

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 8.0 * round_up(rows, 4) * round_up(cols, 16) / (rows * cols)
