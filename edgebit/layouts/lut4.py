"""Lookup indices of four trits: what tmatvec_s8__armv6m reads.

Four consecutive columns of a row are one byte: the byte offset of their partial sum in a table of 81 uint16.
With digits d = trit + 1 the halfword is (the order in which the kernel builds the table two at a time)

    2 * (9 d0 + 3 d1 + d2) + d3     where t3 < 1
    54 + 2 * (3 d0 + d1) + d2       where t3 = 1, t2 < 1
    72 + 2 * d0 + d1                where t3 = t2 = 1, t1 < 1
    78 + d0                         where t3 = t2 = t1 = 1

Blocks of 8 rows follow each other; within a block the bytes of the 8 rows for columns 0..3, then 4..7, and
so on. Rows and columns are padded with zero trits.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits, round_up

MAX_COLS = 65536
TABLE_BYTES = 164
TILE = 32  # groups of 4 columns whose tables are in memory at once


def _halfword(t0: int, t1: int, t2: int, t3: int) -> int:
    """The place of t0*x0 + t1*x1 + t2*x2 + t3*x3 in a table."""
    d0, d1, d2, d3 = t0 + 1, t1 + 1, t2 + 1, t3 + 1
    if t3 < 1:
        return 2 * (9 * d0 + 3 * d1 + d2) + d3
    if t2 < 1:
        return 54 + 2 * (3 * d0 + d1) + d2
    if t1 < 1:
        return 72 + 2 * d0 + d1
    return 78 + d0


_TRITS = np.array(list(itertools.product((-1, 0, 1), repeat=4)), np.int8)  # by 27 d0 + 9 d1 + 3 d2 + d3
_ENCODE = np.array([2 * _halfword(*map(int, t)) for t in _TRITS], np.uint8)
_DECODE = np.full(256, -1, np.int16)
_DECODE[_ENCODE] = np.arange(81)


class Lut4(Layout):
    """One table offset per four columns, in blocks of 8 rows; 2 bits a weight."""

    name = "lut4"
    element = "trit"
    row_multiple = 8
    col_multiple = 4

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        rows, cols = weights.shape
        digits = np.ones((round_up(rows, 8), round_up(cols, 4)), np.uint8)
        digits[:rows, :cols] = weights + 1
        quads = digits.reshape(digits.shape[0] // 8, 8, -1, 4).transpose(0, 2, 1, 3)
        return _ENCODE[quads @ np.array([27, 9, 3, 1], np.uint8)].tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        blocks, groups = -(-rows // 8), -(-cols // 4)
        if len(raw) != 8 * blocks * groups:
            raise EdgebitError(
                f"lut4: {len(raw)} bytes for a {rows} x {cols} matrix of {8 * blocks * groups}"
            )
        codes = _DECODE[np.frombuffer(raw, np.uint8)].reshape(blocks, groups, 8)
        if (codes < 0).any():
            raise EdgebitError("lut4: a byte that is no table offset")
        trits = _TRITS[codes].transpose(0, 2, 1, 3).reshape(8 * blocks, 4 * groups)
        return np.ascontiguousarray(trits[:rows, :cols])

    def limits(self, weights: Array) -> str | None:
        if weights.shape[1] > MAX_COLS:
            return f"lut4 takes at most {MAX_COLS} columns, not {weights.shape[1]}"
        return None

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 8.0 * round_up(rows, 8) * -(-cols // 4) / (rows * cols)

    def work(self, weights: Array) -> Mapping[str, float]:
        """quad: tables built; tile: stretches of columns whose tables are built together; tile_block: blocks of 8
        rows of all tiles."""
        rows, cols = weights.shape
        quads = -(-cols // 4)
        tiles = -(-quads // TILE)
        return {"quad": quads, "tile": tiles, "tile_block": tiles * -(-rows // 8)}

    def scratch(self, stem: str, rows: int, cols: int) -> int:
        return round_up(TABLE_BYTES * min(-(-cols // 4), TILE), 8)
