"""Four rows a byte for 256-bit vectors: what tmatvec_s8__avx2 reads.

Row blocks are 32 rows; every 4 columns of one are a vector of 32 bytes.
See edgebit/layouts/fields.py.
"""

from __future__ import annotations

from edgebit.layouts.fields import Quads


class E2r32(Quads):
    """Thirty-two rows by four columns in 32 bytes; 2 bits a weight."""

    name = "e2r32"
    row_multiple = 32
    lanes = 8
    span = 4
    top_signed = False
