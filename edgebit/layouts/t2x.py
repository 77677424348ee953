"""Plain 2-bit trits with a new block of sums every 255 columns: what tpixels_s8__ref reads."""

from __future__ import annotations

from collections.abc import Mapping

from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import layout_of
from edgebit.layouts.pixels import MAX_NONZEROS, PixelLayout


class T2x(PixelLayout):
    """The bytes of the layout t2."""

    name = "t2x"
    col_multiple = 4

    def pack(self, weights: Array) -> bytes:
        return layout_of("t2").pack(weights)

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        trits: S8Array = layout_of("t2").unpack(raw, rows, cols)
        return trits

    def blocks(self, weights: Array) -> int:
        return -(-int(weights.shape[1]) // MAX_NONZEROS)

    def work(self, weights: Array) -> Mapping[str, float]:
        """list: rows of all blocks."""
        return {"list": weights.shape[0] * self.blocks(weights)}

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return layout_of("t2").bits_per_weight(rows, cols)
