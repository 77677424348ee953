"""Strips: rows of packed pixels that several outputs share (see runtime_c/kernels/tstrips_s8/tstrips_s8.h).

A pair of pixels of an output row is a word, as in pixels.py. Input rows are packed once, and the windows of
neighbouring pairs overlap in them: column k of the weights, at kernel position (ky, kx) and channel ch, is word
kx * tap + ch of packed row ky, counted from where the pair's window begins, and the next pair's window begins
`step` words on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgebit.ir.graph import Array
from edgebit.layouts.base import Layout, round_up

PAIRS = 4
MAX_KERNEL_ROWS = 16


@dataclass(frozen=True)
class Strip:
    """Where columns are; all but `rows` (of the kernel) and `taps` (in each) in words."""

    rows: int
    taps: int
    channels: int
    tap: int
    step: int

    @staticmethod
    def flat(cols: int) -> Strip:
        """Windows that lie side by side in one row."""
        return Strip(1, 1, cols, cols, round_up(cols, 4))

    @property
    def cols(self) -> int:
        return self.rows * self.taps * self.channels

    @property
    def width(self) -> int:
        """Words of a packed row that a window spans."""
        return (self.taps - 1) * self.tap + self.channels

    def places(self) -> list[tuple[int, int]]:
        """(kernel row, word) of each column."""
        return [
            (y, x * self.tap + c)
            for y in range(self.rows)
            for x in range(self.taps)
            for c in range(self.channels)
        ]


class StripLayout(Layout):
    """A layout for strips: what is packed depends on where columns are. pack and unpack take flat strips."""

    def pack_strip(self, weights: Array, strip: Strip) -> bytes:
        """The bytes of a (rows, cols) matrix whose columns are where `strip` says."""
        raise NotImplementedError

    def unpack_strip(self, raw: bytes, rows: int, strip: Strip) -> Array:
        """The matrix that `pack_strip` packed."""
        raise NotImplementedError

    def pack(self, weights: Array) -> bytes:
        return self.pack_strip(weights, Strip.flat(int(weights.shape[1])))

    def unpack(self, raw: bytes, rows: int, cols: int) -> Array:
        return self.unpack_strip(raw, rows, Strip.flat(cols))

    def work_strip(self, weights: Array, strip: Strip) -> Mapping[str, float]:
        """`work` for columns that are where `strip` says."""
        return self.work(weights)

    def blocks(self, weights: Array) -> int:
        """How many blocks of sums a kernel makes for these weights."""
        return 1
