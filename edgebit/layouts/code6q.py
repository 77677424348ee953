"""Weights and requantisation as machine code for Armv6-M: what tpixels_fused_s8__armv6m_code calls (see
thumb_narrow.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from edgebit.ir.graph import Array
from edgebit.layouts.code6m import Code6m
from edgebit.layouts.code7q import FusedLayout
from edgebit.layouts.thumb_fused import Entry
from edgebit.layouts.thumb_narrow import Row, generate
from edgebit.layouts.thumb_narrow_reader import NarrowReader


class Code6q(FusedLayout):
    """Code6m with about twenty instructions and two numbers for each row."""

    name = "code6q"
    tiles: ClassVar[Code6m] = Code6m()
    reader: ClassVar[type[NarrowReader]] = NarrowReader
    clamps = True

    def generate(self, weights: Array, entries: Sequence[Entry], stride: int) -> bytes:
        return generate(weights, entries, stride)

    def work_requant(self, weights: Array, entries: Sequence[Entry]) -> Mapping[str, float]:
        """far: rows clamped without the table; dense: those whose lanes are no int16 at first."""
        rows = [Row.of(e, t) for e, t in zip(entries, weights, strict=True)]
        return {"far": float(sum(not r.near for r in rows)), "dense": float(sum(not r.lanes for r in rows))}
