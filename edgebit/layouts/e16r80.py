"""Five rows a byte for 512-bit vectors: what tmatvec_s8__avx512vnni_e16 reads.

Row blocks are 80 rows; every 4 columns of one are a vector of 64 bytes.
See edgebit/layouts/fields.py.
"""

from __future__ import annotations

from edgebit.layouts.fields import Fives


class E16r80(Fives):
    """Eighty rows by four columns in 64 bytes; 1.6 bits a weight."""

    name = "e16r80"
    row_multiple = 80
    lanes = 16
    span = 4
    signed = False
