"""Weights as machine code for Armv7-M: what the layers of tpixels_s8__armv7em_code and
__armv7m_code call (see thumb.py)."""

from __future__ import annotations

from edgebit.layouts.code6m import Code6m


class Code7m(Code6m):
    """Code6m with 32-bit instructions, which subtract from high registers."""

    name = "code7m"
    wide = True
