"""Two rows a multiplication: what tmatvec_s8__armv7em and tdots_s8__armv7em read.

A word (little endian) holds 8 rows x 2 columns. For i = 0..3 the word rotated right by 4i, masked with
0xC003C003, has in each half the code trit + 1 of row i (bits 0, 1) and the trit of row 4 + i as a two's
complement number (bits 14, 15). Every 4 columns are two words: columns (0, 2) in the (low, high) halves, then
(1, 3).

A row block is 8 rows. It begins with a header of whole words: byte 0 is the number of header words, then one
byte per block of columns with its length in steps of 16 columns, then zeros, at least one. The words of
all columns follow. Rows are padded to 8 and columns to 16, with zero trits.

A block of columns ends where the kernel's lanes could overflow in the next step: rows 0..3 sum in 14 bits,
|128 * nonzeros| <= 8191, and rows 4..7 above them, |128 * nonzeros| < 2^17 (see the kernel's comment).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits, round_up

MAX_COLS = 32768
STEP = 16
MAX_STEPS = 255
LOW_NONZEROS = 8191 // 128
HIGH_NONZEROS = (2**17 - 1) // 128


def cut(nonzeros: npt.NDArray[np.int64]) -> list[int]:
    """Lengths, in steps, of the blocks of columns for one row block.

    nonzeros: (8, steps), the nonzero trits of each row in each step (0..16).
    """
    lengths: list[int] = []
    room = np.array([LOW_NONZEROS] * 4 + [HIGH_NONZEROS] * 4)
    total = np.zeros(8, np.int64)
    length = 0
    for step in nonzeros.T:
        if length == MAX_STEPS or (total + step > room).any():
            lengths.append(length)
            total, length = np.zeros(8, np.int64), 0
        total = total + step
        length += 1
    return [*lengths, length]


class Smlad2(Layout):
    """Eight rows by two columns a word; 2 bits a weight and a few header bytes per 8 rows."""

    name = "smlad2"
    element = "trit"
    row_multiple = 8
    col_multiple = STEP

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        rows, cols = weights.shape
        trits = np.zeros((round_up(rows, 8), round_up(cols, STEP)), np.int64)
        trits[:rows, :cols] = weights
        blocks = trits.reshape(-1, 8, trits.shape[1])
        out: list[bytes] = []
        for block in blocks:
            lengths = cut(np.count_nonzero(block.reshape(8, -1, STEP), axis=2))
            size = round_up(1 + len(lengths) + 1, 4)
            out.append(bytes([size // 4, *lengths]).ljust(size, b"\0"))
            fields = (block[:4] + 1) | (block[4:] & 3) << 14  # (4, cols), one half word each
            quads = fields.reshape(4, -1, 4)
            half = quads[:, :, [0, 1]] | quads[:, :, [2, 3]] << 16  # (4, cols / 4, 2) whole words
            word = np.zeros(half.shape[1:], np.int64)
            for i in range(4):
                word |= (half[i] << 4 * i | half[i] >> (32 - 4 * i)) & 0xFFFFFFFF
            out.append(word.astype("<u4").tobytes())
        return b"".join(out)

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        steps = -(-cols // STEP)
        out = np.zeros((round_up(rows, 8), steps * STEP), np.int8)
        at = 0
        for block in out.reshape(-1, 8, steps * STEP):
            size = 4 * raw[at] if at < len(raw) else 0
            lengths = raw[at + 1 : at + size].rstrip(b"\0")
            body = raw[at + size : at + size + 32 * steps]
            if len(body) != 32 * steps or sum(lengths) != steps or 0 in lengths or len(lengths) + 2 > size:
                raise EdgebitError(f"smlad2: bad header, or too few bytes for a {rows} x {cols} matrix")
            at += size + 32 * steps
            word = np.frombuffer(body, "<u4").astype(np.int64).reshape(-1, 2)
            for i in range(4):
                field = (word >> 4 * i | word << (32 - 4 * i)) & 0xC003C003
                for lane in (0, 1):
                    low = (field >> 16 * lane & 3) - 1
                    high = field >> (16 * lane + 14) & 3
                    if (low > 1).any() or (high == 2).any():
                        raise EdgebitError("smlad2: a code that is no trit")
                    quads = np.stack([low, np.where(high == 3, -1, high)]).astype(np.int8)
                    block[i].reshape(-1, 4)[:, 2 * lane : 2 * lane + 2] = quads[0]
                    block[4 + i].reshape(-1, 4)[:, 2 * lane : 2 * lane + 2] = quads[1]
        if at != len(raw):
            raise EdgebitError(f"smlad2: {len(raw)} bytes where {at} are due")
        return np.ascontiguousarray(out[:rows, :cols])

    def limits(self, weights: Array) -> str | None:
        if weights.shape[1] > MAX_COLS:
            return f"smlad2 takes at most {MAX_COLS} columns, not {weights.shape[1]}"
        return None

    def work(self, weights: Array) -> Mapping[str, float]:
        """word: words of weights; block: blocks of columns of all row blocks; rows8: row blocks."""
        rows, cols = weights.shape
        nonzero = np.zeros((round_up(rows, 8), round_up(cols, STEP)), bool)
        nonzero[:rows, :cols] = weights != 0
        steps = nonzero.reshape(-1, 8, nonzero.shape[1] // STEP, STEP).sum(axis=3)
        blocks = sum(len(cut(block)) for block in steps)
        return {"word": nonzero.size / 16, "block": blocks, "rows8": len(steps)}

    def scratch(self, stem: str, rows: int, cols: int) -> int:
        pixels = 2 if stem.startswith("tdots_s8__") else 1
        return round_up(4 * pixels * (-(-cols // STEP) + 1), 8)
