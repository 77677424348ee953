"""Weights as machine code for Armv6-M: what the layers of tpixels_s8__armv6m_code call (see thumb.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import check_trits
from edgebit.layouts.column_pairs import WINDOW, pair_columns
from edgebit.layouts.pixels import PixelLayout, cut_columns
from edgebit.layouts.thumb import Reader, generate, row_tiles
from edgebit.layouts.thumb_code import ROWS

MAX_NONZEROS = 1 << 17
"""Some 350 KB of code; more would not fit what microcontrollers have."""


class Code6m(PixelLayout):
    """An addition or subtraction for every nonzero trit, fewer for Armv7-M."""

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
        """add: additions and subtractions; input: columns loaded in order for a tile of rows, single: columns loaded
        one by one; negation: inputs negated for high registers; segment: tiles of rows and blocks of columns;
        stored: sums stored."""
        return self.tally(weights, tuple(k // WINDOW for k in range(weights.shape[1])))

    def tally(self, weights: Array, groups: tuple[int, ...]) -> Mapping[str, float]:
        """What `work` counts where columns are in these groups (see column_pairs.py)."""
        inputs = single = negations = saved = at = 0
        starts = self.starts(weights)
        for size in row_tiles(len(weights)):
            part = weights[at : at + size]
            at += size
            high = [i for i in range(size) if ROWS[i] >= 8]
            negations += 0 if self.wide else int(np.count_nonzero((part[high] < 0).any(axis=0)))
            for first, last in zip(starts, [*starts[1:], len(groups)], strict=True):
                block = np.ascontiguousarray(part[:, first:last])
                wanted = int(np.count_nonzero(block.any(axis=0)))
                pairs = pair_columns(block, groups[first:last]) if self.wide else None
                if pairs is not None and pairs.loads:
                    single += wanted
                    saved += pairs.saved
                else:
                    inputs += wanted
        return {
            "add": int(np.count_nonzero(weights)) - saved,
            "input": inputs,
            "single": single,
            "negation": negations,
            "segment": len(starts) * len(row_tiles(len(weights))),
            "stored": len(starts) * len(weights),
        }

    def limits(self, weights: Array) -> str | None:
        nonzeros = int(np.count_nonzero(weights))
        if nonzeros > MAX_NONZEROS:
            return f"{self.name} takes at most {MAX_NONZEROS} nonzero weights, not {nonzeros}"
        return None
