"""A byte for every nonzero trit, for eight packed pixels: what tpixels_s8__armv7em_list8 and __armv7m_list8 read.

Lists of bytes as in byte_lists.py: a unit is a column. A tile is as many columns as leave every list within 24.
"""

from __future__ import annotations

import numpy as np

from edgebit.ir.graph import Array
from edgebit.layouts.byte_lists import MAX_LIST, ByteLists
from edgebit.layouts.ofs16 import greedy_tiles

MAX_UNITS = 255


class List8p(ByteLists):
    """A byte a nonzero trit, and two bytes a row and tile."""

    name = "list8p"
    unit = 1
    places = 1

    def tiles(self, weights: Array) -> list[int]:
        return greedy_tiles(weights, MAX_LIST, MAX_UNITS)

    def encode(self, trits: Array) -> tuple[Array, Array]:
        signs = trits[:, :, 0]
        return signs, np.zeros(signs.shape, np.int64)

    def decode(self, place: int) -> Array:
        return np.ones(1, np.int8)
