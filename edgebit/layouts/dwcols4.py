"""Trits of 3 x 3 depthwise convolutions of four channels and more, in the bytes of dwcols.py: what
dwconv3x3_t_s8__armv7em_lanes reads."""

from __future__ import annotations

from typing import ClassVar

from edgebit.ir.graph import Array
from edgebit.layouts.dwcols import DwCols


class DwCols4(DwCols):
    """Three bytes a channel."""

    name = "dwcols4"
    together: ClassVar[int] = 4

    def plane(self, stem: str, columns: int, stride: int) -> int:
        return 92 * columns - 12 if stride == 1 else 118 * columns - 6

    def limits(self, weights: Array) -> str | None:
        if weights.ndim == 2 and weights.shape[1] < self.together:
            return f"{self.name} takes at least {self.together} channels, not {weights.shape[1]}"
        return super().limits(weights)
