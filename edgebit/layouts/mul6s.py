"""int8 weights as machine code for strips and Armv6-M: what strips_s8__armv6m_code calls (see thumb_products.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from edgebit.ir.graph import Array
from edgebit.layouts.s8 import check_s8
from edgebit.layouts.strips import Strip, StripLayout
from edgebit.layouts.thumb_products import ProductReader, Tally, generate

MAX_NONZEROS = 1 << 15
"""Some 200 KB of code."""


class Mul6s(StripLayout):
    """A multiplication, shift or addition for every nonzero weight."""

    name = "mul6s"
    element = "s8"
    wide: ClassVar[bool] = False

    def pack_strip(self, weights: Array, strip: Strip) -> bytes:
        check_s8(weights)
        return generate(weights, strip, self.wide)

    def unpack_strip(self, raw: bytes, rows: int, strip: Strip) -> Array:
        w = ProductReader(raw, rows, strip).weights()
        return w.astype(np.int8)

    def work(self, weights: Array) -> Mapping[str, float]:
        """op: instructions that add products up; input: columns loaded for three rows; segment: tiles of three
        rows; stored: rows."""
        t = Tally()
        generate(weights, Strip.flat(int(weights.shape[1])), self.wide, t)
        return {"op": t.op, "input": t.input, "segment": t.segment, "stored": len(weights)}

    def limits(self, weights: Array) -> str | None:
        nonzeros = int(np.count_nonzero(weights))
        if nonzeros > MAX_NONZEROS:
            return f"{self.name} takes at most {MAX_NONZEROS} nonzero weights, not {nonzeros}"
        return None
