"""int8 weights as pairs of int16, two rows side by side: what kernels of dots_s8 read.

For rows r, r + 1 with r = 0, 2, 4 ..., but at most rows - 2, a block: for each two columns a word of the first row's
weights and one of the second's, the first column in the low half. The first two columns come first, the others at the
end of the block; zeros between fill it to 17 columns of words, so that kernels may load 16 without looking.
"""

from __future__ import annotations

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, round_up
from edgebit.layouts.s8 import check_s8

MAX_WORDS = 33
_LOADED = 16


class S16p2(Layout):
    """16 bits a weight and what fills blocks."""

    name = "s16p2"
    element = "s8"
    col_multiple = 2

    def pack(self, weights: Array) -> bytes:
        check_s8(weights)
        why = self.limits(weights)
        if why is not None:
            raise EdgebitError(why)
        rows, cols = weights.shape
        words = -(-cols // 2)
        size = self.block_words(words)
        wide = np.zeros((rows, words, 2), "<i2")
        wide.reshape(rows, -1)[:, :cols] = weights
        blocks = np.zeros((-(-rows // 2), size, 2, 2), "<i2")  # pair of rows, word, row, column
        for block, r in zip(blocks, _pairs(rows), strict=True):
            block[0] = wide[r : r + 2, 0]
            block[size - words + 1 :] = wide[r : r + 2, 1:].transpose(1, 0, 2)
        return blocks.tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        words = -(-cols // 2)
        size = self.block_words(words)
        if rows < 2 or len(raw) != 8 * size * -(-rows // 2):
            raise EdgebitError(f"s16p2: {len(raw)} bytes are no {rows} x {cols} matrix")
        blocks = np.frombuffer(raw, "<i2").reshape(-1, size, 2, 2)
        wide = np.zeros((rows, words, 2), "<i2")
        for block, r in zip(blocks, _pairs(rows), strict=True):
            wide[r : r + 2, 0] = block[0]
            wide[r : r + 2, 1:] = block[size - words + 1 :].transpose(1, 0, 2)
        weights = wide.reshape(rows, -1)[:, :cols].astype(np.int8)
        if self.pack(weights) != raw:
            raise EdgebitError("s16p2: a weight is no int8, or what fills a block is not zero")
        return np.ascontiguousarray(weights)

    @staticmethod
    def block_words(words: int) -> int:
        """Words of each row in a block, for windows of `words`."""
        return max(1 + _LOADED, words)

    def limits(self, weights: Array) -> str | None:
        rows, cols = weights.shape
        if rows < 2:
            return "s16p2 takes at least 2 rows"
        if round_up(cols, 2) > 2 * MAX_WORDS:
            return f"s16p2 takes at most {2 * MAX_WORDS} columns, not {cols}"
        return None

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 64.0 * -(-rows // 2) * self.block_words(-(-cols // 2)) / (rows * cols)


def _pairs(rows: int) -> list[int]:
    """The first row of each block."""
    return [min(r, rows - 2) for r in range(0, rows, 2)]
