"""Weights as machine code for Armv6-M: what the layers of tpixels_s8__armv6m_code call (see thumb.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import check_trits
from edgebit.layouts.pixels import PixelLayout, cut_columns
from edgebit.layouts.thumb import ROWS, Reader, generate, row_tiles

MAX_NONZEROS = 1 << 17
"""Some 350 KB of code; more would not fit what microcontrollers have."""


class Code6m(PixelLayout):
    """An addition or subtraction for every nonzero trit."""

    name = "code6m"
    code = True
    wide: ClassVar[bool] = False

    def starts(self, weights: Array) -> list[int]:
        """The columns at which a block of sums begins."""
        return cut_columns(weights, 1)

    def blocks(self, weights: Array) -> int:
        return len(self.starts(weights))

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        return generate(weights, self.starts(weights), self.stride(int(weights.shape[1])), self.wide)

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        parts = Reader(raw, rows, cols, self.stride(cols)).run()
        trits: S8Array = parts.sum(axis=0).astype(np.int8)
        check_trits(trits)
        return trits

    def work(self, weights: Array) -> Mapping[str, float]:
        """add: nonzeros; input: columns loaded for a tile of rows; negation: inputs negated for high registers;
        segment: tiles of rows and blocks of columns; stored: sums stored."""
        inputs = negations = at = 0
        for size in row_tiles(len(weights)):
            part = weights[at : at + size]
            inputs += int(np.count_nonzero(part.any(axis=0)))
            high = [i for i in range(size) if ROWS[i] >= 8]
            negations += 0 if self.wide else int(np.count_nonzero((part[high] < 0).any(axis=0)))
            at += size
        blocks = self.blocks(weights)
        return {
            "add": int(np.count_nonzero(weights)),
            "input": inputs,
            "negation": negations,
            "segment": blocks * len(row_tiles(len(weights))),
            "stored": blocks * len(weights),
        }

    def limits(self, weights: Array) -> str | None:
        nonzeros = int(np.count_nonzero(weights))
        if nonzeros > MAX_NONZEROS:
            return f"{self.name} takes at most {MAX_NONZEROS} nonzero weights, not {nonzeros}"
        return None
