"""Weights and requantisation of bands of a 3 x 3 depthwise convolution as machine code for Armv6-M: what
dwconvband_t_s8__armv6m_code calls (see thumb_narrow_depthwise.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from edgebit.ir.graph import Array
from edgebit.layouts.code7d import BandLayout
from edgebit.layouts.thumb_depthwise import Band, Program
from edgebit.layouts.thumb_fused import Entry
from edgebit.layouts.thumb_narrow_depthwise import MAX_NARROW_BAND, generate
from edgebit.layouts.thumb_narrow_depthwise_reader import NarrowBandReader


class Code6d(BandLayout):
    """About 250 bytes a channel."""

    name = "code6d"
    most = MAX_NARROW_BAND
    upright = True
    reader: ClassVar[type[NarrowBandReader]] = NarrowBandReader
    clamps = True

    def generate(self, weights: Array, entries: Sequence[Entry], band: Band) -> Program:
        return generate(weights, entries, band)
