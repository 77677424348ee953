"""Four rows a byte for SDOT: what tmatvec_s8__neon_dotprod and tmatmat_s8__neon_dotprod read.

Row blocks are 16 rows; every 4 columns of one are a vector of 16 bytes. See edgebit/layouts/fields.py.
"""

from __future__ import annotations

from edgebit.layouts.fields import Quads


class E2(Quads):
    """Sixteen rows by four columns in 16 bytes; 2 bits a weight."""

    name = "e2"
    row_multiple = 16
    lanes = 4
    span = 4
    top_signed = True
