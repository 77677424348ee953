"""Weights as machine code for strips and Armv7-M: what tstrips_s8__armv7em_code and __armv7m_code
call (see thumb_strips.py)."""

from __future__ import annotations

from edgebit.layouts.code6s import Code6s
from edgebit.layouts.code7m import Code7m


class Code7s(Code6s):
    """Code6s with 32-bit instructions, which subtract from high registers."""

    name = "code7s"
    tiles = Code7m()
