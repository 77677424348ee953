"""int8 weights of 3 x 3 depthwise convolutions, four bytes a kernel column: what dwconv3x3_s8__armv7em reads.

The matrix has a row a tap (3 * ky + kx) and a column a channel. For each channel and kx the bytes are
w[0][kx], w[1][kx], w[1][kx], w[2][kx], so that the even bytes are the weights of a pair of rows that begins at
the window's first row and the odd bytes those of one that ends at its last.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, round_up
from edgebit.layouts.s8 import check_s8

TAPS = 9
_ORDER = (0, 1, 1, 2)


class BandLayout(Layout):
    """A layout of a kernel that computes bands of rows. together: channels it computes at a time; the last ones may
    be computed twice."""

    together: ClassVar[int] = 1

    def band(self, stem: str, stride: int) -> int:
        """Output rows of a band of the kernel `stem`."""
        return 6

    def plane(self, stem: str, columns: int, stride: int) -> int:
        """Bytes of scratch the kernel needs for windows that reach `columns` columns."""
        return 0

    def made(self, channels: int, stride: int, turned: bool) -> int:
        """How many channels' worth of products a kernel makes where there are `channels`. turned: whether its rows are
        the columns of the image."""
        return round_up(channels, self.together)

    def pairs(self, stride: int) -> list[tuple[int, int]]:
        """The input rows of a band that are packed together."""
        return []

    def limits(self, weights: Array) -> str | None:
        if weights.shape[0] != TAPS:
            return f"{self.name} takes {TAPS} taps, not {weights.shape[0]}"
        return None


class DwQuads(BandLayout):
    """Twelve bytes a channel."""

    name = "dwquads"
    element: ClassVar[Literal["trit", "s8", "f32"]] = "s8"

    def band(self, stem: str, stride: int) -> int:
        return 6 // stride

    def plane(self, stem: str, columns: int, stride: int) -> int:
        return 40 * columns

    def pairs(self, stride: int) -> list[tuple[int, int]]:
        return [(2 * j, 2 * j + 1) for j in range(4)]

    def pack(self, weights: Array) -> bytes:
        check_s8(weights)
        why = self.limits(weights)
        if why is not None:
            raise EdgebitError(why)
        return np.ascontiguousarray(weights.reshape(3, 3, -1)[_ORDER, :, :].transpose(2, 1, 0)).tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        if rows != TAPS or len(raw) != 12 * cols:
            raise EdgebitError(f"{self.name}: {len(raw)} bytes for {rows} taps of {cols} channels")
        quads = np.frombuffer(raw, np.int8).reshape(cols, 3, 4)
        if (quads[..., 1] != quads[..., 2]).any():
            raise EdgebitError(f"{self.name}: the middle weights of a column differ")
        return np.ascontiguousarray(quads[..., (0, 1, 3)].transpose(2, 1, 0).reshape(TAPS, cols))

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 96 / TAPS

    def blank(self, rows: int, cols: int) -> Array:
        return np.zeros((TAPS, cols), np.int8)
