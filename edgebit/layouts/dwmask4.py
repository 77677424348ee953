"""Byte masks of four channels for depthwise products: what dwconv_t_s8__armv6m and __armv7em read.

The matrix has a row a tap and a column a channel. Channels come in blocks of 4. A block is, for each tap, two
words of a byte a channel: what to flip in the input (0x80 for +1 and 0, 0x7F for -1) and what to keep
of it (0xFF, or 0x00 for a zero weight); then for each channel an int32 to add to the sum of what is left. A
flipped input is x + 128 or 127 - x: what is added is -128 for each +1 and -127 for each -1. Channels
are padded to 4 with zero weights.
"""

from __future__ import annotations

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits, round_up

MAX_TAPS = 257  # 255 each in 16 bits


class DwMask4(Layout):
    """Two bytes a weight and four a channel."""

    name = "dwmask4"
    element = "trit"
    col_multiple = 4

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        taps, cols = weights.shape
        trits = np.zeros((taps, round_up(cols, 4)), np.int8)
        trits[:, :cols] = weights
        words = np.stack([np.where(trits < 0, 0x7F, 0x80), np.where(trits == 0, 0, 0xFF)], axis=1)
        blocks = words.reshape(taps, 2, -1, 4).transpose(2, 0, 1, 3).astype(np.uint8)
        flat = blocks.reshape(len(blocks), -1)
        return np.concatenate([flat, self._added(trits).view(np.uint8).reshape(-1, 16)], axis=1).tobytes()

    def _added(self, trits: S8Array) -> Array:
        added = np.where(trits > 0, -128, 0) + np.where(trits < 0, -127, 0)
        return np.asarray(added.sum(axis=0), "<i4")

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        wide = round_up(cols, 4)
        if len(raw) != wide * (2 * rows + 4):
            raise EdgebitError(f"dwmask4: {len(raw)} bytes for {rows} taps of {cols} channels")
        blocks = np.frombuffer(raw, np.uint8).reshape(-1, 8 * rows + 16)
        words = blocks[:, : 8 * rows].reshape(-1, rows, 2, 4).transpose(2, 1, 0, 3).reshape(2, rows, wide)
        trits = np.where(words[1] == 0, 0, np.where(words[0] == 0x7F, -1, 1)).astype(np.int8)
        if trits[:, cols:].any() or self.pack(trits[:, :cols]) != raw:
            raise EdgebitError("dwmask4: not the masks of trits")
        return np.ascontiguousarray(trits[:, :cols])

    def limits(self, weights: Array) -> str | None:
        if weights.shape[0] > MAX_TAPS:
            return f"dwmask4 takes at most {MAX_TAPS} taps, not {weights.shape[0]}"
        return None

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 8.0 * round_up(cols, 4) * (2 * rows + 4) / (rows * cols)
