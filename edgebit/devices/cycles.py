"""What a basic block costs: instructions on any core, modelled cycles on the Cortex-M0+, M3 and M4.

The cycle tables are those of the technical reference manuals, for code and data in zero wait-state memory:

* Cortex-M0+ (DDI 0484C, table 3-1), with RP2040's single-cycle multiplier: 1 for data processing and MULS,
  2 for a load or store, 1 + N for N registers, 2 for a taken branch, 3 for BL, 2 for BX and BLX, 3 + N for a
  POP that loads pc, 3 for barriers and for MRS and MSR.
* Cortex-M0 (DDI 0432C, table 3-1), with nRF51's single-cycle multiplier: as the M0+, but 3 for a taken branch, BX and BLX,
  4 for BL, 4 + N for a POP that loads pc, 4 for barriers and for MRS and MSR.
* Cortex-M4 (DDI 0439D, tables 3-1 and 7-1): 1 for data processing, multiplication and multiply-accumulate,
  2 for a load (1 right after another load or store whose result it does not use), 1 for a store, 1 + N for N
  registers, 2 for a taken branch, 3 for BL, BX and BLX, 14 for VDIV and VSQRT, 3 for VMLA and its kin. SDIV
  and UDIV take 2 to 12 cycles depending on the operands; 7 is charged.
* Cortex-M3 (DDI 0337I, table 3-1): as the Cortex-M4, but 2 for MLA and MLS, 3 to 5 for UMULL and SMULL (4 is
  charged) and 4 to 7 for UMLAL and SMLAL (5 is charged).

Flash wait states, caches, bus contention and stalls of the floating point pipeline are not modelled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import capstone

from edgebit.core import Core
from edgebit.errors import EdgebitError

INSTRUCTIONS = "instructions"
CYCLES = "modelled cycles"


class BlockCost(NamedTuple):
    """Cost of one pass through a block.

    cycles excludes `taken`, which is added when the block was left by its branch instead of off its end.
    """

    instructions: int
    cycles: int
    taken: int


class InsnCost(NamedTuple):
    """cycles and taken as in BlockCost; memory: names of loaded registers when the next load may overlap."""

    cycles: int
    taken: int
    memory: frozenset[str] | None


_CONDITIONS = ["eq", "ne", "cs", "hs", "cc", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le"]
_BRANCHES = {"b", "cbz", "cbnz", *(f"b{c}" for c in _CONDITIONS)}
_REGISTER = re.compile(r"\b(?:[rsd]\d+|sb|sl|fp|ip|sp|lr|pc)\b")
_M3_PRODUCTS = {"mla": 2, "mls": 2, "umull": 4, "smull": 4, "umlal": 5, "smlal": 5}
_VMLA = ("vmla", "vmls", "vnmla", "vnmls", "vfma", "vfms", "vfnma", "vfnms")


def count_thumb(code: bytes) -> int:
    """Instructions in a stretch of Thumb code: 32-bit ones start with 0b11101, 0b11110 or 0b11111."""
    at = n = 0
    while at < len(code):
        at += 4 if code[at + 1] >> 3 in (0b11101, 0b11110, 0b11111) else 2
        n += 1
    return n


def _words(operands: str) -> int:
    """Words moved by a register list such as "sp!, {r4, r5, lr}"."""
    inside = operands[operands.index("{") + 1 : operands.index("}")]
    names = [n.strip() for n in inside.split(",")]
    return sum(2 if n.startswith("d") else 1 for n in names)


def m0plus(mnemonic: str, operands: str, _memory: frozenset[str] | None) -> InsnCost:
    """Cost of one instruction of the Cortex-M0+."""
    if mnemonic.startswith(("ldm", "stm")) or mnemonic in ("push", "pop"):
        extra = 2 if mnemonic == "pop" and "pc" in operands else 0
        return InsnCost(1 + _words(operands) + extra, 0, None)
    if mnemonic.startswith(("ldr", "str")):
        return InsnCost(2, 0, None)
    if mnemonic in ("bl", "mrs", "msr", "dsb", "dmb", "isb"):
        return InsnCost(3, 0, None)
    if mnemonic in ("bx", "blx", "wfi", "wfe"):
        return InsnCost(2, 0, None)
    if mnemonic in _BRANCHES:
        return InsnCost(1, 1, None)
    return InsnCost(2 if operands.startswith("pc") else 1, 0, None)


def m0(mnemonic: str, operands: str, memory: frozenset[str] | None) -> InsnCost:
    """Cost of one instruction of the Cortex-M0: what changes the flow takes a cycle more than on the M0+, for its longer
    pipeline."""
    cost = m0plus(mnemonic, operands, memory)
    if mnemonic in _BRANCHES:
        return InsnCost(1, 2, None)
    flow = mnemonic in ("bl", "bx", "blx", "mrs", "msr", "dsb", "dmb", "isb") or operands.startswith("pc")
    return InsnCost(cost.cycles + (flow or (mnemonic == "pop" and "pc" in operands)), 0, None)


def m4(mnemonic: str, operands: str, memory: frozenset[str] | None) -> InsnCost:
    """Cost of one instruction of the Cortex-M4; `memory` is what the instruction before loaded."""
    if mnemonic.startswith(("ldm", "stm", "vldm", "vstm")) or mnemonic in ("push", "pop", "vpush", "vpop"):
        return InsnCost(1 + _words(operands) + (2 if "pc" in operands else 0), 0, None)
    if mnemonic.startswith(("ldrd", "strd")):
        return InsnCost(3, 0, None)
    if mnemonic.startswith(("ldr", "vldr")):
        names = _REGISTER.findall(operands)
        overlaps = memory is not None and not memory & set(names[1:])
        return InsnCost((1 if overlaps else 2) + (2 if names[0] == "pc" else 0), 0, frozenset(names[:1]))
    if mnemonic.startswith("vstr"):
        return InsnCost(2, 0, frozenset())
    if mnemonic.startswith("str"):
        return InsnCost(1, 0, frozenset())
    if mnemonic in ("bl", "blx", "bx"):
        return InsnCost(3, 0, None)
    if mnemonic in _BRANCHES:
        return InsnCost(1, 1, None)
    if mnemonic in ("tbb", "tbh"):
        return InsnCost(4, 0, None)
    if mnemonic.startswith(("sdiv", "udiv")):
        return InsnCost(7, 0, None)
    if mnemonic.startswith(("vdiv", "vsqrt")):
        return InsnCost(14, 0, None)
    if mnemonic.startswith(_VMLA):
        return InsnCost(3, 0, None)
    return InsnCost(3 if operands.startswith("pc") else 1, 0, None)


def m3(mnemonic: str, operands: str, memory: frozenset[str] | None) -> InsnCost:
    """Cost of one instruction of the Cortex-M3; `memory` is what the instruction before loaded."""
    if mnemonic in _M3_PRODUCTS:
        return InsnCost(_M3_PRODUCTS[mnemonic], 0, None)
    return m4(mnemonic, operands, memory)


_MODELS: dict[str, Callable[[str, str, frozenset[str] | None], InsnCost]] = {
    "cortex-m0": m0,
    "cortex-m0plus": m0plus,
    "cortex-m3": m3,
    "cortex-m4f": m4,
}


class CostModel:
    """Costs of the blocks of one program on one core; every block is decoded once."""

    def __init__(self, core: Core) -> None:
        self.metric = CYCLES if core.name in _MODELS else INSTRUCTIONS
        self._insn = _MODELS.get(core.name)
        self._thumb = not core.is_64bit
        self._decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
        self._known: dict[tuple[int, bytes], BlockCost] = {}

    def block(self, address: int, code: bytes) -> BlockCost:
        """Cost of the block of `code` at `address`."""
        known = self._known.get((address, code))
        if known is None:
            known = self._known[address, code] = self._decode(address, code)
        return known

    def _decode(self, address: int, code: bytes) -> BlockCost:
        if self._insn is None:
            n = count_thumb(code) if self._thumb else len(code) // 4
            return BlockCost(n, n, 0)
        n = cycles = taken = 0
        memory: frozenset[str] | None = None
        at = address
        for at, size, mnemonic, operands in self._decoder.disasm_lite(code, address):
            cost = self._insn(mnemonic.split(".")[0], operands, memory)
            n, cycles, taken, memory = n + 1, cycles + cost.cycles, cost.taken, cost.memory
            at += size
        if at != address + len(code):
            raise EdgebitError(
                f"no cost is known for the instruction at {at:#x}: {code[at - address :].hex()}"
            )
        return BlockCost(n, cycles, taken)
