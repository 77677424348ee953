"""Code of a static C library that only runs where a processor has the instructions it needs.

glibc holds some functions several times and chooses at start-up: their symbols (STT_GNU_IFUNC) name a resolver, which
looks at the processor's features and answers with the address of one (ELF gABI, IRELATIVE relocations). libgcc holds
each atomic operation with and without Armv8.1's instructions and looks before each one.

Such code is not held against a core's instructions, but nothing is believed because of its name alone: a variant must
have no way to it but through resolvers, and an atomic helper must look first.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import capstone

from edgebit.errors import ToolchainError
from edgebit.toolchain.elf import Function, Image

_VARIANT = re.compile(r"__(memcpy|memmove|memset)_(a64fx|sve|mops|sve_zva64)")
"""Functions of glibc for AArch64 that need SVE, SVE2 or FEAT_MOPS."""
_ATOMIC = re.compile(r"__aarch64_(cas|swp|ldadd|ldclr|ldeor|ldset)(1|2|4|8|16)_(relax|acq|rel|acq_rel|sync)")
"""Helpers of libgcc (outline atomics); they read _LOOK before an instruction of group "lse"."""
_LOOK = "__aarch64_have_lse_atomics"
_TARGET = re.compile(r"#(0x[0-9a-f]+)$")
_JUMPS = ("b", "bl", "adr", "cbz", "cbnz", "tbz", "tbnz")
_READ_ONLY = ("st", "cm", "ccm", "tst", "cb", "tb", "b", "ret", "prfm")
"""Beginnings of instructions whose first register is not written."""
_PAGE = re.compile(r"(x\d+), #(0x[0-9a-f]+)$")
_ADD = re.compile(r"(x\d+), (x\d+), #(0x[0-9a-f]+|\d+)$")
_LOAD = re.compile(r"[xw]\d+, \[(x\d+)(?:, #(0x[0-9a-f]+|\d+))?\]$")


def variants(image: Image) -> list[Function]:
    """glibc's functions of that kind in an image; none where it has no resolvers."""
    if image.machine != "aarch64" or not any(s.kind == "resolver" for s in image.symbols):
        return []
    return [f for f in image.functions if any(_VARIANT.fullmatch(n) for n in f.names)]


def looks_first(image: Image, f: Function) -> bool:
    """Whether a function is an atomic helper of libgcc: it reads _LOOK and goes elsewhere when that is 0, before all else
    (but for a landing pad)."""
    asked = next((s.address for s in image.symbols if s.name == _LOOK), None)
    if asked is None or not _ATOMIC.fullmatch(f.name):
        return False
    cs = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    code = image.read(f.start, min(f.end - f.start, 20))
    first = [
        (i.mnemonic, i.op_str) for i in cs.disasm(code, f.start) if i.mnemonic not in ("bti", "hint", "nop")
    ][:3]
    if [m for m, _ in first] != ["adrp", "ldrb", "cbz"]:
        return False
    page, load = _PAGE.match(first[0][1]), _LOAD.match(first[1][1])
    return (
        page is not None
        and load is not None
        and load[1] == page[1]
        and int(page[2], 16) + int(load[2] or "0", 0) == asked
        and first[2][1].startswith(first[1][1].partition(",")[0] + ",")
    )


class Ways:
    """Watches the code outside of variants go by, in order, and says where it reaches one other than from a resolver."""

    def __init__(self, image: Image, found: list[Function]) -> None:
        self.image, self.found = image, found
        self._resolvers = [(s.address, s.address + s.size) for s in image.symbols if s.kind == "resolver"]
        self._cells = set(_cells(image, {f.start for f in found}))
        self._starts = {f.start for f in image.functions} | {lo for lo, _ in self._resolvers}
        self._pages: dict[str, int] = {}

    def inside(self, address: int) -> bool:
        """Whether an address lies in a variant."""
        return any(f.start <= address < f.end for f in self.found)

    def see(self, insn: Any) -> None:
        """One instruction; ToolchainError when it reaches a variant and is not in a resolver."""
        reached = next((a for a in self._addresses(insn) if self.inside(a) or a in self._cells), None)
        if reached is None or any(lo <= insn.address < hi for lo, hi in self._resolvers):
            return
        f = self.image.function_at(reached)
        name = f.name if f is not None else f"the pointer at 0x{reached:08x} to such a function"
        raise ToolchainError(
            f"{self.image.path.name}: the code at 0x{insn.address:08x} reaches {name}, which is only for processors with "
            "more instructions, without asking the processor; build with the default toolchain (zig)"
        )

    def _addresses(self, insn: Any) -> Iterator[int]:
        """What an instruction jumps to, or forms the address of, or loads from; pages that registers hold are known up to
        the end of a function."""
        m, ops = insn.mnemonic, insn.op_str
        if insn.address in self._starts:
            self._pages.clear()
        if m == "add" and (add := _ADD.match(ops)) and add[2] in self._pages:
            yield self._pages[add[2]] + int(add[3], 0)
        elif m == "ldr" and (load := _LOAD.match(ops)) and load[1] in self._pages:
            yield self._pages[load[1]] + int(load[2] or "0", 0)
        elif (m in _JUMPS or m.startswith("b.")) and (target := _TARGET.search(ops)):
            yield int(target[1], 16)
        if not m.startswith(_READ_ONLY):
            for register in re.findall(r"[xw](\d+)", ops)[: 2 if m.startswith("ldp") else 1]:
                self._pages.pop(f"x{register}", None)
        if m == "adrp" and (page := _PAGE.match(ops)):
            self._pages[page[1]] = int(page[2], 16)


def _cells(image: Image, starts: Iterable[int]) -> Iterator[int]:
    """Addresses of stored words outside of code that hold one of some addresses."""
    wanted = set(starts)
    for s in image.sections:
        if s.stored and not s.executable:
            data = image.read(s.address, s.size)
            skip = -s.address % 8
            words = struct.iter_unpack("<Q", data[skip : skip + (len(data) - skip) // 8 * 8])
            yield from (s.address + skip + 8 * i for i, (word,) in enumerate(words) if word in wanted)
