"""Weights as straight-line Thumb code for packed pixels, and its reading back.

The code is one function, `void run(const uint32_t *x, uint32_t *acc, uint32_t skip)`, that computes what a
kernel of tpixels_s8 computes (see runtime_c/kernels/tpixels_s8/tpixels_s8.h), with rows, columns and stride built
in, for all pairs of pixels but the first `skip` / 4; x and acc are those of the first pair it computes.
Rows come in tiles of up to eleven, one register a row, and columns in blocks. For each tile and block the code
loops over the four pairs of pixels; the body (thumb_sums.py) loads the inputs of up to three columns, may add two of
them to each other, and adds them to or subtracts them from the rows with a nonzero trit there.

Registers: r0 address, r1 and r2 inputs, then rows: r4-r7, r8-r12, lr, and r3, which is a third input when
there are fewer rows. Stack: 0 x of the current pair, 4 acc, 8 x of the first pair, 12 skip.

`wide` code may use 32-bit instructions (Armv7-M); without them (Armv6-M), high registers cannot be subtracted
from, so an input is negated after its other uses.

Encodings: Armv6-M Architecture Reference Manual DDI 0419, A6.7; Armv7-M DDI 0403, A7.7.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.thumb_code import PAIRS, ROWS, Code
from edgebit.layouts.thumb_sums import body


def row_tiles(rows: int) -> list[int]:
    """Rows of each tile: as few tiles as possible, sizes as equal as possible."""
    count = -(-rows // len(ROWS))
    return [rows // count + (i < rows % count) for i in range(count)]


def generate(trits: S8Array, starts: Sequence[int], stride: int, wide: bool) -> bytes:
    """The code for (rows, cols) trits whose blocks of columns begin at `starts`."""
    rows, cols = trits.shape
    c = Code(wide)
    c.enter(16)
    c.local(True, 0, 8)
    c.local(True, 1, 4)
    c.local(True, 2, 12)
    for first, last in zip(starts, [*starts[1:], cols], strict=True):
        at = 0
        for size in row_tiles(rows):
            _segment(c, trits[at : at + size, first:last], first, stride)
            at += size
    c.leave(16)
    return np.array(c.words, "<u2").tobytes()


def _segment(c: Code, trits: S8Array, first: int, stride: int) -> None:
    """One tile of rows and block of columns for all pairs of pixels."""
    size = len(trits)
    c.local(False, 0, 8)
    c.advance(0, 1, 4 * first)
    c.local(True, 0, 0)
    start = len(c.words)
    c.local(False, 0, 0)
    used = body(c, trits)
    c.advance(0, 1, 4 * (stride - used))
    c.local(True, 0, 0)
    store_sums(c, size, start)
    c.local(False, 1, 12)
    c.add(0, 1)
    c.local(True, 0, 4)


def store_sums(c: Code, size: int, start: int) -> None:
    """Store the sums of `size` rows to acc, back to `start` until that was the last of four pairs; then r0 is
    where the sums of the next row begin."""
    c.local(False, 0, 4)
    base = 0
    for i in range(size):
        if 16 * i - base > 124:
            base += 128
            c.advance(0, 1, 128)
        register, offset = ROWS[i], 16 * i - base
        if register < 8:
            c.emit(0x6000 | offset << 4 | register)
        elif c.wide:
            c.emit(0xF8C0, register << 12 | offset)
        else:
            c.mov(1, register)
            c.emit(0x6000 | offset << 4 | 1)
    c.emit(0x3800 | base - 4 if base else 0x3004)  # subs or adds r0
    c.local(True, 0, 4)
    c.emit(0x0701)  # lsls r1, r0, #28: acc is aligned to 16 again after the last pair
    here = len(c.words)
    c.emit(0)
    c.back_to(start)
    c.words[here] = 0xD000 | len(c.words) - here - 2  # beq
    c.advance(0, 1, 16 * (size - 1))


Vector = npt.NDArray[np.int64]


class Reader:
    """Runs code on symbols: an input is a unit vector, so that the sums stored are rows of trits.

    Numbers are counted from the addresses of x (0 upwards, in words `_X`) and acc.
    """

    _X, _ACC = 1 << 32, 1 << 40

    def __init__(self, raw: bytes, rows: int, cols: int, stride: int) -> None:
        self.code = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2").tolist()
        self.rows, self.cols, self.stride = rows, cols, stride
        self.stored: dict[int, Vector] = {}
        self.r: list[int | tuple[int, Vector]] = [0] * 16
        self.stack: dict[int, int | tuple[int, Vector]] = {}

    def run(self) -> Array:
        """(blocks, rows, cols) trits; EdgebitError unless the code is of the kind `generate` makes."""
        self.r[0], self.r[1], self.r[2] = self._X, self._ACC, 0
        self.follow()
        sums = self.sums(self.cols)
        if (sums != sums[:, :1]).any():
            raise EdgebitError("code: pixels are not treated alike")
        return np.ascontiguousarray(sums[:, 0].reshape(-1, self.rows, self.cols))

    def follow(self) -> None:
        """Run the code to its end."""
        at, steps = 0, 0
        while at >= 0:
            steps += 1
            if at >= len(self.code) or steps > 64 * len(self.code) + 64:
                raise EdgebitError("code: it does not end")
            at = self._step(at)

    def sums(self, width: int) -> Vector:
        """(blocks * rows, PAIRS, width): what was stored."""
        count = len(self.stored)
        if not count or count % (PAIRS * self.rows) or max(self.stored) != count - 1:
            raise EdgebitError("code: some sums are never stored")
        return np.stack([self.stored[i] for i in range(count)]).reshape(-1, PAIRS, width)

    def _input(self, address: int) -> tuple[int, Vector]:
        pair, k = divmod((address - self._X) // 4, self.stride)
        if not 0 <= pair < PAIRS or k >= self.cols or address % 4:
            raise EdgebitError("code: it reads outside its inputs")
        v: Vector = np.zeros(self.cols, np.int64)
        v[k] = 1
        return pair, v

    def _sum(
        self, a: int | tuple[int, Vector], b: int | tuple[int, Vector], sign: int
    ) -> int | tuple[int, Vector]:
        if isinstance(a, int) and isinstance(b, int):
            return a + sign * b
        if a == 0 and isinstance(b, tuple):
            return b[0], sign * b[1]
        if isinstance(a, int) or isinstance(b, int) or a[0] != b[0]:
            raise EdgebitError("code: it mixes addresses, or pixels")
        return a[0], a[1] + sign * b[1]

    def _number(self, register: int) -> int:
        v = self.r[register]
        if not isinstance(v, int):
            raise EdgebitError("code: a sum is used as an address")
        return v

    def _store(self, address: int, register: int) -> None:
        at, v = (address - self._ACC) // 4, self.r[register]
        if at < 0 or at in self.stored or address % 4:
            raise EdgebitError("code: it stores a sum twice or outside acc")
        if v == 0:
            v = (at % PAIRS, np.zeros(self.cols, np.int64))
        if isinstance(v, int) or v[0] != at % PAIRS:
            raise EdgebitError("code: it stores an address, or a sum of other pixels")
        self.stored[at] = v[1]

    def _step(self, at: int) -> int:
        """Run the instruction at a halfword; returns the next one's place, -1 at the end."""
        h, r = self.code[at], self.r
        low, mid, high = h & 7, h >> 3 & 7, h >> 6 & 7
        top = h >> 8
        following = at + 1
        if h >> 9 in (0b0001100, 0b0001101):  # adds, subs
            r[low] = self._sum(r[mid], r[high], 1 if h >> 9 == 0b0001100 else -1)
        elif top == 0x44:
            d = low | h >> 4 & 8
            r[d] = self._sum(r[d], r[h >> 3 & 15], 1)
        elif top == 0x46:
            r[low | h >> 4 & 8] = r[h >> 3 & 15]
        elif h >> 6 == 0b0100001001:
            r[low] = self._sum(0, r[mid], -1)
        elif h >> 11 == 0b00100:
            r[top & 7] = h & 0xFF
        elif h >> 11 in (0b00110, 0b00111):
            r[top & 7] = self._number(top & 7) + (h & 0xFF) * (1 if h >> 11 == 0b00110 else -1)
        elif h >> 11 == 0:  # lsls
            r[low] = self._number(mid) << (h >> 6 & 31)
        elif h >> 11 == 0b11001:  # ldmia
            address = self._number(top & 7)
            for i in [i for i in range(8) if h >> i & 1]:
                r[i] = self._input(address)
                address += 4
            r[top & 7] = address
        elif h >> 11 == 0b01101:  # ldr
            r[low] = self._input(self._number(mid) + 4 * (h >> 6 & 31))
        elif h >> 11 == 0b10010:
            self.stack[h & 0xFF] = r[top & 7]
        elif h >> 11 == 0b10011:
            r[top & 7] = self.stack.get(h & 0xFF, 0)
        elif h >> 11 == 0b01100:
            self._store(self._number(mid) + 4 * (h >> 6 & 31), low)
        elif top == 0xD0:  # beq, after lsls r1, r0, #28
            if self._number(1) & 0xFFFFFFFF == 0:
                following = at + 2 + (h & 0xFF)
        elif h >> 11 == 0b11100:
            following = at + 2 + (h & 0x7FF) - (h & 0x400) * 2
        elif h >> 11 in (0b11101, 0b11110, 0b11111) and at + 1 < len(self.code):
            following = self._wide(at, h, self.code[at + 1])
        elif h in (0xB5F0, 0xB4F0, 0xB084, 0xB004, 0xBCF0):
            pass  # the frame
        elif h == 0xBDF0:
            following = -1
        else:
            raise EdgebitError(f"code: unexpected instruction {h:04x}")
        return following

    def _wide(self, at: int, h: int, g: int) -> int:
        r = self.r
        if h == 0xE92D:
            return at + 2
        if h == 0xE8BD:
            return -1
        if h >> 4 == 0xEBA and g & 0xF0B0 == 0:  # sub, the second operand maybe doubled
            r[g >> 8 & 15] = self._sum(r[h & 15], r[g & 15], -1 << (g >> 6 & 1))
        elif h == 0xF8D0:
            r[g >> 12] = self._input(self._number(0) + (g & 0xFFF))
        elif h >> 4 == 0xF1C:
            r[g >> 8 & 15] = self._sum(0, r[h & 15], -1)
        elif h == 0xF8C0:
            self._store(self._number(0) + (g & 0xFFF), g >> 12)
        elif h >> 11 == 0b11110 and g >> 14 in (2, 3) and g >> 12 & 1:  # b.w, bl
            sign = h >> 10 & 1
            i1, i2 = ~(g >> 13 ^ sign) & 1, ~(g >> 11 ^ sign) & 1
            return at + 2 + ((i1 << 22 | i2 << 21 | (h & 0x3FF) << 11 | g & 0x7FF) - (sign << 23))
        else:
            raise EdgebitError(f"code: unexpected instruction {h:04x} {g:04x}")
        return at + 2
