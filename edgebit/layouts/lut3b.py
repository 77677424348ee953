"""A byte for every three trits that are not all zero, for eight packed pixels: what tpixels_s8__armv7em_lut3 and
__armv7m_lut3 read.

Lists of bytes as in byte_lists.py: three consecutive columns are a unit, and its places are the 13 sums of lut3.py.
There are as few tiles as possible, equally large, of at most 19 units, all that bytes can name.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgebit.ir.graph import Array
from edgebit.layouts.byte_lists import ByteLists
from edgebit.layouts.lut3 import GROUP, SUMS, TABLE_BYTES, equal_tiles, signed_sums

TILE = 256 // len(SUMS)
"""Units in a tile, at most."""


class Lut3b(ByteLists):
    """A byte for every three trits that are not all zero, and two bytes a row and tile."""

    name = "lut3b"
    col_multiple = GROUP
    unit = GROUP
    places = len(SUMS)

    def tiles(self, weights: Array) -> list[int]:
        return equal_tiles(weights.shape[1], TILE)

    def encode(self, trits: Array) -> tuple[Array, Array]:
        places, signs = signed_sums(trits)
        return signs, places

    def decode(self, place: int) -> Array:
        return np.array(SUMS[place], np.int8)

    def work(self, weights: Array) -> Mapping[str, float]:
        """lookup: bytes listed; list: rows of all tiles; group: tables built."""
        return {**super().work(weights), "group": -(-weights.shape[1] // GROUP)}

    def scratch(self, stem: str, rows: int, cols: int) -> int:
        return TABLE_BYTES * equal_tiles(cols, TILE)[0]
