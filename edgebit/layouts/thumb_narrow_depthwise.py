"""A band of a 3 x 3 depthwise convolution with ternary weights as straight-line Thumb code without 32-bit instructions
(Armv6-M).

The code is one function, `void run(const int8_t *x, int8_t *y, const int8_t *clamp)`, that computes what a kernel of
dwconvband_t_s8 computes, with weights, requantisation and all distances built in, channel after channel (see
dwconvband_t_s8__armv6m_code.c). As in thumb_depthwise.py a channel goes from column to column of its inputs, and a column
completes the sums B of the output column it is the last of (R), makes B from the sums A as the middle one (M), and begins
sums A as the first (L); here every sum has a register. At stride 2 A and B are the same. A weight of 0 takes no
instruction.

Rows of a column follow one another in x, and so do columns: x goes through them in order, and three registers hold the
rows that an output row sees. A value is clamped by the table when it is proven to be one of its numbers (thumb_narrow.py).

Registers: r0 x, r1-r3 inputs, r4-r6 sums that become outputs, r7 a sum, or how far x is behind; r8-r10 A, r11 r12 lr B. Numbers are loaded
from behind a channel's loop. Stack: 0 y, 4 x of the channel, 8 its end, 12 y of the channel, 16 clamp.

Encodings: Armv6-M Architecture Reference Manual DDI 0419, A6.7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import S8Array
from edgebit.layouts.thumb_depthwise import Band, Program, Terms
from edgebit.layouts.thumb_fused import Entry
from edgebit.layouts.thumb_narrow import NarrowCode, Row, saturation

MAX_NARROW_BAND = 3
FRAME = 20
_Y, _X0, _END, _Y0, _CLAMP = 0, 4, 8, 12, 16
_INPUTS, _OUTPUTS, _FREE = (1, 2, 3), (4, 5, 6), 7
_A, _B = (8, 9, 10), (11, 12, 14)


def why_not(band: Band) -> str | None:
    """Why there is no code for a band."""
    if band.rows > MAX_NARROW_BAND:
        return f"a band of {band.rows} rows"
    if band.x_col != band.inputs * band.x_row:
        return "columns that do not follow one another"
    return band.why_not()


def generate(trits: S8Array, entries: Sequence[Entry], band: Band) -> Program:
    """The code for (9, channels) trits and one entry a channel."""
    why = why_not(band)
    if why is not None:
        raise EdgebitError(f"code: {why}")
    c = _Channels(band)
    c.enter(FRAME)
    c.local(True, 0, _X0)
    c.local(True, 1, _Y0)
    c.local(True, 2, _CLAMP)
    c.advance(0, 1, band.columns * band.x_col)
    c.local(True, 0, _END)
    for k, e in enumerate(entries):
        c.channel(np.asarray(trits[:, k].reshape(3, 3), np.int8), e, last=k == trits.shape[1] - 1)
    c.leave(FRAME)
    return Program(np.array(c.words, "<u2").tobytes(), c.runs)


class _Channels(NarrowCode):
    """The code of channels, under construction."""

    def __init__(self, band: Band) -> None:
        super().__init__()
        self.band = band
        self.runs: Counter[str] = Counter()
        self.times = 1  # how often the instructions being emitted run
        self.ahead = 0  # bytes by which x is behind where it should be

    def emit(self, *halfwords: int) -> None:
        """Instructions, which are counted; wait: further cycles that loads, stores and jumps take."""
        super().emit(*halfwords)
        for h in halfwords:
            memory = h >> 12 in (0b0101, 0b0110, 0b0111, 0b1000, 0b1001) or h >> 11 == 0b01001
            jump = h >> 11 == 0b11100 or h >> 11 == 0b11110
            self.runs["step"] += self.times
            self.runs["wait"] += self.times * (memory or jump)

    def number(self, rd: int, value: int) -> None:
        """rd = value mod 2^32"""
        if 0 <= value < 256:
            self.emit(0x2000 | rd << 8 | value)
        else:
            self.literal(rd, value)

    def channel(self, trits: S8Array, e: Entry, last: bool) -> None:
        """Code of one channel of (3, 3) trits."""
        b = self.band
        less, more = ((trits * sign > 0).any(axis=0).sum() for sign in (-1, 1))
        if less > more and e.mul > -(2**15):
            trits, e = -trits, Entry(e.add, -e.mul, e.shift)
        row = Row(e, 0, True, Row.of(e, trits).near)
        self.local(False, 1, _Y0)
        self.local(True, 1, _Y)
        self.local(False, 0, _X0)
        if b.lead:
            self._padding(int(trits[:, 0].sum()) * b.padding, bool(trits[:, 0].any()))
        else:
            self._column(trits, row, "L")
        if b.stride == 1:
            self._column(trits, row, "ML")
        start = len(self.words)
        self.times = b.outs
        if b.stride == 2:
            self._column(trits, row, "M")
        self._column(trits, row, "RL" if b.stride == 2 else "RML")
        self.local(False, 1, _END)
        self.emit(0x4288)  # cmp r0, r1
        here = len(self.words)
        self.emit(0)
        self.back_to(start)
        self.times = 0
        self.literals()
        self.times = 1
        self.words[here] = 0xD000 | len(self.words) - here - 2  # beq
        for offset in (_X0, _END, _Y0) if not last else ():
            self.local(False, 1, offset)
            self.advance(1, 2, 1)
            self.local(True, 1, offset)

    def _padding(self, value: int, wanted: bool) -> None:
        """A = value"""
        if wanted:
            self.number(_FREE, value)
            for register in _A[: self.band.rows]:
                self.mov(register, _FREE)

    def _column(self, trits: S8Array, row: Row, does: str) -> None:
        """What the next column of inputs does; x moves past it."""
        b = self.band
        parts = {name: trits[:, kx].tolist() for name, kx in (("L", 0), ("M", 1), ("R", 2)) if name in does}
        begun, middle = bool(trits[:, 0].any()), bool(trits[:, :2].any())
        second = _A if b.stride == 2 else _B
        for j in range(b.inputs):
            seen = [(i, j - b.stride * i) for i in range(b.rows) if 0 <= j - b.stride * i < 3]
            if any(t[ky] for t in parts.values() for _, ky in seen):
                self._load(_INPUTS[j % 3])
            self.ahead += b.x_row
            for i in [i for i, ky in seen if ky == 2]:
                terms = {
                    name: [(t[ky], _INPUTS[(b.stride * i + ky) % 3]) for ky in range(3) if t[ky]]
                    for name, t in parts.items()
                }
                if "R" in terms:
                    self._sum(_OUTPUTS[i], second[i] if middle else None, terms["R"])
                if "M" in terms and middle:
                    self._sum(second[i], _A[i] if begun else None, terms["M"])
                if "L" in terms and begun:
                    self._sum(_A[i], None, terms["L"])
        self._catch_up()
        if "R" in does:
            self._finish(row)

    def _catch_up(self, most: int = 0) -> None:
        """Move x until it is no more than `most` (0 or 255) bytes behind."""
        if self.ahead >= 4 * 255:
            self.advance(0, _FREE, self.ahead)
            self.ahead = 0
        while self.ahead > most:
            step = min(self.ahead, 255)
            self.advance(0, _FREE, step)
            self.ahead -= step

    def _load(self, rd: int) -> None:
        """The input that x should be at."""
        self._catch_up(255)
        self.emit(0x2000 | _FREE << 8 | self.ahead)
        self.emit(0x5600 | _FREE << 6 | rd)  # ldrsb rd, [r0, r7]

    def _sum(self, rd: int, base: int | None, terms: Terms) -> None:
        """rd = base + terms; `base` is a high register, or 0 when None."""
        plus, minus = ([r for s, r in terms if s == sign] for sign in (1, -1))
        if base is not None and rd == base and not minus:
            for r in plus:
                self.add(rd, r)
            return
        if not terms and base is not None:
            self.mov(rd, base)
            return
        if base is None and len(plus) == 1 and not minus:
            self.mov(rd, plus[0])
            return
        low = rd if rd < 8 else _FREE
        if not terms:
            self.emit(0x2000 | rd << 8)  # outputs of a channel without weights
            return
        late = base
        if not plus or len(terms) == 1:
            if base is not None:
                self.mov(low, base)
            else:
                self.neg(low, minus.pop(0))
            late = None
        else:
            first = plus.pop(0)
            if plus:
                self.emit(0x1800 | plus.pop(0) << 6 | first << 3 | low)  # adds
            else:
                self.sub_low(low, first, minus.pop(0))
        for r in plus:
            self.add(low, r)
        for r in minus:
            self.sub(low, r)
        if late is not None:
            self.add(low, late)
        if low != rd:
            self.mov(rd, low)

    def _finish(self, row: Row) -> None:
        """Store the outputs of a column."""
        b, values = self.band, _OUTPUTS[: self.band.rows]
        self.number(1, row.entry.mul)
        for v in values:
            self.multiply(v, 1)
        self.number(2, row.entry.add)
        for v in values:
            self.add(v, 2)
        for v in values:
            self.right(v, row.entry.shift)
        if row.near:
            self.local(False, 3, _CLAMP)
        for v in values:
            if row.near:
                self.look_up(v, 3)
            else:
                self.emit(*saturation(v, 3))
        self.local(False, 2, _Y)
        self.store(values[0], 2, 0)
        if b.rows > 1:
            self.number(1, b.y_row)
            self.emit(0x5400 | 1 << 6 | 2 << 3 | values[1])  # strb, [r2, r1]
        if b.rows > 2:
            self.emit(0x1800 | 1 << 6 | 2 << 3 | 3)  # adds r3, r2, r1
            self.emit(0x5400 | 1 << 6 | 3 << 3 | values[2])
        self.advance(2, 1, b.y_col)
        self.local(True, 2, _Y)
