"""Weights and requantisation of bands of a 3 x 3 depthwise convolution as machine code for Armv7E-M: what
dwconvband_t_s8__armv7em_code calls (see thumb_depthwise.py)."""

from __future__ import annotations

from collections.abc import Sequence

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits
from edgebit.layouts.dwquads import TAPS
from edgebit.layouts.thumb_depthwise import Band, Program, generate
from edgebit.layouts.thumb_depthwise_reader import BandReader
from edgebit.layouts.thumb_fused import Entry


class Code7d(Layout):
    """About 250 bytes a channel. The matrix has a row a tap (3 * ky + kx) and a column a channel. pack and unpack take
    bands of six rows and two columns whose outputs are the sums, clamped."""

    name = "code7d"
    element = "trit"

    def pack_band(self, weights: Array, entries: Sequence[Entry], band: Band) -> Program:
        """The code for (9, channels) trits and one entry a channel."""
        check_trits(weights)
        why = self.limits(weights)
        if why is not None:
            raise EdgebitError(why)
        return generate(weights, entries, band)

    def pack(self, weights: Array) -> bytes:
        channels = int(weights.shape[1])
        return self.pack_band(weights, [Entry(0, 1, 0)] * channels, _plain(channels)).raw

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        if rows != TAPS:
            raise EdgebitError(f"{self.name} takes {TAPS} taps, not {rows}")
        trits, entries = BandReader(raw, cols, _plain(cols)).read()
        if any((e.add, abs(e.mul), e.shift) != (0, 1, 0) for e in entries):
            raise EdgebitError("code: its outputs are not the sums")
        return (trits * [e.mul for e in entries]).astype("int8")

    def limits(self, weights: Array) -> str | None:
        if weights.shape[0] != TAPS:
            return f"{self.name} takes {TAPS} taps, not {weights.shape[0]}"
        return None


def _plain(channels: int) -> Band:
    row = 4 * channels
    return Band(6, 2, 1, 0, 0, x_row=row, x_col=channels, y_row=2 * channels, y_col=channels)
