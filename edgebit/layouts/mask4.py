"""Four rows a byte for Helium's multiplications along a row: what tmatvec_s8__mve and tmatmat_s8__mve
read.

Row blocks are 4 rows; every 16 columns of one are a vector of 16 bytes. See edgebit/layouts/fields.py.
"""

from __future__ import annotations

from edgebit.layouts.fields import Quads


class Mask4(Quads):
    """Four rows by sixteen columns in 16 bytes; 2 bits a weight."""

    name = "mask4"
    row_multiple = 4
    lanes = 1
    span = 16
    top_signed = True
    windows = True
