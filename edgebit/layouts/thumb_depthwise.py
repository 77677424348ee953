"""A band of a 3 x 3 depthwise convolution with ternary weights as straight-line Thumb-2 code.

The code is one function, `void run(const int8_t *x, int8_t *y)`, that computes what a kernel of dwconvband_t_s8
computes (see runtime_c/kernels/dwconvband_t_s8/dwconvband_t_s8.h), with weights, requantisation and all distances
built in, channel after channel. A channel goes from column to column of its inputs. With k the half of the band's rows,
rounded up, a register holds row j of a column in its low half and row j + k * stride in its high half, which SADD16 and
SSUB16 keep apart. A column of trits does three things, if the stride makes it so:

    R  completes the sums B of the output column it is the last of, which then become outputs
    M  makes B from the sums A that L left, as the middle one
    L  begins sums A as the first

Rows are done from the last to the first, so that three registers hold all inputs that are still wanted. A weight of 0
takes no instruction. Where it saves one, a channel's trits and its multiplier change their signs.

Registers: r0 x, r1 y, r2 multiplier and, in the high half, columns left; r3 add, r4-r6 A, r7-r9 B, r10 r11 lr inputs,
r12 an input or an output. Stack: 36 bytes. Bounds: |sum| <= 9 * 128 < 2^15.

Encodings: Armv7-M Architecture Reference Manual DDI 0403, A7.7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import S8Array
from edgebit.layouts.thumb_fused import Entry, FusedCode

MAX_BAND = 6
MAX_REACH = 4095
"""Bytes from the first row of a column to its last, at most."""
MAX_OUTS = 1 << 15
_X, _Y, _MUL, _ADD, _FREE = 0, 1, 2, 3, 12
_CARRY = 2  # the condition
_A, _B, _INPUTS = (4, 5, 6), (7, 8, 9), (10, 11, 14)
Terms = list[tuple[int, int]]
"""(sign, register) to add up."""


@dataclass(frozen=True)
class Band:
    """rows, outs: outputs. lead: columns of padding on the left that x does not have, 0 or 1. x_row, x_col, y_row,
    y_col: bytes from a row or a column to the next."""

    rows: int
    outs: int
    stride: int
    lead: int
    padding: int
    x_row: int
    x_col: int
    y_row: int
    y_col: int

    @property
    def half(self) -> int:
        return (self.rows + 1) // 2

    @property
    def inputs(self) -> int:
        """Rows of x."""
        return self.stride * (self.rows - 1) + 3

    @property
    def columns(self) -> int:
        """Columns of x."""
        return self.stride * (self.outs - 1) + 3 - self.lead

    def why_not(self) -> str | None:
        """Why there is no code for it."""
        if not (1 <= self.rows <= MAX_BAND and self.stride in (1, 2) and self.lead in (0, 1)):
            return f"a band of {self.rows} rows, stride {self.stride}, {self.lead} columns of padding"
        if max((self.inputs - 1) * self.x_row, (self.rows - 1) * self.y_row) > MAX_REACH:
            return f"rows lie more than {MAX_REACH} bytes apart"
        return f"{self.outs} output columns" if self.outs > MAX_OUTS else None


@dataclass
class Program:
    """The code, and for one band step: instructions run, wait: those of them that take the Cortex-M4 a cycle more."""

    raw: bytes = b""
    runs: Counter[str] = field(default_factory=Counter)


def generate(trits: S8Array, entries: Sequence[Entry], band: Band) -> Program:
    """The code for (9, channels) trits and one entry a channel."""
    why = band.why_not()
    if why is not None:
        raise EdgebitError(f"code: {why}")
    c = _Channels(band)
    c.emit(0xE92D, 0x4FF0)  # push {r4-r11, lr}
    channels = trits.shape[1]
    for k, e in enumerate(entries):
        c.channel(np.asarray(trits[:, k].reshape(3, 3), np.int8), e, last=k == channels - 1)
    c.emit(0xE8BD, 0x8FF0)  # pop {r4-r11, pc}
    return Program(np.array(c.words, "<u2").tobytes(), c.runs)


class _Channels(FusedCode):
    """The code of channels, under construction."""

    def __init__(self, band: Band) -> None:
        super().__init__()
        self.band = band
        self.runs: Counter[str] = Counter()
        self.times = 1  # how often the instructions being emitted run
        self.memory = False  # whether the last instruction was a load or a store, which a load overlaps

    def emit(self, *halfwords: int) -> None:
        """One or more instructions, which are counted."""
        super().emit(*halfwords)
        at = 0
        while at < len(halfwords):
            h = halfwords[at]
            load = h >> 4 in (0xF99, 0xF91)
            self.runs["step"] += self.times
            self.runs["wait"] += self.times * (load and not self.memory)
            self.memory = load or h >> 4 in (0xF88, 0xF80)
            at += 1 + (h >> 11 in (0b11101, 0b11110, 0b11111))

    def channel(self, trits: S8Array, e: Entry, last: bool) -> None:
        b = self.band
        begins = next((part for part in trits.T if part.any()), trits[:, 0])
        if begins.max() < 1 and e.mul > -(2**15):
            trits, e = -trits, Entry(e.add, -e.mul, e.shift)
        self.number(_MUL, (b.outs - 1) << 16 | e.mul & 0xFFFF)
        self.number(_ADD, e.add)
        if b.lead:
            self._padding(int(trits[:, 0].sum()) * b.padding, bool(trits[:, 0].any()))
        else:
            self._column(trits, e, "L")
        if b.stride == 1:
            self._column(trits, e, "ML", alike=b.lead == 1)
        start = len(self.words)
        self.times = b.outs
        self.memory = False
        if b.stride == 2:
            self._column(trits, e, "M")
            self._column(trits, e, "RL")
        else:
            self._column(trits, e, "RML")
        self.emit(0xF5B0 | _MUL, 0x3080 | _MUL << 8)  # subs r2, #0x10000
        self.back_if(_CARRY, start)
        self.times = 1
        self.runs["wait"] += b.outs - 1
        if not last:
            self.step(_X, 1 - b.x_col * b.columns, _FREE)
            self.step(_Y, 1 - b.y_col * b.outs, _FREE)

    def _padding(self, value: int, wanted: bool) -> None:
        """A = value, in both lanes; at stride 1 the first of them stands for all."""
        if wanted:
            self.number(_A[0], (value & 0xFFFF) * 0x10001)
            for register in _A[1 : self.band.half if self.band.stride == 2 else 1]:
                self.emit(0x4600 | _A[0] << 3 | register)

    def _column(self, trits: S8Array, e: Entry, does: str, alike: bool = False) -> None:
        """What the next column of inputs does; x moves past it. alike: A[0] stands for all of A."""
        b = self.band
        parts = {name: trits[:, kx].tolist() for name, kx in (("L", 0), ("M", 1), ("R", 2)) if name in does}
        used = [any(t[ky] for t in parts.values()) for ky in range(3)]
        held: dict[int, int] = {}  # the register of a row
        begun, middle = bool(trits[:, 0].any()), bool(trits[:, :2].any())
        moved = False
        for i in range(b.half - 1, -1, -1):
            wanted = [b.stride * i + ky for ky in (2, 1, 0) if used[ky]]
            held = {j: r for j, r in held.items() if j in wanted or j < b.stride * i + used[2] * 3 - b.stride}
            moved |= self._load([j for j in wanted if j not in held], held)
            terms = {
                name: [(t[ky], held[b.stride * i + ky]) for ky in range(3) if t[ky]]
                for name, t in parts.items()
            }
            if "R" in terms:
                self._sum(_B[i], _B[i] if middle else None, terms["R"])
                self._outputs(i, e)
            if "M" in terms and middle:
                self._sum(_B[i], _A[0 if alike else i] if begun else None, terms["M"])
            if "L" in terms and begun:
                self._sum(_A[i], None, terms["L"])
            if "R" in terms:
                self._store(_FREE, e.shift, i)
        if not moved:
            self.step(_X, b.x_col, _FREE)

    def _load(self, rows: Sequence[int], held: dict[int, int]) -> bool:
        """Rows of the column (and those that share their registers), from the last to the first; whether x has been
        moved to the next column, which the load of row 0 may do."""
        b = self.band
        left = list(rows)
        moved = False
        while left:
            free = [r for r in _INPUTS if r not in held.values()]
            count = min(len(left), (len(free) + 1) // 2)
            taken, spare = free[:count], [*free[count:], _FREE]
            now, left = left[:count], left[count:]
            joined: list[tuple[int, int]] = []
            for j, register in zip(now, taken, strict=True):
                high = j + b.stride * b.half
                if high < b.inputs:
                    joined.append((register, spare.pop(0)))
                    self._load_byte(joined[-1][1], high * b.x_row)
                if j == 0 and b.x_col < 256:
                    self.emit(0xF910 | _X, register << 12 | 0xB00 | b.x_col)
                    moved = True
                else:
                    self._load_byte(register, j * b.x_row)
                held[j] = register
            for low, other in joined:
                self.emit(0xEAC0 | low, 0x4000 | low << 8 | other)  # pkhbt low, low, other, lsl #16
        return moved

    def _load_byte(self, rd: int, offset: int) -> None:
        self.emit(0xF990 | _X, rd << 12 | offset)  # ldrsb

    def _sum(self, rd: int, base: int | None, terms: Terms) -> None:
        """rd = base + terms, lane by lane; `base` is 0 when None."""
        terms = sorted(terms, key=lambda t: -t[0])
        if base is None and terms and terms[0][0] > 0:
            base, terms = terms[0][1], terms[1:]
        elif base is None:
            self.emit(0xF04F, rd << 8)  # mov #0
            base = rd
        if not terms and base != rd:
            self.emit(0x4600 | (rd & 8) << 4 | base << 3 | rd & 7)
        for sign, register in terms:
            self.emit((0xFA90 if sign > 0 else 0xFAD0) | base, 0xF000 | rd << 8 | register)  # sadd16, ssub16
            base = rd

    def _outputs(self, i: int, e: Entry) -> None:
        """Store the output of the high half of B[i], if there is such a row, and multiply that of the low one."""
        if i + self.band.half < self.band.rows:
            self._multiply(i, True)
            self._store(_FREE, e.shift, i + self.band.half)
        self._multiply(i, False)

    def _multiply(self, i: int, high: bool) -> None:
        self.multiply(_FREE, _B[i], high, _MUL, False, _ADD)

    def _store(self, rd: int, shift: int, row: int) -> None:
        """Row `row` = rd >> shift, clamped; that of row 0 moves y to the next column."""
        b = self.band
        self.saturate(rd, shift)
        if row == 0 and b.y_col < 256:
            self.emit(0xF800 | _Y, rd << 12 | 0xB00 | b.y_col)
            return
        self.emit(0xF880 | _Y, rd << 12 | row * b.y_row)
        if row == 0:
            self.step(_Y, b.y_col, _FREE)
