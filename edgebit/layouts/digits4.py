"""Four rows as digits of a byte for Helium's multiplications along a row: what tmatvec_s8__mve and
tmatmat_s8__mve read.

Row blocks are 4 rows; every 16 columns of one are a vector of 16 bytes, a byte t0 + 4 t1 + 16 t2 + 64 t3 for its rows'
trits. 16 bytes that are read and ignored follow. See edgebit/layouts/fields.py.
"""

from __future__ import annotations

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.fields import STEP, Fields, U8Array

_PLACES = 4 ** np.arange(4)
_TRITS = (np.indices((3,) * 4).reshape(4, -1) - 1).astype(np.int8)  # (4, 81)


class Digits4(Fields):
    """Four rows by sixteen columns in 16 bytes; 2 bits a weight.

    max_cols: kernels sum up bytes times inputs as an int32, |85 * 128 * cols| < 2^31.
    """

    name = "digits4"
    row_multiple = 4
    fields = 4
    lanes = 1
    span = 16
    max_cols = 131072
    windows = True

    def encode(self, trits: S8Array) -> U8Array:
        return np.asarray(np.tensordot(_PLACES, trits.astype(np.int16), axes=1).astype(np.uint8))

    def decode(self, raw: U8Array) -> S8Array:
        index = np.full(256, -1, np.int16)
        index[self.encode(_TRITS)] = np.arange(_TRITS.shape[1])
        if (index[raw] < 0).any():
            raise EdgebitError(f"{self.name}: a byte that is no four trits")
        return _TRITS[:, index[raw]]

    def pack(self, weights: Array) -> bytes:
        return super().pack(weights) + bytes(STEP)

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        return super().unpack(raw[: max(0, len(raw) - STEP)], rows, cols)

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return super().bits_per_weight(rows, cols) + 8.0 * STEP / (rows * cols)
