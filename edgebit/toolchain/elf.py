"""Reads linked ELF images: sizes, symbols, code ranges, and the bytes that go into flash.

Only what the compiler and linker wrote is read here; nothing comes from a model file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Literal, TypeAlias

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from edgebit.errors import ToolchainError

_WRITE, _ALLOC, _EXEC = 1, 2, 4  # section flags of the ELF specification
Use: TypeAlias = Literal["function", "object", "resolver", "other"]
_USES: dict[str, Use] = {
    "STT_FUNC": "function",
    "STT_OBJECT": "object",
    "STT_LOOS": "resolver",
    "STT_GNU_IFUNC": "resolver",
}
_MAPPING = {"$t": "thumb", "$a": "arm", "$x": "a64", "$d": "data"}


@dataclass(frozen=True)
class Symbol:
    """A function or object. address has no Thumb bit; size is 0 where the source gave none. resolver: a function that the
    start-up calls to learn the address of the one that the name stands for (STT_GNU_IFUNC)."""

    name: str
    address: int
    size: int
    kind: Use


@dataclass(frozen=True)
class Section:
    """A section that exists in memory. `stored` is False for bss."""

    name: str
    address: int
    size: int
    executable: bool
    writable: bool
    stored: bool


@dataclass(frozen=True)
class Segment:
    """Bytes to load: for `address`, kept at `load` in the image; `size` >= len(data) in memory."""

    address: int
    load: int
    data: bytes
    size: int


@dataclass(frozen=True)
class Sizes:
    """Bytes of an image by use. Flash holds code + const + data; RAM holds data + bss."""

    code: int
    const: int
    data: int
    bss: int

    @property
    def flash(self) -> int:
        return self.code + self.const + self.data

    @property
    def ram(self) -> int:
        return self.data + self.bss


@dataclass(frozen=True)
class Function:
    """A run of code under one name; `end` is exclusive. `names` holds every alias, the first one shown."""

    names: tuple[str, ...]
    start: int
    end: int

    @property
    def name(self) -> str:
        return self.names[0]


@dataclass(frozen=True)
class CodeRange:
    """Bytes [start, end) of an executable section, of one kind: "thumb", "arm", "a64" or "data"."""

    start: int
    end: int
    kind: str


class Image:
    """A linked ELF image, held in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            raw = path.read_bytes()
            elf = ELFFile(BytesIO(raw))
            self._read(elf)
        except OSError as e:
            raise ToolchainError(f"cannot read {path}: {e.strerror}; build it first") from e
        except (ELFError, KeyError, ValueError) as e:
            raise ToolchainError(f"{path} is not an ELF image that can be read ({e})") from e

    def _read(self, elf: ELFFile) -> None:
        machine = elf["e_machine"]
        self.machine: str = {"EM_ARM": "arm", "EM_AARCH64": "aarch64", "EM_X86_64": "x86_64"}.get(
            machine, str(machine)
        )
        self.entry: int = int(elf["e_entry"]) & (~1 if self.machine == "arm" else -1)
        self.sections: list[Section] = []
        self._contents: list[tuple[int, bytes]] = []
        by_index: dict[int, Section] = {}
        for i, s in enumerate(elf.iter_sections()):
            flags, size = int(s["sh_flags"]), int(s["sh_size"])
            if not flags & _ALLOC or size == 0:
                continue
            stored = s["sh_type"] != "SHT_NOBITS"
            section = Section(
                s.name, int(s["sh_addr"]), size, bool(flags & _EXEC), bool(flags & _WRITE), stored
            )
            self.sections.append(section)
            by_index[i] = section
            if stored:
                self._contents.append((section.address, s.data()))
        self._contents.sort()
        self.segments = [
            Segment(int(p["p_vaddr"]), int(p["p_paddr"]), p.data(), int(p["p_memsz"]))
            for p in elf.iter_segments()
            if p["p_type"] == "PT_LOAD"
        ]
        self.symbols: list[Symbol] = []
        self._marks: dict[str, list[tuple[int, str]]] = {}
        for table in elf.iter_sections():
            if isinstance(table, SymbolTableSection) and table["sh_type"] == "SHT_SYMTAB":
                self._read_symbols(table, by_index)
        self.symbols.sort(key=lambda s: (s.address, s.name))

    def _read_symbols(self, table: SymbolTableSection, by_index: dict[int, Section]) -> None:
        for s in table.iter_symbols():
            value, index = int(s["st_value"]), s["st_shndx"]
            section = by_index.get(index) if isinstance(index, int) else None
            stem = s.name.split(".")[0]
            if stem in _MAPPING and s["st_info"]["type"] in ("STT_NOTYPE", "STT_LOOS"):
                if section is not None:
                    self._marks.setdefault(section.name, []).append((value, _MAPPING[stem]))
                continue
            if not s.name or index == "SHN_UNDEF":
                continue
            kind = s["st_info"]["type"]
            use: Use = _USES.get(kind, "other")
            address = value & ~1 if use == "function" and self.machine == "arm" else value
            if use == "other" and kind != "STT_NOTYPE":
                continue
            self.symbols.append(Symbol(s.name, address, int(s["st_size"]), use))

    @cached_property
    def _by_name(self) -> dict[str, Symbol]:
        return {s.name: s for s in reversed(self.symbols)}

    def symbol(self, name: str) -> Symbol:
        """The symbol of that name; ToolchainError when the image has none."""
        try:
            return self._by_name[name]
        except KeyError:
            raise ToolchainError(f"{self.path.name} has no symbol {name!r}") from None

    @cached_property
    def functions(self) -> list[Function]:
        """Functions in address order. One without a size reaches to the next one or its section's end."""
        starts: dict[int, list[Symbol]] = {}
        for s in self.symbols:
            if s.kind == "function" and self.section_at(s.address) is not None:
                starts.setdefault(s.address, []).append(s)
        order = sorted(starts)
        found = []
        for k, start in enumerate(order):
            group = sorted(starts[start], key=lambda s: (-s.size, s.name))
            end = start + group[0].size
            if end == start:
                section = self.section_at(start)
                assert section is not None
                end = section.address + section.size
                if k + 1 < len(order):
                    end = min(end, order[k + 1])
            found.append(Function(tuple(s.name for s in group), start, end))
        return found

    @cached_property
    def _function_starts(self) -> list[int]:
        return [f.start for f in self.functions]

    def function_at(self, address: int) -> Function | None:
        """The function that holds an address: the one that starts last at or before it."""
        k = bisect_right(self._function_starts, address) - 1
        while k >= 0:
            f = self.functions[k]
            if f.start <= address < f.end:
                return f
            k -= 1
            if k >= 0 and address - self.functions[k].start > 1 << 20:
                break
        return None

    def section_at(self, address: int) -> Section | None:
        """The section that holds an address."""
        return next((s for s in self.sections if s.address <= address < s.address + s.size), None)

    def read(self, address: int, size: int) -> bytes:
        """Stored bytes at a run-time address; ToolchainError when they are not in the image."""
        for start, data in self._contents:
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        raise ToolchainError(f"{self.path.name} stores nothing at 0x{address:08x}")

    @cached_property
    def code_ranges(self) -> list[CodeRange]:
        """Executable sections cut at the compiler's mapping symbols ($t $a $x $d), in address order."""
        plain = {"arm": "thumb", "aarch64": "a64"}.get(self.machine, "data")
        found: list[CodeRange] = []
        for s in self.sections:
            if not s.executable or not s.stored:
                continue
            end = s.address + s.size
            marks = dict(sorted(self._marks.get(s.name, [])))
            marks.setdefault(s.address, plain)
            cuts = sorted(marks)
            for k, at in enumerate(cuts):
                stop = cuts[k + 1] if k + 1 < len(cuts) else end
                found.append(CodeRange(at, stop, marks[at]))
        return sorted(found, key=lambda r: r.start)

    def sizes(self) -> Sizes:
        """Bytes by use. Named constants placed in an executable section count as const, not as code."""
        code = const = data = bss = 0
        for s in self.sections:
            if not s.stored:
                bss += s.size
            elif s.writable:
                data += s.size
            elif s.executable:
                inside = _covered(
                    [
                        (o.address, o.address + o.size)
                        for o in self.symbols
                        if o.kind == "object" and s.address <= o.address < s.address + s.size
                    ]
                )
                code += s.size - inside
                const += inside
            else:
                const += s.size
        return Sizes(code, const, data, bss)

    def flat(self) -> tuple[int, bytes]:
        """(lowest load address, all stored bytes from there, gaps as 0xFF): what is written to flash."""
        parts = [(s.load, s.data) for s in self.segments if s.data]
        if not parts:
            raise ToolchainError(f"{self.path.name} has nothing to load")
        base = min(load for load, _ in parts)
        out = bytearray(b"\xff" * (max(load + len(d) for load, d in parts) - base))
        for load, d in parts:
            out[load - base : load - base + len(d)] = d
        return base, bytes(out)


def _covered(spans: Sequence[tuple[int, int]]) -> int:
    """Bytes that a set of spans covers, overlaps counted once."""
    total = reach = 0
    for lo, hi in sorted(spans):
        total += max(0, hi - max(lo, reach))
        reach = max(reach, hi)
    return total


def read_sizes(path: Path) -> Sizes:
    """Bytes of a linked image by use."""
    return Image(path).sizes()
