"""Four rows a byte for 512-bit vectors: what tmatvec_s8__avx512vnni reads.

Row blocks are 64 rows; every 4 columns of one are a vector of 64 bytes.
See edgebit/layouts/fields.py.
"""

from __future__ import annotations

from edgebit.layouts.fields import Quads


class E2r64(Quads):
    """Sixty-four rows by four columns in 64 bytes; 2 bits a weight."""

    name = "e2r64"
    row_multiple = 64
    lanes = 16
    span = 4
    top_signed = False
