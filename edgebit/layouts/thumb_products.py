"""int8 weights as straight-line Thumb code for strips of packed pixels, and its reading back.

The code is one function of the form that thumb_strips.py describes, but its sums are int32, those of the first and
of the second pixel of a pair apart: what a kernel of strips_s8 computes (runtime_c/kernels/strips_s8/strips_s8.h).

A packed word times a small number is two products; they are added up in one word until the next might leave int16,
that is while the weights' magnitudes add up to 255 at most: 255 * 128 < 2^15. Then both lanes are taken apart and
added to int32 sums, and the word begins anew. Rows come in tiles of three.

Registers: r0 address, r1, r6 and r7 inputs, r2 free, r3-r5 words, r8-r10 sums of the first pixel, r11, r12 and lr
of the second. Stack: as in thumb_strips.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.pixels import MAX_NONZEROS
from edgebit.layouts.strips import PAIRS, Strip
from edgebit.layouts.thumb import Vector
from edgebit.layouts.thumb_code import Code
from edgebit.layouts.thumb_strips import Columns, StripReader, begin, end, first_pair, next_pair

TILE = 3
INPUTS = (1, 6, 7)
FREE = 2
WORDS, LOW, HIGH = (3, 4, 5), (8, 9, 10), (11, 12, 14)
_WORD, _LOW, _HIGH16, _HIGH, _BIASED = range(5)  # what a symbolic value stands for


@dataclass
class Tally:
    """What the code of one pair of pixels does: instructions that add products up or take lanes apart, inputs
    loaded, and tiles of rows."""

    op: int = 0
    input: int = 0
    segment: int = 0


def generate(weights: S8Array, strip: Strip, wide: bool, tally: Tally | None = None) -> bytes:
    """The code for (rows, cols) int8 weights."""
    c = Code(wide)
    tally = tally or Tally()
    begin(c, strip)
    for at in range(0, len(weights), TILE):
        _segment(c, weights[at : at + TILE], strip, tally)
    end(c, strip)
    return np.array(c.words, "<u2").tobytes()


def _segment(c: Code, part: S8Array, strip: Strip, tally: Tally) -> None:
    """A tile of rows for all pairs of pixels."""
    tally.segment += 1
    start = first_pair(c)
    rows = [_Row(c, i, tally) for i in range(len(part))]
    wanted = np.flatnonzero(part.any(axis=0)).tolist()
    columns = Columns(c, strip, wanted)
    at = 0
    while at < len(wanted):
        count = columns.load(at, INPUTS)
        for register, k in zip(INPUTS, wanted[at : at + count], strict=False):
            for row, w in zip(rows, part[:, k].tolist(), strict=True):
                row.product(register, w)
        at += count
    tally.input += len(wanted)
    for row in rows:
        row.finish()
    next_pair(c, strip)
    c.local(False, 0, 4)
    for i in range(len(part)):
        for register, offset in ((LOW[i], 32 * i), (HIGH[i], 32 * i + 16)):
            if c.wide:
                c.emit(0xF8C0, register << 12 | offset)
            else:
                c.mov(FREE, register)
                c.emit(0x6000 | offset << 4 | FREE)
    c.emit(0x3004)  # adds r0, #4
    c.local(True, 0, 4)
    c.emit(0x0701)  # lsls r1, r0, #28: acc is aligned to 16 again after the last pair
    here = len(c.words)
    c.emit(0)
    c.back_to(start)
    c.words[here] = 0xD000 | len(c.words) - here - 2  # beq
    c.advance(0, 1, 32 * len(part) - 16)
    c.local(False, 1, 8)
    c.add(0, 1)
    c.local(True, 0, 4)


class _Row:
    """One row of a tile: its word and its sums."""

    def __init__(self, c: Code, i: int, tally: Tally) -> None:
        self._c, self._tally = c, tally
        self._word, self._low, self._high = WORDS[i], LOW[i], HIGH[i]
        self._room = MAX_NONZEROS
        self._fresh = self._first = True  # nothing in the word yet; nothing in the sums yet

    def product(self, x: int, w: int) -> None:
        """Add w times the input in register x."""
        if w == 0:
            return
        size = abs(w)
        if size > self._room:
            self._split()
        self._room -= size
        c, before = self._c, len(self._c.words)
        shift = size.bit_length() - 1 if size & (size - 1) == 0 else -1
        if self._fresh:
            self._begin(x, size, shift)
            if w < 0:
                c.neg(self._word, self._word)
            self._tally.op += 2 - (shift >= 0) + (w < 0)
            self._fresh = False
            return
        if c.wide and shift > 0:  # add or sub with a shifted register
            c.emit((0xEB00 if w > 0 else 0xEBA0) | self._word)
            c.emit(shift >> 2 << 12 | self._word << 8 | (shift & 3) << 6 | x)
        elif c.wide and shift < 0:
            c.emit(0x2000 | FREE << 8 | size)
            c.emit(0xFB00 | x, self._word << 12 | self._word << 8 | (0x10 if w < 0 else 0) | FREE)  # mla, mls
        else:
            source = x
            if shift != 0:
                source = FREE
                if shift > 0:
                    c.emit(shift << 6 | x << 3 | FREE)  # lsls
                else:
                    c.emit(0x2000 | FREE << 8 | size, 0x4340 | x << 3 | FREE)  # movs, muls
            (c.add if w > 0 else c.sub)(self._word, source)
        halfwords = len(c.words) - before
        self._tally.op += (1 if shift >= 0 else 2) if c.wide else halfwords

    def _begin(self, x: int, size: int, shift: int) -> None:
        if shift >= 0:
            self._c.emit(shift << 6 | x << 3 | self._word)  # lsls, or movs when there is no shift
        else:
            self._c.emit(0x2000 | self._word << 8 | size, 0x4340 | x << 3 | self._word)  # movs, muls

    def _split(self) -> None:
        """Add the lanes of the word to the sums."""
        c, word, low, high = self._c, self._word, self._low, self._high
        if c.wide:
            c.emit(0xFA0F if self._first else 0xFA00 | low, 0xF080 | low << 8 | word)  # sxth, sxtah
            c.emit(0xF500 | word, 0x4000 | word << 8)  # add #0x8000: what the low lane borrowed
            c.emit(0xEA4F if self._first else 0xEB00 | high, 0x4020 | high << 8 | word)  # asr #16, and add
        else:
            c.emit(0xB200 | word << 3 | FREE)  # sxth
            (c.mov if self._first else c.add)(low, FREE)
            c.sub(word, FREE)
            c.emit(0x1400 | word << 3 | word)  # asrs #16
            (c.mov if self._first else c.add)(high, word)
        self._tally.op += 3 if c.wide else 5
        self._fresh, self._first, self._room = True, False, MAX_NONZEROS

    def finish(self) -> None:
        """Leave everything in the sums."""
        if not self._fresh:
            self._split()
        elif self._first:
            self._c.zero(self._low, FREE)
            self._c.zero(self._high, FREE)


class ProductReader(StripReader):
    """Runs code on symbols (see StripReader). A value of `_WORD` stands for both lanes at once, `_LOW` and `_HIGH`
    for the sums of one pixel, `_HIGH16` for the second pixel's shifted left by 16, `_BIASED` for a word plus 2^15."""

    def sums(self, width: int) -> Vector:
        """(rows, PAIRS, width): what was stored, for both pixels of a pair alike."""
        count = len(self.stored)
        if count != 2 * PAIRS * self.rows or max(self.stored) != count - 1:
            raise EdgebitError("code: some sums are never stored")
        made = np.stack([self.stored[i] for i in range(count)]).reshape(self.rows, 2, PAIRS, width)
        if (made[:, 0] != made[:, 1]).any():
            raise EdgebitError("code: pixels are not treated alike")
        return np.ascontiguousarray(made[:, 0])

    def weights(self) -> Array:
        """(rows, cols) weights."""
        return np.ascontiguousarray(self.run()[0])

    def _store(self, address: int, register: int) -> None:
        v = self.r[register]
        wanted = _HIGH if (address - self._ACC) // 16 % 2 else _LOW
        if isinstance(v, tuple) and v[0] != wanted:
            raise EdgebitError("code: it stores what is no sum of the pixel")
        super()._store(address, register)

    def _symbol(self, register: int, *kinds: int) -> tuple[int, Vector]:
        v = self.r[register]
        if isinstance(v, int) or v[0] not in kinds:
            raise EdgebitError("code: it mixes sums and words")
        if v[0] in (_WORD, _BIASED) and np.abs(v[1]).sum() > MAX_NONZEROS:
            raise EdgebitError("code: a lane may overflow")
        return v

    def _sum(
        self, a: int | tuple[int, Vector], b: int | tuple[int, Vector], sign: int
    ) -> int | tuple[int, Vector]:
        if isinstance(a, tuple) and isinstance(b, tuple) and sign < 0 and (a[0], b[0]) == (_WORD, _LOW):
            if (a[1] != b[1]).any():
                raise EdgebitError("code: it takes a word apart by another's lane")
            return _HIGH16, a[1]
        return super()._sum(a, b, sign)

    def _scaled(self, register: int, factor: int) -> tuple[int, Vector]:
        kind, v = self._symbol(register, _WORD)
        return kind, factor * v

    def _step(self, at: int) -> int:
        h, r = self.code[at], self.r
        low, mid = h & 7, h >> 3 & 7
        if h >> 11 == 0 and isinstance(r[mid], tuple):  # lsls
            r[low] = self._scaled(mid, 1 << (h >> 6 & 31))
        elif h >> 6 == 0b0100001101:  # muls
            r[low] = self._scaled(mid, self._number(low))
        elif h >> 6 == 0b1011001000:  # sxth
            r[low] = _LOW, self._symbol(mid, _WORD)[1]
        elif h >> 6 == 0x1400 >> 6:  # asrs #16
            r[low] = _HIGH, self._symbol(mid, _HIGH16)[1]
        else:
            return super()._step(at)
        return at + 1

    def _wide(self, at: int, h: int, g: int) -> int:
        r = self.r
        d, m, n = g >> 8 & 15, g & 15, h & 15
        shift = (g >> 12 & 7) << 2 | g >> 6 & 3
        if h >> 4 in (0xEB0, 0xEBA) and not g & 0x30:
            r[d] = self._sum(r[n], self._scaled(m, 1 << shift), 1 if h >> 4 == 0xEB0 else -1)
        elif h >> 4 == 0xFB0 and g >> 5 & 7 == 0:
            r[d] = self._sum(r[g >> 12], self._scaled(n, self._number(m)), -1 if g & 0x10 else 1)
        elif h >> 4 == 0xFA0 and g & 0xF0F0 == 0xF080:
            half = _LOW, self._symbol(m, _WORD)[1]
            r[d] = half if n == 15 else self._sum(r[n], half, 1)
        elif h >> 4 == 0xF50 and g & 0xF0FF == 0x4000:
            r[d] = _BIASED, self._symbol(n, _WORD)[1]
        elif (h == 0xEA4F or h >> 4 == 0xEB0) and g & 0xF0F0 == 0x4020:
            half = _HIGH, self._symbol(m, _BIASED)[1]
            r[d] = half if h == 0xEA4F else self._sum(r[n], half, 1)
        else:
            return super()._wide(at, h, g)
        return at + 2
