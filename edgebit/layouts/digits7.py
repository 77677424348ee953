"""Seven rows in two bytes for Helium's multiplications along a row: what tmatvec_s8__mve_digits7 and
tpoints_s8__mve_digits7 read.

As long as 28 rows are left (rows rounded up to 4), they come in blocks of 7: every 16 columns of one are two vectors
of 16 bytes. The first is one of digits4 and holds rows 0 to 3; a byte of the second is t4 + 4 t5 + 16 t6. The rows
that remain follow in the blocks of digits4, and 32 bytes that are read and ignored.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits, round_up
from edgebit.layouts.digits4 import Digits4
from edgebit.layouts.fields import STEP

_FOURS = Digits4()
_SEVEN = 7


class Digits7(Layout):
    """2 bits a weight, and one in seven rows 2 bits more."""

    name = "digits7"
    element = "trit"
    row_multiple = 4
    col_multiple = STEP
    max_cols = Digits4.max_cols

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
        # (7 rows, blocks, steps, 16), and an eighth row that is none
        parts = trits.reshape(first // _SEVEN, _SEVEN, trits.shape[1] // STEP, STEP).transpose(1, 0, 2, 3)
        parts = np.concatenate([parts, np.zeros_like(parts[:1])])
        raw = np.stack([_FOURS.encode(parts[:4]), _FOURS.encode(parts[4:])], axis=2).tobytes()
        return raw + (_FOURS.pack(weights[first:]) if rows > first else bytes(STEP)) + bytes(STEP)

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        first, width = self.in_sevens(rows), round_up(cols, STEP)
        due = first // _SEVEN * 2 * width
        if len(raw) != due + max(0, round_up(rows, 4) - first) * width // 4 + 2 * STEP:
            raise EdgebitError(f"{self.name}: {len(raw)} bytes are no {rows} x {cols} matrix")
        both = _FOURS.decode(np.frombuffer(raw[:due], np.uint8).reshape(-1, width // STEP, 2, STEP))
        parts = np.concatenate([both[:, :, :, 0], both[:, :, :, 1]])
        if parts[_SEVEN].any():
            raise EdgebitError(f"{self.name}: digits that are of no row")
        trits = parts[:_SEVEN].transpose(1, 0, 2, 3).reshape(first, width)[:, :cols]
        if rows <= first:
            return np.ascontiguousarray(trits[:rows])
        return np.concatenate([trits, _FOURS.unpack(raw[due:-STEP], rows - first, cols)])

    def limits(self, weights: Array) -> str | None:
        return _FOURS.limits(weights)

    def scratch(self, stem: str, rows: int, cols: int) -> int:
        """The sums of a kernel that requantises them."""
        return 4 * round_up(rows, 4) if stem.startswith("tpoints_s8__") else 0

    def work(self, weights: Array) -> Mapping[str, float]:
        """mac4, row4: products and rows in blocks of four."""
        rows, cols = weights.shape
        fours = round_up(rows, 4) - self.in_sevens(rows)
        return {"row4": float(fours), "mac4": float(fours * round_up(cols, STEP))}
