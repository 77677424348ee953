"""int8 weights as machine code for strips and Armv7-M: what strips_s8__armv7em_code calls (see thumb_products.py)."""

from __future__ import annotations

from edgebit.layouts.mul6s import Mul6s


class Mul7s(Mul6s):
    """Mul6s with 32-bit instructions, which multiply and add, or shift and add, at once."""

    name = "mul7s"
    wide = True
