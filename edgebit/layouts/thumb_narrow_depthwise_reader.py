"""Reading back code of thumb_narrow_depthwise.py: it is run on symbols (see BandReader)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.layouts.thumb_depthwise import Band
from edgebit.layouts.thumb_depthwise_reader import NUMBER, BandReader, Lanes, Output, Sums, X, added
from edgebit.layouts.thumb_fused import Entry
from edgebit.layouts.thumb_narrow import check_frame, in_table, saturation
from edgebit.layouts.thumb_narrow_depthwise import FRAME, why_not

_CLAMP = 1 << 48


@dataclass(frozen=True)
class _Product(Output):
    """An output that is being made: what was done with its sum."""

    added: bool = False
    clamped: bool = False


class NarrowBandReader(BandReader):
    """Runs the code of a band."""

    def __init__(self, raw: bytes, channels: int, band: Band) -> None:
        super().__init__(raw, channels, band)
        why = why_not(band)
        if why is not None:
            raise EdgebitError(f"code: {why}")
        check_frame(self.code, FRAME)
        self.equal = False
        self.stack: dict[int, object] = {}
        self.r[2] = _CLAMP

    def _sums(self, register: int) -> Sums:
        v = self.r[register]
        if isinstance(v, int):
            if not 0 <= v < 1 << 32:
                raise EdgebitError("code: it sums an address")
            return Counter({NUMBER: v - (v >> 31 << 32)})
        return self._lanes(register).low

    def _product(self, register: int) -> _Product:
        v = self.r[register]
        if not isinstance(v, _Product):
            raise EdgebitError("code: it requantises what is no sum")
        return v

    def _add(self, d: int, n: int, m: int, sign: int) -> None:
        r = self.r
        v, w = r[n], r[m]
        if isinstance(v, _Product):
            if d != n or sign < 0 or v.added or v.shift >= 0:
                raise EdgebitError("code: it adds a number to what is no product")
            number = self._number(m)
            r[d] = replace(v, add=number - (number >> 31 << 32), added=True)
        elif isinstance(v, int) and isinstance(w, int):
            total = v + sign * w
            r[d] = total if total >= X else total & 0xFFFFFFFF
        else:
            r[d] = Lanes(added(self._sums(n), self._sums(m), sign), Counter())

    def _step(self, at: int) -> int:
        h, r = self.code[at], self.r
        low, mid, high, top = h & 7, h >> 3 & 7, h >> 6 & 7, h >> 8
        d, m = low | h >> 4 & 8, h >> 3 & 15
        if h >> 9 in (0b0001100, 0b0001101):  # adds, subs
            self._add(low, mid, high, 1 if h >> 9 == 0b0001100 else -1)
        elif top == 0x44:
            self._add(d, d, m, 1)
        elif top == 0x46:
            r[d] = r[m]
        elif h >> 6 == 0b0100001001:  # negs
            r[low] = Lanes(added(Counter(), self._sums(mid), -1), Counter())
        elif h >> 11 == 0b00100:
            r[top & 7] = h & 0xFF
        elif h >> 11 == 0b00110:
            r[top & 7] = self._number(top & 7) + (h & 0xFF)
        elif h >> 11 == 0b00000:  # lsls
            r[low] = self._number(mid) << (h >> 6 & 31)
        elif h >> 11 == 0b01001:  # ldr, from behind
            place = (at + 2 & ~1) + 2 * (h & 0xFF)
            if place + 1 >= len(self.code):
                raise EdgebitError("code: a literal outside it")
            r[top & 7] = self.code[place] | self.code[place + 1] << 16
        elif h >> 11 == 0b10010:
            self.stack[h & 0xFF] = r[top & 7]
        elif h >> 11 == 0b10011:
            v = self.stack.get(h & 0xFF, 0)
            assert isinstance(v, int | Lanes | Output)
            r[top & 7] = v
        elif h >> 9 == 0b0101011:  # ldrsb
            r[low] = self._load(self._number(mid) + self._number(high))
        elif h >> 9 == 0b0101110:  # ldrb, from the table
            if low != high or r[mid] != _CLAMP:
                raise EdgebitError("code: it clamps by what is no table")
            self._clamp(low, table=True)
        elif h >> 6 == 0b0100001101:  # muls
            mul = self._number(mid)
            mul -= mul >> 31 << 32
            if not -(1 << 15) <= mul < 1 << 15 or isinstance(r[low], Output):
                raise EdgebitError("code: it multiplies what is no sum")
            r[low] = _Product(self._sums(low), mul, 0)
        elif h >> 11 == 0b00010:  # asrs
            p = self._product(mid)
            if not p.added or p.shift >= 0 or low != mid or not h >> 6 & 31:
                raise EdgebitError("code: it shifts what is no product")
            r[low] = replace(p, shift=h >> 6 & 31)
        elif h >> 6 == 0b1011001001:  # sxtb, and what compares and clamps
            return self._saturate(at, low, mid)
        elif h >> 11 == 0b01110:  # strb
            self._output(self._number(mid) + (h >> 6 & 31), low)
        elif h >> 9 == 0b0101010:
            self._output(self._number(mid) + self._number(high), low)
        elif h == 0x4288:  # cmp r0, r1
            self.equal = self._number(0) == self._number(1)
        elif top == 0xD0:  # beq
            return at + 2 + (h & 0x7F) - (h & 0x80) if self.equal else at + 1
        elif h >> 11 == 0b11100:
            return at + 2 + (h & 0x7FF) - (h & 0x400) * 2
        elif h in (0xB5F0, 0xB4F0, 0xB080 | FRAME >> 2, 0xB000 | FRAME >> 2, 0xBCF0):
            pass  # the frame
        elif h == 0xBDF0:
            return -1
        else:
            raise EdgebitError(f"code: unexpected instruction {h:04x}")
        return at + 1

    def _saturate(self, at: int, other: int, value: int) -> int:
        if other == value or self.code[at : at + 6] != saturation(value, other):
            raise EdgebitError("code: it clamps in another way")
        self._clamp(value, table=False)
        self.r[other] = 0
        return at + 6

    def _clamp(self, register: int, table: bool) -> None:
        p = self._product(register)
        if not p.added or p.clamped:
            raise EdgebitError("code: it clamps what is no product")
        entry = Entry(p.add, p.mul, max(p.shift, 0))
        number = p.sums[NUMBER]
        taps = np.array([n for k, n in p.sums.items() if k != NUMBER], np.int64)
        more, less = int(taps[taps > 0].sum()), -int(taps[taps < 0].sum())
        least, most = number - 128 * more - 127 * less, number + 127 * more + 128 * less
        if table and not in_table(entry, least, most):
            raise EdgebitError("code: an output may lie outside the table")
        self.r[register] = replace(p, shift=entry.shift, clamped=True)

    def _output(self, address: int, register: int) -> None:
        p = self._product(register)
        if not p.clamped:
            raise EdgebitError("code: it stores what is no output")
        self.r[register] = Output(p.sums, p.mul, p.add, p.shift)
        self._store(address, register)
