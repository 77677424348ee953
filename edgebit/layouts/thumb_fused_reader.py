"""Reading back code of thumb_fused.py: it is run on symbols (see thumb.Reader)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import S8Array
from edgebit.layouts.thumb import Reader, Vector
from edgebit.layouts.thumb_code import PAIRS
from edgebit.layouts.thumb_fused import FRAME, OFFSET, UNIT, Entry


@dataclass(frozen=True)
class Output:
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

    frame: ClassVar[int] = FRAME

    def __init__(self, raw: bytes, rows: int, cols: int, stride: int) -> None:
        super().__init__(raw, rows, cols + 1, stride)
        self.equal = False
        self.made: dict[int, Output] = {}
        self.lanes: dict[int, Output] = {}  # by register
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
            add = one.add + one.mul * int(one.sums[-1] + OFFSET * one.sums[:-1].sum()) & 0xFFFFFFFF
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
        if h in (0xB080 | self.frame >> 2, 0xB000 | self.frame >> 2):
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
            both = self._both((g & 0xFF) * (UNIT if g & 0x2000 else 1))
            r[d] = pair, (-sums if h >> 4 == 0xF1C else sums) + (-both if h >> 4 == 0xF1A else both)
        elif h == 0xF04F and g & 0xF000 == 0x2000:
            r[d] = (g & 0xFF) * UNIT * 0x10001
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
            self.lanes[d] = Output(
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
        least, most, true = self._reach(sums)
        apart = least >= 0 and most < 1 << 15
        if not (apart or true):
            raise EdgebitError("code: a lane may overflow")
        if high and not apart and n not in self.lifted:
            raise EdgebitError("code: a lane borrows from the other")
        self.lanes[d] = Output(high, self._pair(pair), sums, mul - (mul >> 15 << 16), add)
        if d != n:
            self.r[d] = 0
        self.lifted.discard(d)

    @staticmethod
    def _reach(sums: Vector) -> tuple[int, int, bool]:
        """The least and the greatest number a lane may be, and whether it is a sum of what inputs stand for."""
        least, most = (
            255 * int(part(sums[:-1], 0).sum()) + int(sums[-1]) for part in (np.minimum, np.maximum)
        )
        true = int(sums[-1]) == -OFFSET * int(sums[:-1].sum()) and np.abs(sums[:-1]).sum() < 256
        return least, most, bool(true)

    def _pair(self, pair: int) -> int:
        """The pair of pixels a sum is of; one without inputs is of those whose outputs are being stored."""
        here = self.r[0]
        if pair >= 0:
            return pair
        return (here - self._ACC) // (2 * self.rows) if isinstance(here, int) else -1

    def _store_byte(self, at: int, register: int) -> None:
        o = self.lanes.pop(register, None)
        if o is None or o.shift < 0 or at in self.made:
            raise EdgebitError("code: it stores what is no output, or twice")
        self.made[at] = o
