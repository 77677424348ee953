"""Four rows a byte for multiplications along a row: what tmatvec_s8__neon, __neon32 and kernels of tmatmat_s8
without dot products read.

Row blocks are 4 rows; every 16 columns of one are a vector of 16 bytes, and two blocks take turns.
See edgebit/layouts/fields.py.
"""

from __future__ import annotations

from edgebit.layouts.fields import Quads


class E2k(Quads):
    """Eight rows by sixteen columns in 32 bytes; 2 bits a weight."""

    name = "e2k"
    row_multiple = 8
    lanes = 1
    span = 16
    together = 2
    top_signed = True
