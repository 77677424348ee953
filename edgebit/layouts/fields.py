"""The layouts of vector kernels: several rows in each byte, and bytes in the order in which lanes want them.

A vector is `lanes` x `span` bytes: byte lane * span + j holds column j of the rows lane, lanes + lane,
2 lanes + lane ... of its block, one row a field. A row block is fields * lanes rows; vectors of its columns
0..span-1, span..2 span-1 ... follow each other. With `together` > 1, that many blocks take turns: a vector of
each, then the next columns. Rows are padded to whole groups of blocks and columns to 16, with zero trits.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits, round_up

STEP = 16
U8Array = npt.NDArray[np.uint8]


class Fields(Layout):
    """A layout of bytes that hold `fields` trits of different rows each."""

    element = "trit"
    col_multiple = STEP
    fields: ClassVar[int]
    lanes: ClassVar[int]
    span: ClassVar[int]
    together: ClassVar[int] = 1
    max_cols: ClassVar[int]

    @abstractmethod
    def encode(self, trits: S8Array) -> U8Array:
        """(fields, ...) trits to (...) bytes."""

    @abstractmethod
    def decode(self, raw: U8Array) -> S8Array:
        """(...) bytes to (fields, ...) trits; EdgebitError at a byte that `encode` does not make."""

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        rows, cols = weights.shape
        trits = np.zeros((round_up(rows, self.row_multiple), round_up(cols, STEP)), np.int8)
        trits[:rows, :cols] = weights
        parts = trits.reshape(
            -1, self.together, self.fields, self.lanes, trits.shape[1] // self.span, self.span
        )
        return self.encode(parts.transpose(2, 0, 4, 1, 3, 5)).tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        height, width = round_up(rows, self.row_multiple), round_up(cols, STEP)
        due = height * width // self.fields
        if len(raw) != due:
            raise EdgebitError(f"{self.name}: {len(raw)} bytes for a {rows} x {cols} matrix of {due}")
        shape = (-1, width // self.span, self.together, self.lanes, self.span)
        parts = self.decode(np.frombuffer(raw, np.uint8).reshape(shape))
        trits = parts.transpose(1, 3, 0, 4, 2, 5).reshape(height, width)
        return np.ascontiguousarray(trits[:rows, :cols])

    def limits(self, weights: Array) -> str | None:
        if weights.shape[1] > self.max_cols:
            return f"{self.name} takes at most {self.max_cols} columns, not {weights.shape[1]}"
        return None

    def bits_per_weight(self, rows: int, cols: int) -> float:
        return 8.0 / self.fields * round_up(rows, self.row_multiple) * round_up(cols, STEP) / (rows * cols)


class Quads(Fields):
    """Four trits a byte, two bits each, the first row in the low bits: trit + 1, or in the last field, when
    top_signed, the trit itself as a two's complement number.

    max_cols: kernels take 64 times the last field's sum of codes as an int32, |64 * 2 * 128 * cols| <= 2^31,
    where only the negative end is reached.
    """

    fields = 4
    top_signed: ClassVar[bool]
    max_cols = 131072

    def encode(self, trits: S8Array) -> U8Array:
        code = (trits + 1).astype(np.uint8)
        top = (trits[3] & 3).astype(np.uint8) if self.top_signed else code[3]
        return np.asarray(code[0] | code[1] << 2 | code[2] << 4 | top << 6, np.uint8)

    def decode(self, raw: U8Array) -> S8Array:
        f = np.stack([raw & 3, raw >> 2 & 3, raw >> 4 & 3, raw >> 6]).astype(np.int8)
        if (f[:3] == 3).any() or (f[3] == (2 if self.top_signed else 3)).any():
            raise EdgebitError(f"{self.name}: a code that is no trit")
        f[:3] -= 1
        f[3] = np.where(f[3] == 3, -1, f[3]) if self.top_signed else f[3] - 1
        return f


_POWERS = 3 ** np.arange(4, -1, -1)  # what a trit of field 0..4 counts
_FIVES = (np.indices((3,) * 5).reshape(5, -1) - 1).astype(np.int8)  # (5, 243) all values, ascending
_VALUES = np.arange(-121, 122)
_SIGNED = np.rint(256 * _VALUES / 243).astype(np.int64)
_UNSIGNED = -(-256 * (_VALUES + 121) // 243)


class Fives(Fields):
    """Five trits a byte as a fraction: multiplied by three, the byte's overflow is the first row's trit.

    With v the number whose balanced ternary digits are the trits (the first row's counts 81), the byte is
    s = round(256 v / 243), two's complement: 3 s = 256 t + s', where t is the first trit and s' the byte of
    the remaining ones, five times over. Always |s| <= 127. Unsigned bytes are u = ceil(256 (v + 121) / 243),
    and 3 u = 256 (t + 1) + u'.

    max_cols: kernels take 256 times a row's sum as an int32, so |256 * 128 * cols| < 2^31.
    """

    fields = 5
    signed: ClassVar[bool]
    max_cols = 65535

    def encode(self, trits: S8Array) -> U8Array:
        value = np.tensordot(_POWERS, trits.astype(np.int16), axes=1) + 121
        return np.asarray((_SIGNED if self.signed else _UNSIGNED).astype(np.uint8)[value])

    def decode(self, raw: U8Array) -> S8Array:
        index = np.full(256, -1, np.int16)
        index[(_SIGNED if self.signed else _UNSIGNED).astype(np.uint8)] = np.arange(243)
        value = index[raw]
        if (value < 0).any():
            raise EdgebitError(f"{self.name}: a byte that is no five trits")
        return _FIVES[:, value]
