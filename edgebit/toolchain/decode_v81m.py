"""What Armv8.1-M adds to Thumb and the disassembler does not know: Helium, loops, and a few others.

All of it is 32-bit encodings. Each is told apart by its bits (Armv8.1-M Architecture Reference Manual DDI 0553,
C2.4 and C2.4.6 on); of each the decoder says what the checks of an image ask: what kind of instruction it is,
where it can go next, and which core registers it may write. It does not name the operation, and takes the
encodings of Helium's that are not allocated for instructions too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SP, LR = 13, 14


@dataclass(frozen=True)
class Wide:
    """One such instruction, with the attributes of a disassembler's instruction that the checks use.

    mnemonic: "helium" (integers, moves, loads and stores), "helium.float", "loop" (dls, wls, le, with tail
    predication or without), "branch-future" or "v8.1-m" (clrm, csel and its kin, wide shifts). target: where
    it may go instead of on; after: whether it may go on. writes: core registers 0..14 it may change.
    """

    address: int
    bytes: bytes
    mnemonic: str
    writes: frozenset[int] = frozenset()
    target: int | None = None
    after: bool = True

    @property
    def size(self) -> int:
        return 4

    @property
    def op_str(self) -> str:
        return f"{self.halves[0]:04x} {self.halves[1]:04x}"

    @property
    def halves(self) -> tuple[int, int]:
        return int.from_bytes(self.bytes[:2], "little"), int.from_bytes(self.bytes[2:4], "little")


# Bits 31..0 of the instructions on floating-point lanes, which flush denormals to zero; "." is either.
_FLOAT = (
    "111.11100.11...0....11110100....",  # vadd, vsub with a core register
    "111.11100.11...1...11111...0....",  # vcmp, vpt
    "111.11100.11...1...01111.0.0...0",
    "111.11100.11...1...01111.100....",
    "111.11100.11...0....1110..00....",  # vcmul
    "111.11100.111111....1110..0....1",  # vcvtb, vcvtt, vmaxnma, vminnma
    "111.11100.11...1....11100100....",  # vfma, vfmas with a core register
    "111.11100.11...1...011100110....",  # vmul with a core register
    "111.1110111011.0....1111.000....",  # vmaxnmv, vmaxnmav, vminnmv, vminnmav
    "111.11110...........110.........",  # vadd, vsub, vabd, vmul, vfma, vfms
    "111111110...........1111........",  # vmaxnm, vminnm
    "111.11111.1.........11...1.1....",  # vcvt with fixed point
    "111111111.11..1............0....",  # vcvt with integers, vrint
    "111111111.11..01.....1.....0....",  # vabs, vneg
    "1111110.............1000........",  # vcadd, vcmla
)


def _masks(patterns: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (int(p.replace("0", "1").replace(".", "0"), 2), int(p.replace(".", "0"), 2)) for p in patterns
    )


_FLOAT_MASKS = _masks(_FLOAT)


def is_wide(first: int) -> bool:
    """Whether a halfword begins a 32-bit instruction."""
    return first >> 11 in (0b11101, 0b11110, 0b11111)


def find(code: bytes, start: int) -> Iterator[Wide]:
    """The instructions of this module in a range of Thumb code that starts at `start`, in order."""
    at = 0
    while at + 2 <= len(code):
        if not is_wide(int.from_bytes(code[at : at + 2], "little")) or at + 4 > len(code):
            at += 2
            continue
        found = decode(code[at : at + 4], start + at)
        if found is not None:
            yield found
        at += 4


def decode(raw: bytes, address: int) -> Wide | None:
    """The instruction in four bytes; None when it is one that Thumb had before Armv8.1-M, or none at all."""
    h1, h2 = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little")
    if h1 >> 11 == 0b11110:
        return _loop(raw, address, h1, h2)
    if h1 & 0xFC00 in (0xEC00, 0xFC00):
        return _helium(raw, address, h1, h2)
    if h1 == 0xE89F:  # clrm: a load of no base
        return Wide(address, raw, "v8.1-m", frozenset(r for r in range(15) if h2 >> r & 1))
    if h1 & 0xFFF0 != 0xEA50:
        return None
    if h2 & 0xF == 0xD or h2 & 0x800F == 0xF:  # asrl, lsll, lsrl and the saturating shifts
        return Wide(address, raw, "v8.1-m", frozenset({h1 & 0xF, h2 >> 8 & 0xF} - {15}))
    if h2 >> 14 == 0b10:  # csel, csinc, csinv, csneg
        return Wide(address, raw, "v8.1-m", frozenset({h2 >> 8 & 0xF}))
    return None


def _loop(raw: bytes, address: int, h1: int, h2: int) -> Wide | None:
    if h1 & 0xFFC0 == 0xF000 and h2 == 0xE801:  # vctp
        return Wide(address, raw, "helium")
    if h1 & 0xF800 != 0xF000 or h2 & 0xD001 != 0xC001:
        return None
    if h1 & 0xFF80 != 0xF000:
        return Wide(address, raw, "branch-future")
    if h2 & 0xF000 == 0xE000:  # dls, dlstp, lctp
        return Wide(address, raw, "loop", frozenset({LR}))
    distance = (h2 & 0x7FE) << 1 | (h2 >> 11 & 1) << 1
    if h1 & 0xF == 0xF:  # le, letp; without a counter it always goes back
        return Wide(address, raw, "loop", frozenset({LR}), address + 4 - distance, h1 & 0x20 == 0)
    return Wide(address, raw, "loop", frozenset({LR}), address + 4 + distance)  # wls, wlstp


def _helium(raw: bytes, address: int, h1: int, h2: int) -> Wide | None:
    unit = h2 >> 8 & 0xF
    if h1 & 0xEF00 != 0xEF00 and unit not in (8, 14, 15):  # of the coprocessors, Helium has these numbers
        lane = h1 & 0xFF00 == 0xEE00 and h2 & 0x0F1F == 0x0B10  # a lane from or to a core register
        predicate = h1 & 0xFFEE == 0xEEEC and h2 & 0x0FFF == 0x0A10  # vmsr, vmrs of vpr and p0
        if not lane and not predicate:
            return None
        return Wide(address, raw, "helium", frozenset({h2 >> 12} - {15} if h1 & 0x10 else ()))
    word = h1 << 16 | h2
    no_compare = word & 0xFFBF1FFF == 0xFE310F4D  # vpst, vpnot
    is_float = not no_compare and any(word & m == v for m, v in _FLOAT_MASKS)
    kind = "helium.float" if is_float else "helium"
    return Wide(address, raw, kind, frozenset(_results(h1, h2) - {15}))


def _results(h1: int, h2: int) -> set[int]:
    """Core registers that a Helium instruction may write."""
    if h1 & 0x0F00 in (0x0C00, 0x0D00) and h2 >> 8 & 0xF in (14, 15):
        if h1 & 0xFFE0 == 0xEC00:  # vmov between two lanes and two core registers
            return set() if h1 & 0x10 else {h1 & 0xF, h2 & 0xF}
        vector_base = h1 & 0xFF00 == 0xFD00 and h2 & 0x1000
        if not h1 & 0x20 or vector_base:
            return set()
        system = h2 & 0x1F80 == 0x0F80
        return {h1 & 0xF} if h2 & 0x1000 or system else {h1 & 7}
    if h1 & 0x0F00 != 0x0E00:
        return set()
    if h1 & 0x80 and h2 & 0x0E40 == 0x0E00:  # sums, products, maxima across a vector
        high = (h1 >> 4 & 7) << 1 | 1  # of a 64-bit sum; 13 and 15 say that there is none, as does vabav
        return {h2 >> 12, h2 >> 12 & 0xE} | ({high} if high < 13 and h2 & 0xF01 != 0xF01 else set())
    if h1 & 0xFF81 == 0xEE01 and h1 & 0x30 != 0x30 and h2 & 0x0F70 == 0x0F60:  # vidup, vddup, viwdup, vdwdup
        return {h1 & 0xE}
    if h1 & 0xFFA0 == 0xEEA0 and h2 & 0x1FF0 == 0x0FC0:  # vshlc
        return {h2 & 0xF}
    return set()
