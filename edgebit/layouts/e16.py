"""Five rows a byte for SDOT: what tmatvec_s8__neon_dotprod_e16 reads.

Row blocks are 20 rows; every 4 columns of one are a vector of 16 bytes.
See edgebit/layouts/fields.py.
"""

from __future__ import annotations

from edgebit.layouts.fields import Fives


class E16(Fives):
    """Twenty rows by four columns in 16 bytes; 1.6 bits a weight."""

    name = "e16"
    row_multiple = 20
    lanes = 4
    span = 4
    signed = True
