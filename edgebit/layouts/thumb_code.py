"""Thumb instructions under construction, and the registers that hold the sums of a tile of rows (see thumb.py).

Encodings: Armv6-M Architecture Reference Manual DDI 0419, A6.7; Armv7-M DDI 0403, A7.7.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgebit.errors import EdgebitError

ROWS = (4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 3)
PAIRS = 4


class Code:
    """Halfwords under construction."""

    def __init__(self, wide: bool) -> None:
        self.wide = wide
        self.words: list[int] = []

    def emit(self, *halfwords: int) -> None:
        self.words += halfwords

    def enter(self, frame: int) -> None:
        """The start of a function: r4-r11 and lr are saved, and there are `frame` bytes on the stack."""
        if self.wide:
            self.emit(0xE92D, 0x4FF0)  # push {r4-r11, lr}
        else:
            self.emit(0xB5F0, *(0x4640 | i << 3 | 4 + i for i in range(4)), 0xB4F0)  # r8-r11 by way of r4-r7
        self.emit(0xB080 | frame >> 2)  # sub sp

    def leave(self, frame: int) -> None:
        """The end of a function that began with `enter`."""
        self.emit(0xB000 | frame >> 2)
        if self.wide:
            self.emit(0xE8BD, 0x8FF0)
        else:
            self.emit(0xBCF0, *(0x4680 | 4 + i << 3 | i for i in range(4)), 0xBDF0)

    def add(self, rd: int, rm: int) -> None:
        """rd += rm"""
        if rd < 8 and rm < 8:
            self.emit(0x1800 | rm << 6 | rd << 3 | rd)
        else:
            self.emit(0x4400 | (rd & 8) << 4 | rm << 3 | rd & 7)

    def sub(self, rd: int, rm: int) -> None:
        """rd -= rm"""
        if rd < 8:
            self.emit(0x1A00 | rm << 6 | rd << 3 | rd)
        else:
            self.emit(0xEBA0 | rd, rd << 8 | rm)

    def sub_low(self, rd: int, rn: int, rm: int) -> None:
        """rd = rn - rm, all of them low registers."""
        self.emit(0x1A00 | rm << 6 | rn << 3 | rd)

    def mov(self, rd: int, rm: int) -> None:
        self.emit(0x4600 | (rd & 8) << 4 | rm << 3 | rd & 7)

    def neg(self, rd: int, rm: int) -> None:
        """rd = -rm"""
        if rd < 8:
            self.emit(0x4240 | rm << 3 | rd)
        else:
            self.emit(0xF1C0 | rm, rd << 8)

    def zero(self, rd: int, scratch: int) -> None:
        """rd = 0; `scratch` is a low register that may be lost."""
        self.emit(0x2000 | (rd if rd < 8 else scratch) << 8)
        if rd >= 8:
            self.mov(rd, scratch)

    def bias(self, rd: int, units: int, rm: int | None = None, negative: bool = False) -> None:
        """rd = `units` (1..127) times 256 in both halves, and rm added to or taken from it; Armv7-M."""
        if rm is None:
            self.emit(0xF04F, 0x2000 | rd << 8 | units)
        else:
            self.emit((0xF1C0 if negative else 0xF100) | rm, 0x2000 | rd << 8 | units)

    def load(self, registers: Sequence[int]) -> None:
        """The next inputs: r0 moves past them."""
        self.emit(0xC800 | sum(1 << r for r in registers))

    def load_at(self, rd: int, offset: int) -> None:
        """rd (low) = the word `offset` bytes from r0, which stays; Armv7-M from 128 bytes on."""
        if offset < 128:
            self.emit(0x6800 | offset << 4 | rd)
        elif offset < 4096:
            self.emit(0xF8D0, rd << 12 | offset)
        else:
            raise EdgebitError(f"code: no load {offset} bytes away")

    def sub_twice(self, rd: int, rm: int) -> None:
        """rd -= 2 rm; Armv7-M."""
        self.emit(0xEBA0 | rd, rd << 8 | 1 << 6 | rm)

    def advance(self, rd: int, scratch: int, value: int) -> None:
        """rd += value (>= 0); `scratch` may be lost."""
        if value >= 1 << 24:
            raise EdgebitError(f"code: no step of {value} bytes")
        if 0 < value < 256:
            self.emit(0x3000 | rd << 8 | value)
        elif value:
            digits = value.to_bytes(3, "big").lstrip(b"\0")
            self.emit(0x2000 | scratch << 8 | digits[0])
            for d in digits[1:]:
                self.emit(0x0200 | scratch << 3 | scratch)  # lsls #8
                self.emit(0x3000 | scratch << 8 | d)
            self.add(rd, scratch)

    def local(self, store: bool, register: int, offset: int) -> None:
        """A word of the stack frame."""
        self.emit((0x9000 if store else 0x9800) | register << 8 | offset >> 2)

    def back_to(self, start: int) -> None:
        """A jump backwards to the halfword `start`; lr may be lost."""
        distance = 2 * (start - len(self.words)) - 4
        if distance >= -2048:
            self.emit(0xE000 | distance >> 1 & 0x7FF)
            return
        if distance < -(1 << 24):
            raise EdgebitError("code: the jump is too far")
        offset = distance >> 1
        j1, j2 = (~(offset >> 22) ^ offset >> 23) & 1, (~(offset >> 21) ^ offset >> 23) & 1
        link = 0x9000 if self.wide else 0xD000  # b.w, or bl, which every core has
        high = 0xF000 | (offset >> 23 & 1) << 10 | offset >> 11 & 0x3FF
        self.emit(high, link | j1 << 13 | j2 << 11 | offset & 0x7FF)
