"""Weights and requantisation of bands of a 3 x 3 depthwise convolution as machine code for Armv7E-M: what
dwconvband_t_s8__armv7em_code calls (see thumb_depthwise.py); and what such layouts have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits
from edgebit.layouts.dwquads import TAPS
from edgebit.layouts.thumb_depthwise import MAX_BAND, Band, Program, generate
from edgebit.layouts.thumb_depthwise_reader import BandReader
from edgebit.layouts.thumb_fused import Entry


class BandLayout(Layout):
    """A layout of dwconvband_t_s8 that is machine code, called by name. The matrix has a row a tap (3 * ky + kx) and a
    column a channel. pack and unpack take bands of two columns whose outputs are the sums, clamped.

    most: rows of a band; upright: whether the rows of a column must follow one another in the copy; reader: what reads
    the code back; clamps: whether the code is passed the table of epilogue/clamp.h as a last argument."""

    element = "trit"
    most: ClassVar[int]
    upright: ClassVar[bool] = False
    reader: ClassVar[type[BandReader]]
    clamps: ClassVar[bool] = False

    @abstractmethod
    def generate(self, weights: Array, entries: Sequence[Entry], band: Band) -> Program:
        """The code for (9, channels) trits and one entry a channel."""

    def pack_band(self, weights: Array, entries: Sequence[Entry], band: Band) -> Program:
        """The code for (9, channels) trits and one entry a channel."""
        check_trits(weights)
        why = self.limits(weights)
        if why is not None:
            raise EdgebitError(why)
        return self.generate(weights, entries, band)

    def pack(self, weights: Array) -> bytes:
        channels = int(weights.shape[1])
        return self.pack_band(weights, [Entry(0, 1, 0)] * channels, self.plain(channels)).raw

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        if rows != TAPS:
            raise EdgebitError(f"{self.name} takes {TAPS} taps, not {rows}")
        trits, entries = self.reader(raw, cols, self.plain(cols)).read()
        if any((e.add, abs(e.mul), e.shift) != (0, 1, 0) for e in entries):
            raise EdgebitError("code: its outputs are not the sums")
        return (trits * [e.mul for e in entries]).astype("int8")

    def limits(self, weights: Array) -> str | None:
        if weights.shape[0] != TAPS:
            return f"{self.name} takes {TAPS} taps, not {weights.shape[0]}"
        return None

    def plain(self, channels: int) -> Band:
        """The band of pack and unpack."""
        columns, inputs = 4 * channels, (self.most + 2) * channels
        x_row, x_col = (channels, inputs) if self.upright else (columns, channels)
        return Band(self.most, 2, 1, 0, 0, x_row, x_col, y_row=2 * channels, y_col=channels)


class Code7d(BandLayout):
    """About 250 bytes a channel."""

    name = "code7d"
    most = MAX_BAND
    reader: ClassVar[type[BandReader]] = BandReader

    def generate(self, weights: Array, entries: Sequence[Entry], band: Band) -> Program:
        return generate(weights, entries, band)
