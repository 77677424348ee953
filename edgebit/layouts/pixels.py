"""What layouts for packed pixels have in common (see runtime_c/kernels/tpixels_s8/tpixels_s8.h).

Two sums share a word while each stays within int16. With int8 inputs |sum| <= 128 * nonzeros, so the columns
are cut into blocks in which no row has more than 255 nonzero trits: 255 * 128 = 32640 < 2^15.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from edgebit.ir.graph import Array
from edgebit.layouts.base import Layout, round_up

MAX_NONZEROS = (2**15 - 1) // 128
PIXELS = 8


class PixelLayout(Layout):
    """A layout of tpixels_s8. pack_isa: the instruction set of the pack_pixels and requant_pixels kernels that
    go with it; code: the packed bytes are machine code, called by name."""

    element = "trit"
    code: ClassVar[bool] = False

    def blocks(self, weights: Array) -> int:
        """How many blocks of sums a kernel makes for these weights."""
        raise NotImplementedError

    @staticmethod
    def stride(cols: int) -> int:
        """Words from one pair of pixels to the next in the packed inputs."""
        return round_up(cols, 12)


def cut_columns(weights: Array, step: int, limit: int = MAX_NONZEROS) -> list[int]:
    """Where blocks start: the fewest runs of whole steps of columns in which no row exceeds `limit` nonzeros.

    step: columns that stay together, at most `limit`.
    """
    return cut_tiles(weights, range(0, weights.shape[1], step), limit)


def cut_tiles(weights: Array, firsts: Sequence[int], limit: int = MAX_NONZEROS) -> list[int]:
    """Where blocks start: the fewest runs of whole tiles of columns in which no row exceeds `limit` nonzeros.

    firsts: the first column of each tile, of at most `limit` nonzeros a row.
    """
    counts = np.add.reduceat((weights != 0).astype(np.int64), firsts, axis=1).T
    starts = [0]
    total: npt.NDArray[np.int64] = np.zeros(len(weights), np.int64)
    for first, count in zip(firsts, counts, strict=True):
        if (total + count).max() > limit:
            starts.append(first)
            total = np.zeros(len(weights), np.int64)
        total = total + count
    return starts
