"""A byte a trit of 3 x 3 depthwise convolutions, 16 channels in turn: what dwconv3x3_t_s8__mve reads.

The matrix has a row a tap (3 * ky + kx) and a column a channel. Blocks of 16 channels follow each other; in a
block each tap is 16 bytes of -1, 0 or +1. Channels are padded to 16 with zeros.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import check_trits, round_up
from edgebit.layouts.dwquads import TAPS, BandLayout

LANES = 16


class DwVecs(BandLayout):
    """Nine vectors for 16 channels; 8 bits a weight."""

    name = "dwvecs"
    element = "trit"
    together: ClassVar[int] = LANES

    def band(self, stem: str, stride: int) -> int:
        return 2

    def made(self, channels: int, stride: int, turned: bool) -> int:
        """Eight channels of two outputs fill the lanes as well."""
        alone = channels == LANES // 2 and stride == 1 and not turned
        return channels if alone else super().made(channels, stride, turned)

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        why = self.limits(weights)
        if why is not None:
            raise EdgebitError(why)
        padded = np.zeros((TAPS, round_up(weights.shape[1], LANES)), np.int8)
        padded[:, : weights.shape[1]] = weights
        return padded.reshape(TAPS, -1, LANES).transpose(1, 0, 2).tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        wide = round_up(cols, LANES)
        if rows != TAPS or len(raw) != TAPS * wide:
            raise EdgebitError(f"dwvecs: {len(raw)} bytes for {rows} taps of {cols} channels")
        trits = np.frombuffer(raw, np.int8).reshape(-1, TAPS, LANES).transpose(1, 0, 2).reshape(TAPS, wide)
        if trits[:, cols:].any():
            raise EdgebitError("dwvecs: weights in the padding")
        check_trits(trits)
        return np.ascontiguousarray(trits[:, :cols])

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 8.0 * round_up(cols, LANES) / cols

    def blank(self, rows: int, cols: int) -> Array:
        return np.zeros((TAPS, cols), np.int8)
