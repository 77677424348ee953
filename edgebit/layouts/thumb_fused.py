"""Weights and requantisation as straight-line Thumb-2 code for packed pixels, and its reading back.

The code is one function, `void run(const uint32_t *x, int8_t *y, const int8_t *end)`, that computes what a kernel of
tpixels_fused_s8 computes (see runtime_c/kernels/tpixels_fused_s8/tpixels_fused_s8.h), with rows, columns, stride and
requantisation built in, for the pairs of pixels whose outputs lie from y up to `end`; x are the inputs of the first.
Tiles of rows and their sums are those of thumb.py; sums never leave the registers.

Inputs are numbers from 0 to 255. A row of at most 127 nonzero trits begins with 256 in both lanes for each -1, so that
no lane ever borrows from the other or gets past 2^15: SMLABB and SMLATB read them apart, and what the sum has too much
is taken from the number they add. From the sums of other rows it is taken first, and their lanes are read as
tpixels_s8.h says.

Registers: those of thumb.py; then r0 y, r1 mul, r2 add, and one that holds no sum. As rows are stored, more registers
hold none, and the numbers of up to four rows are loaded at once, from literals behind the loop. Stack: 0 x of the
current pair, 4 y, 8 x of the first pair, 12 y of the first pair, 16 end.

Encodings: Armv7-M Architecture Reference Manual DDI 0403, A7.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import S8Array
from edgebit.layouts.thumb import row_tiles
from edgebit.layouts.thumb_code import ROWS, Code
from edgebit.layouts.thumb_sums import body

MAX_BIASED = 127
UNIT, OFFSET = 256, 128
_X, _Y, _X0, _Y0, _END, FRAME = 0, 4, 8, 12, 16, 20
_NOT_EQUAL = 1  # the condition
_MAX_OFFSET = 4095
MAX_ROWS = (_MAX_OFFSET + 1) // 2


@dataclass(frozen=True)
class Entry:
    """What eb_requant_entry holds: (sum * mul + add) >> shift."""

    add: int
    mul: int
    shift: int


class FusedCode(Code):
    """Instructions of Armv7E-M that requantise: numbers, literals, products of halves, clamps, stores of bytes."""

    def __init__(self) -> None:
        super().__init__(wide=True)
        self.wanted: list[tuple[int, int]] = []  # where a literal is loaded, its value

    def number(self, rd: int, value: int) -> None:
        """rd = value mod 2^32"""
        for opcode, half in ((0xF240, value & 0xFFFF), (0xF2C0, value >> 16 & 0xFFFF)):
            if opcode == 0xF240 or half:  # movw, movt
                self.emit(
                    opcode | (half >> 11 & 1) << 10 | half >> 12,
                    (half >> 8 & 7) << 12 | rd << 8 | half & 0xFF,
                )

    def literal(self, rd: int, value: int) -> None:
        """rd = value mod 2^32, which `literals` will store"""
        self.wanted.append((len(self.words), value & 0xFFFFFFFF))
        self.emit(0xF8DF, rd << 12)

    def literals(self) -> None:
        """What was loaded by now, and not yet stored; the code itself starts at a multiple of 4 bytes."""
        if self.wanted and len(self.words) % 2:
            self.emit(0xBF00)  # nop
        for at, value in self.wanted:
            distance = 2 * len(self.words) - (2 * at + 4 & ~3)
            if distance > _MAX_OFFSET:
                raise EdgebitError(
                    f"code of a tile keeps a literal {distance} bytes away, more than {_MAX_OFFSET}"
                )
            self.words[at + 1] |= distance
            self.emit(value & 0xFFFF, value >> 16)
        self.wanted = []

    def step(self, rd: int, value: int, scratch: int) -> None:
        """rd (low) += value; `scratch` may be lost."""
        size = abs(value)
        if value >= 0 and size < 256:
            self.emit(0x3000 | rd << 8 | size)
        elif size < 4096:  # addw, subw
            opcode = 0xF200 if value > 0 else 0xF2A0
            self.emit(opcode | (size >> 11) << 10 | rd, (size >> 8 & 7) << 12 | rd << 8 | size & 0xFF)
        else:
            self.number(scratch, value & 0xFFFFFFFF)
            self.emit(0x4400 | scratch << 3 | rd)

    def back_if(self, condition: int, start: int) -> None:
        """A conditional jump backwards to the halfword `start`."""
        distance = start - len(self.words) - 2
        if distance >= -128:
            self.emit(0xD000 | condition << 8 | distance & 0xFF)
            return
        if distance < -(1 << 19):
            raise EdgebitError("code: the jump is too far")
        j1, j2 = distance >> 17 & 1, distance >> 18 & 1
        high = 0xF400 | condition << 6 | distance >> 11 & 0x3F
        self.emit(high, 0x8000 | j1 << 13 | j2 << 11 | distance & 0x7FF)

    def multiply(self, rd: int, rn: int, high: bool, mul: int = 1, upper: bool = False, add: int = 2) -> None:
        """rd = half of rn * half of register `mul` + register `add`"""
        self.emit(0xFB10 | rn, add << 12 | rd << 8 | high << 5 | upper << 4 | mul)

    def lift(self, rd: int) -> None:
        """rd += 0x8000: what the low lane has borrowed from the high one."""
        self.emit(0xF500 | rd, 0x4000 | rd << 8)

    def saturate(self, rd: int, shift: int) -> None:
        """rd = rd >> shift, clamped to int8."""
        self.emit(0xF300 | (shift > 0) << 5 | rd, (shift >> 2) << 12 | rd << 8 | (shift & 3) << 6 | 7)

    def store(self, rd: int, shift: int, offset: int) -> None:
        """The byte `offset` from r0 = rd >> shift, clamped to int8."""
        self.saturate(rd, shift)
        self.emit(0xF880, rd << 12 | offset)


def generate(trits: S8Array, entries: Sequence[Entry], stride: int) -> bytes:
    """The code for (rows, cols) trits and one entry a row."""
    c = FusedCode()
    c.enter(FRAME)
    for register, offset in ((0, _X0), (1, _Y0), (2, _END)):
        c.local(True, register, offset)
    at = 0
    for size in row_tiles(len(trits)):
        _segment(c, trits[at : at + size], entries[at : at + size], at, len(trits), stride)
        at += size
    c.leave(FRAME)
    return np.array(c.words, "<u2").tobytes()


def _segment(c: FusedCode, trits: S8Array, entries: Sequence[Entry], at: int, rows: int, stride: int) -> None:
    """The rows from `at` on of one tile, for all pairs of pixels."""
    c.local(False, 1, _Y0)
    c.local(True, 1, _Y)
    c.local(False, 0, _X0)
    start = len(c.words)
    nonzeros, minus = np.count_nonzero(trits, axis=1), (trits < 0).sum(axis=1)
    biased = {i: max(1, int(minus[i])) for i in np.flatnonzero(nonzeros <= MAX_BIASED).tolist()}
    over = [int(row.sum()) * OFFSET + UNIT * biased.get(i, 0) for i, row in enumerate(trits)]
    numbers = [_Numbers(e, k, i in biased) for i, (e, k) in enumerate(zip(entries, over, strict=True))]
    used = body(c, trits, biased)
    c.step(0, 4 * (stride - used), 1)
    c.local(True, 0, _X)
    c.local(False, 0, _Y)
    pending = list(range(len(trits) - 1, -1, -1))
    free = [1, 2] if len(trits) == len(ROWS) else [1, 2, ROWS[-1]]  # a full tile has r3 for its last row
    while pending:
        most = max([n for n in (2, 3, 4) if n <= len(pending) and n + (n + 1) // 2 < len(free)], default=1)
        several = pending[:most]
        if most == 1:
            i = several[0]
            other = free[2] if len(free) > 2 else None
            _finish(c, ROWS[i], other, numbers[i], at + i, at + i + rows)
        else:
            _finish_together(c, free, several, numbers, at, rows)
        free += [ROWS[i] for i in several]
        del pending[:most]
    c.step(0, 2 * rows, 1)
    c.local(True, 0, _Y)
    c.local(False, 1, _END)
    c.emit(0x4288)  # cmp r0, r1
    c.local(False, 0, _X)
    c.back_if(_NOT_EQUAL, start)
    here = len(c.words)
    if c.wanted:
        c.emit(0)
        c.literals()
        c.words[here] = 0xE000 | len(c.words) - here - 2  # b over them


@dataclass(frozen=True)
class _Numbers:
    """How a row is finished. over: what its sum has too much; biased: whether its lanes never borrow."""

    entry: Entry
    over: int
    biased: bool

    @property
    def add(self) -> int:
        return self.entry.add - self.over * self.entry.mul * self.biased

    def mend(self, c: FusedCode, row: int) -> None:
        """Make the lanes of a row that is not biased its true sums."""
        opcode = 0xF1A0 if self.over > 0 else 0xF100  # sub, add
        twice, once = divmod(abs(self.over) // OFFSET, 2)
        if twice:
            c.emit(opcode | row, 0x2000 | row << 8 | twice)
        if once:
            c.emit(opcode | row, 0x1000 | row << 8 | OFFSET)


def _finish(c: FusedCode, row: int, free: int | None, n: _Numbers, first: int, second: int) -> None:
    """Store both outputs of a row, `first` and `second` bytes from r0."""
    shift = n.entry.shift
    low = 2 if free is None else free
    if not n.biased:
        n.mend(c, row)
    c.number(1, n.entry.mul & 0xFFFF)
    c.number(2, n.add)
    c.multiply(low, row, False)
    if low == 2:
        c.store(low, shift, first)
        c.number(2, n.add)
    if not n.biased:
        c.lift(row)
    c.multiply(row, row, True)
    if low != 2:
        c.store(low, shift, first)
    c.store(row, shift, second)


def _finish_together(
    c: FusedCode, free: Sequence[int], several: Sequence[int], numbers: Sequence[_Numbers], at: int, rows: int
) -> None:
    """Store both outputs of several rows of a tile whose first row is `at`. free: registers that hold no sum."""
    halves = (len(several) + 1) // 2
    muls, adds, low = free[:halves], free[halves : halves + len(several)], free[halves + len(several)]
    for k, register in enumerate(muls):
        pair = [numbers[i].entry.mul & 0xFFFF for i in several[2 * k : 2 * k + 2]]
        c.literal(register, pair[0] | pair[-1] << 16)
    for register, i in zip(adds, several, strict=True):
        c.literal(register, numbers[i].add)
    for k, i in enumerate(several):
        row, held = ROWS[i], (muls[k // 2], k % 2 == 1, adds[k])
        if not numbers[i].biased:
            numbers[i].mend(c, row)
        c.multiply(low, row, False, *held)
        if not numbers[i].biased:
            c.lift(row)
        c.multiply(row, row, True, *held)
        c.store(low, numbers[i].entry.shift, at + i)
        c.store(row, numbers[i].entry.shift, at + i + rows)
