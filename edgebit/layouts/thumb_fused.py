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
from edgebit.layouts.thumb import Reader, Vector, row_tiles
from edgebit.layouts.thumb_code import PAIRS, ROWS, Code
from edgebit.layouts.thumb_sums import body

MAX_BIASED = 127
_UNIT, _OFFSET = 256, 128
_X, _Y, _X0, _Y0, _END, _FRAME = 0, 4, 8, 12, 16, 20
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
    c.emit(0xE92D, 0x4FF0, 0xB080 | _FRAME >> 2)  # push {r4-r11, lr}; sub sp
    for register, offset in ((0, _X0), (1, _Y0), (2, _END)):
        c.local(True, register, offset)
    at = 0
    for size in row_tiles(len(trits)):
        _segment(c, trits[at : at + size], entries[at : at + size], at, len(trits), stride)
        at += size
    c.emit(0xB000 | _FRAME >> 2, 0xE8BD, 0x8FF0)
    return np.array(c.words, "<u2").tobytes()


def _segment(c: FusedCode, trits: S8Array, entries: Sequence[Entry], at: int, rows: int, stride: int) -> None:
    """The rows from `at` on of one tile, for all pairs of pixels."""
    c.local(False, 1, _Y0)
    c.local(True, 1, _Y)
    c.local(False, 0, _X0)
    start = len(c.words)
    nonzeros, minus = np.count_nonzero(trits, axis=1), (trits < 0).sum(axis=1)
    biased = {i: max(1, int(minus[i])) for i in np.flatnonzero(nonzeros <= MAX_BIASED).tolist()}
    over = [int(row.sum()) * _OFFSET + _UNIT * biased.get(i, 0) for i, row in enumerate(trits)]
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
        twice, once = divmod(abs(self.over) // _OFFSET, 2)
        if twice:
            c.emit(opcode | row, 0x2000 | row << 8 | twice)
        if once:
            c.emit(opcode | row, 0x1000 | row << 8 | _OFFSET)


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


@dataclass(frozen=True)
class _Output:
    """A lane of a sum, multiplied: `sums` holds a column more, what it has besides inputs."""

    high: bool
    pair: int
    sums: Vector
    mul: int
    add: int
    shift: int = -1


def immediate_of(h: int, g: int) -> int:
    """The 16 bits of a MOVW or MOVT; the lower 12 are those of an ADDW or SUBW."""
    return (h & 15) << 12 | (h >> 10 & 1) << 11 | (g >> 12 & 7) << 8 | g & 0xFF


def distance_of(h: int, g: int) -> int:
    """How many halfwords a 32-bit conditional branch goes on from the instruction after it."""
    distance = (h & 0x3F) << 11 | g & 0x7FF | (g >> 13 & 1) << 17 | (g >> 11 & 1) << 18
    return distance - ((h >> 10 & 1) << 19)


class FusedReader(Reader):
    """Runs code on symbols (see Reader). Sums have a column more, for numbers that are added to both lanes."""

    def __init__(self, raw: bytes, rows: int, cols: int, stride: int) -> None:
        super().__init__(raw, rows, cols + 1, stride)
        self.equal = False
        self.made: dict[int, _Output] = {}
        self.lanes: dict[int, _Output] = {}  # by register
        self.lifted: set[int] = set()  # registers whose low lane has been rounded away

    def read(self) -> tuple[S8Array, list[Entry]]:
        """Trits and entries; EdgebitError unless the code is of the kind `generate` makes."""
        self.r[0], self.r[1], self.r[2] = self._X, self._ACC, self._ACC + 2 * PAIRS * self.rows
        self.follow()
        if sorted(self.made) != list(range(2 * PAIRS * self.rows)):
            raise EdgebitError("code: some outputs are never stored")
        trits = np.zeros((self.rows, self.cols - 1), np.int8)
        entries: list[Entry] = []
        for r in range(self.rows):
            same = [self.made[p * self.rows + r] for p in range(2 * PAIRS)]
            one = same[0]
            for p, o in enumerate(same):
                alike = (o.mul, o.add, o.shift) == (one.mul, one.add, one.shift)
                if not alike or (o.high, o.pair) != (p % 2 == 1, p // 2) or (o.sums != one.sums).any():
                    raise EdgebitError("code: pixels are not treated alike")
            if np.abs(one.sums[:-1]).max(initial=0) > 1:
                raise EdgebitError("code: a weight that is no trit")
            trits[r] = one.sums[:-1]
            add = one.add + one.mul * int(one.sums[-1] + _OFFSET * one.sums[:-1].sum()) & 0xFFFFFFFF
            entries.append(Entry(add - (add >> 31 << 32), one.mul, one.shift))
        return trits, entries

    def _input(self, address: int) -> tuple[int, Vector]:
        pair, v = super()._input(address)
        if v[-1]:
            raise EdgebitError("code: it reads outside its inputs")
        return pair, v

    def _both(self, number: int) -> Vector:
        """A number in both lanes."""
        v: Vector = np.zeros(self.cols, np.int64)
        v[-1] = number
        return v

    def _word(self, register: int) -> tuple[int, Vector]:
        v = self.r[register]
        if isinstance(v, int) and v >> 16 == v & 0xFFFF:
            return -1, self._both(v >> 16)
        if isinstance(v, int) or register in self.lanes:
            raise EdgebitError("code: it multiplies what is no sum")
        return v

    def _step(self, at: int) -> int:
        h = self.code[at]
        if h in (0xB080 | _FRAME >> 2, 0xB000 | _FRAME >> 2):
            return at + 1
        if h == 0x4288:  # cmp r0, r1
            self.equal = self._number(0) == self._number(1)
            return at + 1
        if h >> 8 == 0xD1:  # bne
            return at + 1 if self.equal else at + 2 + (h & 0x7F) - (h & 0x80)
        return super()._step(at)

    def _wide(self, at: int, h: int, g: int) -> int:
        d, n, r = g >> 8 & 15, h & 15, self.r
        half = immediate_of(h, g)
        if h >> 4 in (0xF10, 0xF1A, 0xF1C) and g & 0xF000 in (0x1000, 0x2000):  # add, sub, rsb of both lanes
            pair, sums = self._word(n)
            both = self._both((g & 0xFF) * (_UNIT if g & 0x2000 else 1))
            r[d] = pair, (-sums if h >> 4 == 0xF1C else sums) + (-both if h >> 4 == 0xF1A else both)
        elif h == 0xF04F and g & 0xF000 == 0x2000:
            r[d] = (g & 0xFF) * _UNIT * 0x10001
        elif h & 0xFBF0 == 0xF200 and d == n:  # addw
            r[d] = self._number(d) + (half & 0xFFF)
        elif h & 0xFFC0 == 0xF440 and g & 0xD000 == 0x8000:  # bne
            return at + 2 + (0 if self.equal else distance_of(h, g))
        elif h & 0xFBF0 == 0xF240:  # movw
            r[d] = half
        elif h & 0xFBF0 == 0xF2C0:  # movt
            r[d] = self._number(d) & 0xFFFF | half << 16
        elif h >> 4 == 0xF50 and g & 0xF0FF == 0x4000 and d == n:
            self._word(n)
            self.lifted.add(n)
            return at + 2
        elif h >> 4 == 0xFB1 and g & 0xC0 == 0:
            mul = self._number(g & 15) >> (g & 0x10) & 0xFFFF
            self._multiply(d, n, g & 0x20 != 0, mul, self._number(g >> 12))
            return at + 2
        elif h == 0xF8DF:
            d, place = g >> 12, ((2 * at + 4 & ~3) + (g & 0xFFF)) // 2
            if g & 1 or place + 1 >= len(self.code):
                raise EdgebitError("code: a literal outside it")
            r[d] = self.code[place] | self.code[place + 1] << 16
        elif h >> 4 in (0xF30, 0xF32) and g & 0x803F == 0x0007 and d == n and d in self.lanes:
            o = self.lanes[d]
            self.lanes[d] = _Output(
                o.high, o.pair, o.sums, o.mul, o.add, (g >> 12 & 7) << 2 | g >> 6 & 3 if h >> 5 & 1 else 0
            )
            return at + 2
        elif h >> 4 == 0xF88 and n == 0:
            self._store_byte(self._number(0) - self._ACC + (g & 0xFFF), g >> 12)
            return at + 2
        else:
            return super()._wide(at, h, g)
        self.lanes.pop(d, None)
        self.lifted.discard(d)
        return at + 2

    def _multiply(self, d: int, n: int, high: bool, mul: int, add: int) -> None:
        pair, sums = self._word(n)
        least, most = (
            255 * int(part(sums[:-1], 0).sum()) + int(sums[-1]) for part in (np.minimum, np.maximum)
        )
        apart = least >= 0 and most < 1 << 15
        true = int(sums[-1]) == -_OFFSET * int(sums[:-1].sum()) and np.abs(sums[:-1]).sum() < 256
        if not (apart or true):
            raise EdgebitError("code: a lane may overflow")
        if high and not apart and n not in self.lifted:
            raise EdgebitError("code: a lane borrows from the other")
        here = self.r[0]
        row_pair = (here - self._ACC) // (2 * self.rows) if isinstance(here, int) else -1
        self.lanes[d] = _Output(high, row_pair if pair < 0 else pair, sums, mul - (mul >> 15 << 16), add)
        if d != n:
            self.r[d] = 0
        self.lifted.discard(d)

    def _store_byte(self, at: int, register: int) -> None:
        o = self.lanes.pop(register, None)
        if o is None or o.shift < 0 or at in self.made:
            raise EdgebitError("code: it stores what is no output, or twice")
        self.made[at] = o
