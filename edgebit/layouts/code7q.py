"""Weights and requantisation as machine code for Armv7E-M: what tpixels_fused_s8__armv7em_code calls (see
thumb_fused.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits
from edgebit.layouts.code7m import Code7m
from edgebit.layouts.pixels import MAX_NONZEROS, PixelLayout
from edgebit.layouts.thumb_fused import MAX_ROWS, Entry, FusedReader, generate

_TILES = Code7m()


class Code7q(Layout):
    """Code7m with a few instructions for each output. pack and unpack take outputs that are the sums, clamped."""

    name = "code7q"
    element = "trit"

    def pack_requant(self, weights: Array, entries: Sequence[Entry]) -> bytes:
        """The bytes of (rows, cols) trits and one entry a row."""
        check_trits(weights)
        return generate(weights, entries, PixelLayout.stride(int(weights.shape[1])))

    def pack(self, weights: Array) -> bytes:
        return self.pack_requant(weights, [Entry(0, 1, 0)] * len(weights))

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        trits, _ = FusedReader(raw, rows, cols, PixelLayout.stride(cols)).read()
        check_trits(trits)
        return trits

    def work(self, weights: Array) -> Mapping[str, float]:
        """What Code7m.work counts; stored: rows, of which dense: those whose sums have no bias."""
        nonzeros = np.count_nonzero(weights, axis=1)
        return {**_TILES.work(weights), "dense": float((nonzeros > 127).sum())}

    def limits(self, weights: Array) -> str | None:
        rows, most = len(weights), int(np.count_nonzero(weights, axis=1).max(initial=0))
        if rows > MAX_ROWS:
            return f"{self.name} takes at most {MAX_ROWS} rows, not {rows}"
        if most > MAX_NONZEROS:
            return f"{self.name} takes at most {MAX_NONZEROS} nonzero weights a row, not {most}"
        return _TILES.limits(weights)
