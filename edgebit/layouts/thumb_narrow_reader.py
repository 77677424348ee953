"""Reading back code of thumb_narrow.py: it is run on symbols (see FusedReader)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from edgebit.errors import EdgebitError
from edgebit.ir.graph import S8Array
from edgebit.layouts.thumb import Vector
from edgebit.layouts.thumb_fused import OFFSET, Entry
from edgebit.layouts.thumb_fused_reader import FusedReader, Output
from edgebit.layouts.thumb_narrow import FRAME, REACH, Row, check_frame, saturation

_CLAMP, _CODE = 1 << 48, 1 << 56
_LANE = -7  # what stands for a pair in registers that hold no packed sums


@dataclass(frozen=True)
class _Lane:
    """A number on its way from a sum to an output. raised: it is still in the upper half of its word; mul, add, shift:
    None as long as nothing was done with such a number."""

    high: bool
    pair: int
    sums: Vector
    raised: bool = False
    mul: int | None = None
    add: int | None = None
    shift: int | None = None
    clamped: bool = False


class NarrowReader(FusedReader):
    """Runs the code of a layer."""

    frame: ClassVar[int] = FRAME

    def __init__(self, raw: bytes, rows: int, cols: int, stride: int) -> None:
        super().__init__(raw, rows, cols, stride)
        self.made_of: dict[int, tuple[object, _Lane]] = {}  # by register, with what the register must hold

    def read(self) -> tuple[S8Array, list[Entry]]:
        check_frame(self.code, FRAME)
        self.r[3] = _CLAMP
        return super().read()

    def _set(self, register: int, lane: _Lane) -> None:
        token = (_LANE, lane.sums)
        self.r[register] = token
        self.made_of[register] = token, lane

    def _lane(self, register: int) -> _Lane | None:
        token, lane = self.made_of.get(register, (None, None))
        return lane if self.r[register] is token else None

    def _lane_of(self, register: int) -> _Lane:
        lane = self._lane(register)
        if lane is None:
            raise EdgebitError("code: it requantises what is no sum")
        return lane

    def _literal(self, place: int) -> int:
        if place % 2 or not 0 <= place < 2 * len(self.code) - 2:
            raise EdgebitError("code: a literal outside it")
        return int(self.code[place // 2] | self.code[place // 2 + 1] << 16)

    def _step(self, at: int) -> int:
        h, r = self.code[at], self.r
        low, mid, high, top = h & 7, h >> 3 & 7, h >> 6 & 7, h >> 8
        here = (2 * at + 4 & ~3) + 4 * (h & 0xFF)
        if h >> 11 == 0b01001:  # ldr, from behind
            r[top & 7] = self._literal(here)
        elif h >> 11 == 0b10100:  # adr
            r[top & 7] = _CODE + here
        elif h >> 11 == 0b11001 and self._number(top & 7) >= _CODE:  # ldmia, from behind
            address = self._number(top & 7)
            for i in [i for i in range(8) if h >> i & 1]:
                r[i] = self._literal(address - _CODE)
                address += 4
            r[top & 7] = address
        elif h >> 6 == 0b0001110000:  # adds #0
            r[low] = self._number(mid)
        elif h >> 6 == 0b1011001000:  # sxth
            self._begin(low, mid)
        elif h >> 9 == 0b0001101 and low == mid and self._subtracted(low, high):
            pass
        elif h >> 9 == 0b0001100 and low == mid and self._lane(low) is not None:
            self._add(low, self._number(high))
        elif h >> 11 == 0b00010:  # asrs
            self._right(low, mid, h >> 6 & 31)
        elif h >> 6 == 0b0100001101:  # muls
            self._multiplied(low, self._number(mid))
        elif h >> 9 == 0b0101110:  # ldrb, from the table
            if low != high or r[mid] != _CLAMP:
                raise EdgebitError("code: it clamps by what is no table")
            self._clamp(low, table=True)
        elif h >> 6 == 0b1011001001:  # sxtb
            other = low
            if other == mid or self.code[at : at + 6] != saturation(mid, other):
                raise EdgebitError("code: it clamps in another way")
            self._clamp(mid, table=False)
            r[other] = 0
            return at + 6
        elif h >> 11 == 0b01110:  # strb
            self._output(self._number(mid) - self._ACC + (h >> 6 & 31), low)
        elif top == 0xD0:  # beq
            return at + 2 + (h & 0x7F) - (h & 0x80) if self.equal else at + 1
        else:
            return super()._step(at)
        return at + 1

    def _begin(self, d: int, n: int) -> None:
        """d = the low lane of n"""
        pair, sums = self._word(n)
        least, most, true = self._reach(sums)
        if pair == _LANE or not (true or (least >= -(1 << 15) and most < 1 << 15)):
            raise EdgebitError("code: a lane may overflow")
        self._set(d, _Lane(False, self._pair(pair), sums))

    def _subtracted(self, d: int, m: int) -> bool:
        """Whether `d -= m` is a step towards an output: the low lane from its word, or a number from both lanes."""
        lane, number = self._lane(m), self.r[m]
        if lane is not None:
            pair, sums = self._word(d)
            if lane.high or lane.mul is not None or pair == _LANE or (sums != lane.sums).any():
                raise EdgebitError("code: it takes a lane from another sum")
            self._set(d, _Lane(True, lane.pair, sums, raised=True))
            return True
        if not isinstance(number, int) or isinstance(self.r[d], int):
            return False
        pair, sums = self._word(d)
        least = (number & 0xFFFF) - ((number & 0x8000) << 1)
        if pair == _LANE or (least * 0x10001 - number) & 0xFFFFFFFF:
            raise EdgebitError("code: it takes different numbers from two lanes")
        self.r[d] = pair, sums - self._both(least)
        return True

    def _multiplied(self, d: int, number: int) -> None:
        lane = self._lane_of(d)
        mul = number - (number >> 31 << 32)
        if lane.raised or lane.mul is not None or not -(1 << 15) <= mul < 1 << 15:
            raise EdgebitError("code: it multiplies what is no sum")
        self._set(d, replace(lane, mul=mul))

    def _add(self, d: int, number: int) -> None:
        lane = self._lane_of(d)
        if lane.mul is None or lane.add is not None:
            raise EdgebitError("code: it adds a number to what is no product")
        self._set(d, replace(lane, add=number - (number >> 31 << 32)))

    def _right(self, d: int, n: int, shift: int) -> None:
        lane = self._lane_of(n)
        if lane.raised and shift == 16:
            self._set(d, replace(lane, raised=False))
        elif lane.add is not None and lane.shift is None and not lane.clamped and shift:
            self._set(d, replace(lane, shift=shift))
        else:
            raise EdgebitError("code: it shifts what is no product")

    def _clamp(self, d: int, table: bool) -> None:
        lane = self._lane_of(d)
        if lane.mul is None or lane.add is None or lane.clamped:
            raise EdgebitError("code: it clamps what is no product")
        if table and not Row.of(self._entry(lane), lane.sums[:-1]).near:
            raise EdgebitError(f"code: an output may lie outside the table of {2 * REACH}")
        self._set(d, replace(lane, clamped=True))

    def _entry(self, lane: _Lane) -> Entry:
        """What is done with the sum of a lane's inputs themselves."""
        assert lane.mul is not None
        assert lane.add is not None
        add = lane.add + lane.mul * (int(lane.sums[-1]) + OFFSET * int(lane.sums[:-1].sum())) & 0xFFFFFFFF
        return Entry(add - (add >> 31 << 32), lane.mul, lane.shift or 0)

    def _output(self, at: int, register: int) -> None:
        lane = self._lane_of(register)
        if not lane.clamped or lane.mul is None or lane.add is None:
            raise EdgebitError("code: it stores what is no output")
        self.lanes[register] = Output(lane.high, lane.pair, lane.sums, lane.mul, lane.add, lane.shift or 0)
        self._store_byte(at, register)
        self.r[register] = 0
