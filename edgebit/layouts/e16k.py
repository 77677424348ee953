"""Five rows a byte for multiplications along a row: what tmatvec_s8__neon_e16, __neon32_e16 and
__neon_inorder_e16 read.

Row blocks are 5 rows; every 16 columns of one are a vector of 16 bytes, and two blocks take turns.
See edgebit/layouts/fields.py.
"""

from __future__ import annotations

from edgebit.layouts.fields import Fives


class E16k(Fives):
    """Ten rows by sixteen columns in 32 bytes; 1.6 bits a weight."""

    name = "e16k"
    row_multiple = 10
    lanes = 1
    span = 16
    together = 2
    signed = True
