"""Trits stored as int8 weights are in edgebit/layouts/dwquads.py: what dwconv3x3_t_s8__armv7em reads."""

from __future__ import annotations

from typing import ClassVar, Literal

from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import check_trits
from edgebit.layouts.dwquads import DwQuads


class DwQuadsT(DwQuads):
    """Twelve bytes a channel."""

    name = "dwquads_t"
    element: ClassVar[Literal["trit", "s8", "f32"]] = "trit"

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        return super().pack(weights)

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        trits = super().unpack(raw, rows, cols)
        check_trits(trits)
        return trits
