"""Reading back code of thumb_depthwise.py: it is run on symbols.

An input stands for itself, a sum for how often it counts each of them. What is stored must be every output of the band,
once, and all of one channel must have the same trits and the same entry.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import S8Array
from edgebit.layouts.thumb_depthwise import Band
from edgebit.layouts.thumb_fused import Entry
from edgebit.layouts.thumb_fused_reader import distance_of, immediate_of

X, Y = 1 << 32, 1 << 40
NUMBER = (-1, -1, -1)  # what sums count besides inputs (row, column, channel): a number
Sums: TypeAlias = Counter[tuple[int, int, int]]


@dataclass(frozen=True)
class Lanes:
    """Two sums that share a register."""

    low: Sums
    high: Sums


@dataclass(frozen=True)
class Output:
    """A sum, multiplied; clamped when it has a shift."""

    sums: Sums
    mul: int
    add: int
    shift: int = -1


Value: TypeAlias = int | Lanes | Output


class BandReader:
    """Runs the code of a band."""

    def __init__(self, raw: bytes, channels: int, band: Band) -> None:
        why = band.why_not()
        if why is not None:
            raise EdgebitError(f"code: {why}")
        self.code: list[int] = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2").tolist()
        self.channels, self.band = channels, band
        self.r: list[Value] = [0] * 16
        self.carry = False
        self.made: dict[int, Output] = {}

    def read(self) -> tuple[S8Array, list[Entry]]:
        """Trits (9, channels) and entries; EdgebitError unless the code is of the kind `generate` makes."""
        self.r[0], self.r[1] = X, Y
        at = steps = 0
        while at >= 0:
            steps += 1
            if at >= len(self.code) or steps > 256 * self.channels * (self.band.outs + 2):
                raise EdgebitError("code: it does not end")
            at = self._step(at)
        b = self.band
        trits = np.zeros((3, 3, self.channels), np.int8)
        entries: list[Entry] = []
        for c in range(self.channels):
            one = self._made(0, b.outs - 1, c)
            for ky in range(3):
                for kx in range(3):
                    v = b.stride * (b.outs - 1) + kx - b.lead
                    count = one.sums[ky, v, c]
                    if abs(count) > 1:
                        raise EdgebitError("code: a weight that is no trit")
                    trits[ky, kx, c] = count
            entries.append(Entry(one.add, one.mul, one.shift))
            for i in range(b.rows):
                for u in range(b.outs):
                    self._check(self._made(i, u, c), one, trits[:, :, c], (i, u, c))
        if len(self.made) != b.rows * b.outs * self.channels:
            raise EdgebitError("code: it stores outside its outputs")
        return trits.reshape(9, self.channels), entries

    def _made(self, i: int, u: int, c: int) -> Output:
        found = self.made.get(i * self.band.y_row + u * self.band.y_col + c)
        if found is None:
            raise EdgebitError("code: some outputs are never stored")
        return found

    def _check(self, o: Output, one: Output, trits: S8Array, at: tuple[int, int, int]) -> None:
        b, (i, u, c) = self.band, at
        wanted: Sums = Counter()
        for ky in range(3):
            for kx in range(3):
                v = b.stride * u + kx - b.lead
                place = (b.stride * i + ky, v, c) if v >= 0 else NUMBER
                wanted[place] += int(trits[ky, kx]) * (1 if v >= 0 else b.padding)
        first = b.lead == 1 and b.outs == 1  # the padding's trits are in a number only
        known = {k: n for k, n in o.sums.items() if n and not (first and k == NUMBER)}
        alike = (o.mul, o.add, o.shift) == (one.mul, one.add, one.shift)
        if not alike or known != {k: n for k, n in wanted.items() if n}:
            raise EdgebitError("code: outputs are not treated alike")

    def _number(self, register: int) -> int:
        v = self.r[register]
        if not isinstance(v, int):
            raise EdgebitError("code: a sum is used as a number")
        return v

    def _lanes(self, register: int) -> Lanes:
        v = self.r[register]
        if isinstance(v, int) and 0 <= v < 1 << 32:
            halves = [(h & 0xFFFF) - ((h & 0x8000) << 1) for h in (v, v >> 16)]
            return Lanes(Counter({NUMBER: halves[0]}), Counter({NUMBER: halves[1]}))
        if not isinstance(v, Lanes):
            raise EdgebitError("code: it sums what is no input")
        return v

    def _load(self, address: int) -> Lanes:
        b, at = self.band, address - X
        for row in range(b.inputs):
            column, c = divmod(at - row * b.x_row, b.x_col)
            if at >= row * b.x_row and column < b.columns and c < self.channels:
                return Lanes(Counter({(row, column, c): 1}), Counter())
        raise EdgebitError("code: it reads outside its inputs")

    def _store(self, address: int, register: int) -> None:
        v = self.r[register]
        if not isinstance(v, Output) or v.shift < 0 or address - Y in self.made:
            raise EdgebitError("code: it stores what is no output, or twice")
        self.made[address - Y] = v

    def _step(self, at: int) -> int:
        """Run the instruction at a halfword; returns the next one's place, -1 at the end."""
        h, r = self.code[at], self.r
        if h >> 11 in (0b11101, 0b11110, 0b11111):
            if at + 1 >= len(self.code):
                raise EdgebitError("code: it does not end")
            return self._wide(at, h, self.code[at + 1])
        if h >> 8 == 0x46:
            r[h & 7 | h >> 4 & 8] = r[h >> 3 & 15]
        elif h >> 8 == 0x44:
            d = h & 7 | h >> 4 & 8
            r[d] = self._number(d) + self._number(h >> 3 & 15)
            if d < 2:  # an address, and a distance modulo 2^32
                r[d] = (self._number(d) & 0xFFFFFFFF) | (X if d == 0 else Y)
        elif h >> 11 == 0b00110:
            r[h >> 8 & 7] = self._number(h >> 8 & 7) + (h & 0xFF)
        elif h >> 8 == 0xD2:  # bcs
            return at + 2 + (h & 0x7F) - (h & 0x80) if self.carry else at + 1
        else:
            raise EdgebitError(f"code: unexpected instruction {h:04x}")
        return at + 1

    def _wide(self, at: int, h: int, g: int) -> int:
        d, n, r = g >> 8 & 15, h & 15, self.r
        half = immediate_of(h, g)
        if (h, g) == (0xE92D, 0x4FF0):
            return at + 2
        if (h, g) == (0xE8BD, 0x8FF0):
            return -1
        if h & 0xFBF0 == 0xF240:  # movw
            r[d] = half
        elif h & 0xFBF0 == 0xF2C0:  # movt
            r[d] = self._number(d) & 0xFFFF | half << 16
        elif h & 0xFBF0 in (0xF200, 0xF2A0) and d == n:  # addw, subw
            r[d] = self._number(d) + (half & 0xFFF) * (1 if h & 0xFBF0 == 0xF200 else -1)
        elif (h, g) == (0xF5B2, 0x3280):  # subs r2, #0x10000
            self.carry = self._number(2) >= 1 << 16
            r[2] = self._number(2) - (1 << 16) & 0xFFFFFFFF
        elif h & 0xFBC0 == 0xF080 and g & 0xD000 == 0x8000:  # bcs
            return at + 2 + (distance_of(h, g) if self.carry else 0)
        elif h == 0xF04F and g & 0xF0FF == 0:
            r[d] = 0
        elif h == 0xF990:
            r[g >> 12] = self._load(self._number(0) + (g & 0xFFF))
        elif h == 0xF910 and g & 0xF00 == 0xB00:
            r[g >> 12] = self._load(self._number(0))
            r[0] = self._number(0) + (g & 0xFF)
        elif h == 0xF881:
            self._store(self._number(1) + (g & 0xFFF), g >> 12)
        elif h == 0xF801 and g & 0xF00 == 0xB00:
            self._store(self._number(1), g >> 12)
            r[1] = self._number(1) + (g & 0xFF)
        elif h >> 4 == 0xEAC and g & 0xF0F0 == 0x4000:  # pkhbt, lsl #16
            r[d] = Lanes(self._lanes(n).low, self._lanes(g & 15).low)
        elif h >> 4 in (0xFA9, 0xFAD) and g & 0xF0F0 == 0xF000:  # sadd16, ssub16
            a, b, sign = self._lanes(n), self._lanes(g & 15), 1 if h >> 4 == 0xFA9 else -1
            r[d] = Lanes(added(a.low, b.low, sign), added(a.high, b.high, sign))
        elif h >> 4 == 0xFB1 and g & 0xD0 == 0:  # smlabb, smlatb
            lanes, mul, add = self._lanes(n), self._number(g & 15) & 0xFFFF, self._number(g >> 12)
            sums = lanes.high if g & 0x20 else lanes.low
            r[d] = Output(sums, mul - (mul >> 15 << 16), add - (add >> 31 << 32))
        elif h >> 4 in (0xF30, 0xF32) and g & 0x803F == 0x0007 and d == n:
            v = r[d]
            if not isinstance(v, Output) or v.shift >= 0:
                raise EdgebitError("code: it clamps what is no output")
            r[d] = Output(v.sums, v.mul, v.add, (g >> 12 & 7) << 2 | g >> 6 & 3 if h >> 5 & 1 else 0)
        else:
            raise EdgebitError(f"code: unexpected instruction {h:04x} {g:04x}")
        return at + 2


def added(a: Sums, b: Sums, sign: int) -> Sums:
    """a + sign * b"""
    total: Sums = Counter(a)
    for k, n in b.items():
        total[k] += sign * n
    return total
