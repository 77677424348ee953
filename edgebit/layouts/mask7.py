"""Seven rows in two bytes for Helium's multiplications along a row: what tmatvec_s8__mve_mask7 reads.

As long as 28 rows are left (rows rounded up to 4), they come in blocks of 7: every 16 columns of one are two vectors
of 16 bytes. The first is one of mask4 and holds rows 0 to 3; a byte of the second holds trit + 1 of row 4 and of
row 5 in two bits each, from the lowest up, and the trit of row 6 as a two's complement number in its highest two.
The rows that remain follow in the blocks of mask4.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits, round_up
from edgebit.layouts.fields import STEP
from edgebit.layouts.mask4 import Mask4

_FOURS = Mask4()
_SEVEN = 7


class Mask7(Layout):
    """2 bits a weight, and one in seven rows 2 bits more."""

    name = "mask7"
    element = "trit"
    row_multiple = 4
    col_multiple = STEP
    max_cols = Mask4.max_cols

    @staticmethod
    def in_sevens(rows: int) -> int:
        """How many of the rows are in blocks of seven."""
        return round_up(rows, 4) // 28 * 28

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        rows, cols = weights.shape
        first = self.in_sevens(rows)
        trits = np.zeros((first, round_up(cols, STEP)), np.int8)
        trits[: min(first, rows), :cols] = weights[:first]
        # (8 rows, blocks, steps, 16), where the eighth, which is none, comes before the last
        parts = trits.reshape(first // _SEVEN, _SEVEN, trits.shape[1] // STEP, STEP).transpose(1, 0, 2, 3)
        second = np.stack([parts[4], parts[5], np.full_like(parts[4], -1), parts[6]])
        raw = np.stack([_FOURS.encode(parts[:4]), _FOURS.encode(second)], axis=2).tobytes()
        return raw + (_FOURS.pack(weights[first:]) if rows > first else b"")

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        first, width = self.in_sevens(rows), round_up(cols, STEP)
        due = first // _SEVEN * 2 * width
        if len(raw) != due + max(0, round_up(rows, 4) - first) * width // 4:
            raise EdgebitError(f"{self.name}: {len(raw)} bytes are no {rows} x {cols} matrix")
        both = _FOURS.decode(np.frombuffer(raw[:due], np.uint8).reshape(-1, width // STEP, 2, STEP))
        if (both[2, :, :, 1] != -1).any():
            raise EdgebitError(f"{self.name}: bits that are of no row")
        parts = np.concatenate([both[:, :, :, 0], both[[0, 1, 3], :, :, 1]])
        trits = parts.transpose(1, 0, 2, 3).reshape(first, width)[:, :cols]
        if rows <= first:
            return np.ascontiguousarray(trits[:rows])
        return np.concatenate([trits, _FOURS.unpack(raw[due:], rows - first, cols)])

    def limits(self, weights: Array) -> str | None:
        if weights.shape[1] > self.max_cols:
            return f"{self.name} takes at most {self.max_cols} columns, not {weights.shape[1]}"
        return None

    def work(self, weights: Array) -> Mapping[str, float]:
        """mac4, row4: products and rows in blocks of four."""
        rows, cols = weights.shape
        fours = round_up(rows, 4) - self.in_sevens(rows)
        return {"row4": float(fours), "mac4": float(fours * round_up(cols, STEP))}
