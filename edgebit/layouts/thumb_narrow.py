"""Weights and requantisation as straight-line Thumb code for packed pixels, without 32-bit instructions (Armv6-M).

The code is one function, `void run(const uint32_t *x, int8_t *y, const int8_t *end, const int8_t *clamp)`, that computes
what a kernel of tpixels_fused_s8 computes, with rows, columns, stride and requantisation built in, for the pairs of pixels
whose outputs lie from y up to `end`; x are the inputs of the first (see tpixels_fused_s8__armv6m_code.c). Tiles of rows
and their sums are those of thumb.py; sums never leave the registers.

Inputs are numbers from 0 to 255. Both lanes of a row with at most 128 trits of either sign are int16 nevertheless, and
what its sum has too much is taken from the number that is added to it; from the sums of other rows it is taken first.

A value is clamped by the table when it is proven to be one of its numbers, else compared with its own low byte.

Registers: those of thumb.py; then r0 y, r1 the sum of the first pixel. A row is finished in its own low register, a high
one in one that is free by then. As low registers become free, they hold the second pixel's y, `clamp`, and the address
of the numbers that the rows to come multiply by and add, which follow the loop like those that are loaded one by one.
Stack: 0 x of the current pair, 4 y, 8 x of the first pair, 12 y of the first pair, 16 end, 20 clamp; y and end are
those of the tile's first row.

Encodings: Armv6-M Architecture Reference Manual DDI 0419, A6.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.thumb import row_tiles
from edgebit.layouts.thumb_code import ROWS, Code
from edgebit.layouts.thumb_fused import OFFSET, Entry
from edgebit.layouts.thumb_sums import body

MAX_OF_A_SIGN = 128
"""128 * 255 < 2^15"""
REACH = 4096
"""The table holds -REACH .. REACH - 1."""
_X, _Y, _X0, _Y0, _END, _CLAMP, FRAME = 0, 4, 8, 12, 16, 20, 24
_MAX_DISTANCE = 1020


def in_table(entry: Entry, least: int, most: int) -> bool:
    """Whether outputs of all sums from `least` to `most` are numbers of the table."""
    ends = [s * entry.mul + entry.add >> entry.shift for s in (least, most)]
    return min(ends) >= -REACH and max(ends) < REACH


def saturation(rd: int, other: int) -> list[int]:
    """Instructions that clamp rd: its low byte is what counts. `other` is lost."""
    return [
        0xB240 | rd << 3 | other,  # sxtb
        0x4280 | other << 3 | rd,  # cmp rd, other
        0xD002,  # beq, to the end
        0x17C0 | rd << 3 | rd,  # asrs #31
        0x2000 | other << 8 | 127,
        0x1A00 | rd << 6 | other << 3 | rd,  # subs rd, other, rd
    ]


@dataclass(frozen=True)
class Row:
    """How a row is finished. over: what its sum has too much; lanes: whether both lanes are int16 all the same; near:
    whether its outputs are numbers of the table."""

    entry: Entry
    over: int
    lanes: bool
    near: bool

    @staticmethod
    def of(entry: Entry, trits: Array) -> Row:
        """The row of these trits."""
        more, less = int(trits[trits > 0].sum()), -int(trits[trits < 0].sum())
        near = in_table(entry, -128 * more - 127 * less, 127 * more + 128 * less)
        return Row(entry, OFFSET * (more - less), max(more, less) <= MAX_OF_A_SIGN, near)

    @property
    def add(self) -> int:
        """What is added to the sum times mul, modulo 2^32."""
        return self.entry.add - self.over * self.entry.mul * self.lanes & 0xFFFFFFFF


class NarrowCode(Code):
    """Instructions of Armv6-M that requantise, and the words they load from behind themselves."""

    def __init__(self) -> None:
        super().__init__(wide=False)
        self.wanted: list[tuple[int, int]] = []  # where a word is loaded, the word
        self.listed: list[int] = []  # words that follow one another
        self.list_at: list[int] = []  # where their address is taken

    def literal(self, rd: int, value: int) -> None:
        """rd = value mod 2^32, which `literals` will store"""
        self.wanted.append((len(self.words), value & 0xFFFFFFFF))
        self.emit(0x4800 | rd << 8)

    def address(self, rd: int) -> None:
        """rd = where `literals` will store the words of the list"""
        self.list_at.append(len(self.words))
        self.emit(0xA000 | rd << 8)

    def literals(self) -> None:
        """What was loaded by now, and not yet stored; the code itself starts at a multiple of 4 bytes."""
        if (self.wanted or self.listed) and len(self.words) % 2:
            self.emit(0)
        for at, value in self.wanted:
            self._point(at)
            self.emit(value & 0xFFFF, value >> 16)
        for at in self.list_at:
            self._point(at)
        for value in self.listed:
            self.emit(value & 0xFFFF, value >> 16)
        self.wanted, self.listed, self.list_at = [], [], []

    def _point(self, at: int) -> None:
        distance = 2 * len(self.words) - (2 * at + 4 & ~3)
        if distance > _MAX_DISTANCE:
            raise EdgebitError(
                f"code of a tile keeps a number {distance} bytes away, more than {_MAX_DISTANCE}"
            )
        self.words[at] |= distance >> 2

    def low_half(self, rd: int, rm: int) -> None:
        """rd = the low half of rm"""
        self.emit(0xB200 | rm << 3 | rd)

    def right(self, rd: int, shift: int) -> None:
        """rd >>= shift"""
        if shift:
            self.emit(0x1000 | shift << 6 | rd << 3 | rd)

    def multiply(self, rd: int, rm: int) -> None:
        """rd *= rm"""
        self.emit(0x4340 | rm << 3 | rd)

    def look_up(self, rd: int, base: int) -> None:
        """rd = the byte at rd + base"""
        self.emit(0x5C00 | rd << 6 | base << 3 | rd)

    def store(self, rd: int, base: int, offset: int) -> None:
        """The byte `offset` from `base` = rd"""
        self.emit(0x7000 | offset << 6 | base << 3 | rd)


def check_frame(code: list[int], frame: int) -> None:
    """EdgebitError unless code begins and ends as functions with a frame of so many bytes do."""
    begin, end = NarrowCode(), NarrowCode()
    begin.enter(frame)
    end.leave(frame)
    if code[: len(begin.words)] != begin.words or code[-len(end.words) :] != end.words:
        raise EdgebitError("code: it does not save and restore registers")


def generate(trits: S8Array, entries: Sequence[Entry], stride: int) -> bytes:
    """The code for (rows, cols) trits and one entry a row."""
    c = NarrowCode()
    c.enter(FRAME)
    for register, offset in enumerate((_X0, _Y0, _END, _CLAMP)):
        c.local(True, register, offset)
    at = 0
    for size in row_tiles(len(trits)):
        part = trits[at : at + size]
        rows = [Row.of(e, t) for e, t in zip(entries[at : at + size], part, strict=True)]
        _tile(c, part, rows, len(trits), stride)
        at += size
        for offset in (_Y0, _END) if at < len(trits) else ():
            c.local(False, 1, offset)
            c.advance(1, 2, size)
            c.local(True, 1, offset)
    c.leave(FRAME)
    return np.array(c.words, "<u2").tobytes()


def _tile(c: NarrowCode, trits: S8Array, rows: Sequence[Row], apart: int, stride: int) -> None:
    """A tile of rows for all pairs of pixels; apart: rows of all tiles."""
    c.local(False, 1, _Y0)
    c.local(True, 1, _Y)
    c.local(False, 0, _X0)
    start = len(c.words)
    used = body(c, trits)
    c.advance(0, 1, 4 * (stride - used))
    c.local(True, 0, _X)
    c.local(False, 0, _Y)
    _Finish(c, rows, apart).all()
    c.advance(0, 1, 2 * apart)
    c.local(True, 0, _Y)
    c.local(False, 1, _END)
    c.emit(0x4288)  # cmp r0, r1
    c.local(False, 0, _X)
    here = len(c.words)
    c.emit(0)
    c.back_to(start)
    c.literals()
    c.words[here] = 0xD000 | len(c.words) - here - 2  # beq


@dataclass
class _Finish:
    """Stores the outputs of a tile's rows. free: low registers that hold nothing any more; second, clamp, numbers: those
    that hold the second pixel's y, the table and the numbers to come, 0 where none does."""

    c: NarrowCode
    rows: Sequence[Row]
    apart: int
    free: list[int] = field(default_factory=list)
    second: int = 0
    clamp: int = 0
    numbers: int = 0

    def all(self) -> None:
        """All rows, those of low registers first."""
        size = len(self.rows)
        held = {ROWS[i]: i for i in range(size)}
        self.free = [r for r in range(1, 8) if r not in held]
        order = [held[r] for r in sorted(held, key=lambda r: (r > 7, r not in (3, 7), r))]
        for done, i in enumerate(order):
            self._hold(ROWS[i] > 7, size - done, any(self.rows[k].near for k in order[done:]))
            self._row(i)

    def _hold(self, high: bool, left: int, near: bool) -> None:
        """Use registers that a row does not need."""
        c, needed = self.c, 2 + high
        if not self.second and len(self.free) > needed:
            self.second = self.free.pop()
            c.emit(self.second | 0x1C00)  # adds #0
            c.advance(self.second, 1, self.apart)
        if near and not self.clamp and len(self.free) > needed:
            self.clamp = self.free.pop()
            c.local(False, self.clamp, _CLAMP)
        if left > 1 and not self.numbers and len(self.free) > needed + 1:
            self.numbers = self.free.pop()
            c.address(self.numbers)

    def _row(self, i: int) -> None:
        c, row, register = self.c, self.rows[i], ROWS[i]
        low, other, *more = sorted(self.free)
        own = register if register < 8 else more.pop()
        if own != register:
            c.mov(own, register)
        if not row.lanes:
            c.literal(other, row.over * 0x10001)
            c.sub(own, other)
        c.low_half(low, own)
        c.sub(own, low)
        c.right(own, 16)
        mul, add = other, other
        if self.numbers:
            add = more.pop()
            c.listed += [row.entry.mul & 0xFFFFFFFF, row.add]
            c.emit(0xC800 | self.numbers << 8 | 1 << mul | 1 << add)  # ldmia
        else:
            c.literal(mul, row.entry.mul)
        c.multiply(low, mul)
        c.multiply(own, mul)
        if not self.numbers:
            c.literal(add, row.add)
        for value in (low, own):
            c.add(value, add)
        for value in (low, own):
            c.right(value, row.entry.shift)
        self._clamped((low, own), row.near, other)
        c.store(low, 0, i)
        if self.second:
            c.store(own, self.second, i)
        else:
            c.mov(low, 0)
            c.advance(low, other, self.apart)
            c.store(own, low, i)
        if register < 8:
            self.free.append(own)

    def _clamped(self, values: Sequence[int], near: bool, other: int) -> None:
        if near and not self.clamp:
            self.c.local(False, other, _CLAMP)
        for value in values:
            if near:
                self.c.look_up(value, self.clamp or other)
            else:
                self.c.emit(*saturation(value, other))
