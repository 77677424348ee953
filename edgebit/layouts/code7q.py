"""Weights and requantisation as machine code for Armv7E-M: what tpixels_fused_s8__armv7em_code calls (see
thumb_fused.py); and what such layouts have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits
from edgebit.layouts.code6m import Code6m
from edgebit.layouts.code7m import Code7m
from edgebit.layouts.pixels import MAX_NONZEROS, PixelLayout
from edgebit.layouts.thumb_fused import MAX_BIASED, MAX_ROWS, Entry, generate
from edgebit.layouts.thumb_fused_reader import FusedReader


class FusedLayout(Layout):
    """A layout of tpixels_fused_s8 that is machine code, called by name. pack and unpack take outputs that are the sums,
    clamped. tiles: the layout whose sums it makes; reader: what reads it back; clamps: whether the code is
    passed the table of epilogue/clamp.h as a last argument."""

    element = "trit"
    tiles: ClassVar[Code6m]
    reader: ClassVar[type[FusedReader]]
    clamps: ClassVar[bool] = False

    @abstractmethod
    def generate(self, weights: Array, entries: Sequence[Entry], stride: int) -> bytes:
        """The code for (rows, cols) trits, one entry a row, and `stride` words from a pair of pixels to the next."""

    @abstractmethod
    def work_requant(self, weights: Array, entries: Sequence[Entry]) -> Mapping[str, float]:
        """Counts of one product that depend on the entries, beside those of `work`."""

    def pack_requant(self, weights: Array, entries: Sequence[Entry]) -> bytes:
        """The bytes of (rows, cols) trits and one entry a row."""
        check_trits(weights)
        return self.generate(weights, entries, PixelLayout.stride(int(weights.shape[1])))

    def pack(self, weights: Array) -> bytes:
        return self.pack_requant(weights, [Entry(0, 1, 0)] * len(weights))

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        trits, _ = self.reader(raw, rows, cols, PixelLayout.stride(cols)).read()
        check_trits(trits)
        return trits

    def work(self, weights: Array) -> Mapping[str, float]:
        """What the layout of the sums counts; stored: rows."""
        return self.tiles.work(weights)

    def limits(self, weights: Array) -> str | None:
        rows, most = len(weights), int(np.count_nonzero(weights, axis=1).max(initial=0))
        if rows > MAX_ROWS:
            return f"{self.name} takes at most {MAX_ROWS} rows, not {rows}"
        if most > MAX_NONZEROS:
            return f"{self.name} takes at most {MAX_NONZEROS} nonzero weights a row, not {most}"
        return self.tiles.limits(weights)


class Code7q(FusedLayout):
    """Code7m with a few instructions for each output."""

    name = "code7q"
    tiles: ClassVar[Code6m] = Code7m()
    reader: ClassVar[type[FusedReader]] = FusedReader

    def generate(self, weights: Array, entries: Sequence[Entry], stride: int) -> bytes:
        return generate(weights, entries, stride)

    def work_requant(self, weights: Array, entries: Sequence[Entry]) -> Mapping[str, float]:
        """dense: rows whose sums have no bias."""
        return {"dense": float((np.count_nonzero(weights, axis=1) > MAX_BIASED).sum())}
