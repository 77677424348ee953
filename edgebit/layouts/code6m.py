"""Weights as machine code for Armv6-M: what the layers of tpixels_s8__armv6m_code call (see thumb.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import check_trits
from edgebit.layouts.column_pairs import WINDOW, pair_columns
from edgebit.layouts.pixels import PixelLayout, cut_columns
from edgebit.layouts.thumb import Reader, generate, row_tiles
from edgebit.layouts.thumb_sums import groups_of

MAX_NONZEROS = 1 << 17
"""Some 350 KB of code; more would not fit what microcontrollers have."""


class Code6m(PixelLayout):
    """An addition or subtraction for every nonzero trit, or one for two that share it."""

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
        """add: additions, subtractions and negations; input: words loaded in order for a tile of rows, by load:
        instructions; single: columns loaded one by one; segment: tiles of rows and blocks of columns; stored: sums
        stored."""
        cols = range(weights.shape[1])
        return self.tally(weights, tuple(k // WINDOW for k in cols), cols)

    def tally(self, weights: Array, groups: tuple[int, ...], places: Sequence[int]) -> Mapping[str, float]:
        """What `work` counts where columns are in these groups (see column_pairs.py), at these places (see
        column_groups.py)."""
        counts = dict.fromkeys(("add", "input", "load", "single"), 0)
        at = 0
        starts = self.starts(weights)
        for size in row_tiles(len(weights)):
            part = weights[at : at + size]
            at += size
            for first, last in zip(starts, [*starts[1:], len(groups)], strict=True):
                block = np.ascontiguousarray(part[:, first:last])
                wanted = np.flatnonzero(block.any(axis=0)).tolist()
                if not self.wide:
                    where = [places[first + k] for k in wanted]
                    plan = groups_of(np.ascontiguousarray(block[:, wanted]), where)
                    counts["add"] += plan.adds
                    counts["input"] += plan.inputs
                    counts["load"] += len(plan.groups)
                    continue
                pairs = pair_columns(block, groups[first:last])
                counts["add"] += int(np.count_nonzero(block)) - pairs.saved
                counts["single" if pairs.loads else "input"] += len(wanted)
        segments = len(starts) * len(row_tiles(len(weights)))
        return counts | {"segment": segments, "stored": len(starts) * len(weights)}

    def limits(self, weights: Array) -> str | None:
        nonzeros = int(np.count_nonzero(weights))
        if nonzeros > MAX_NONZEROS:
            return f"{self.name} takes at most {MAX_NONZEROS} nonzero weights, not {nonzeros}"
        return None
