"""Weights as machine code for strips and Armv6-M: what tstrips_s8__armv6m_code calls (see thumb_strips.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import check_trits
from edgebit.layouts.code6m import Code6m
from edgebit.layouts.strips import Strip, StripLayout
from edgebit.layouts.thumb_strips import StripReader, generate, places, windows


class Code6s(StripLayout):
    """An addition or subtraction for every nonzero trit, or one for two that share it."""

    name = "code6s"
    element = "trit"
    tiles: ClassVar[Code6m] = Code6m()  # what differs is where inputs are

    def starts(self, weights: Array) -> list[int]:
        """The columns at which a block of sums begins."""
        return self.tiles.starts(weights)

    def blocks(self, weights: Array) -> int:
        return self.tiles.blocks(weights)

    def pack_strip(self, weights: Array, strip: Strip) -> bytes:
        check_trits(weights)
        return generate(weights, self.starts(weights), strip, self.tiles.wide)

    def unpack_strip(self, raw: bytes, rows: int, strip: Strip) -> S8Array:
        trits: S8Array = StripReader(raw, rows, strip).run().sum(axis=0).astype(np.int8)
        check_trits(trits)
        return trits

    def work(self, weights: Array) -> Mapping[str, float]:
        """What Code6m.work counts."""
        return self.tiles.work(weights)

    def work_strip(self, weights: Array, strip: Strip) -> Mapping[str, float]:
        return self.tiles.tally(weights, tuple(windows(strip)[0]), places(strip))

    def limits(self, weights: Array) -> str | None:
        return self.tiles.limits(weights)
