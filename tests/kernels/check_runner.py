"""Builds kernels and the kernel tester for a core, and runs them here: natively or in Unicorn.

elf = build("cortex-m4f", sources, out)          link an image (zig; no C library)
m = Machine("cortex-m4f", elf)                   load it into an emulated core
m.call("eb_tmatvec_s8__armv7em", w, x, acc, ...) call a function in it
report = run_tester("cortex-m4f", out)           build and run runtime_c/check
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import unicorn.unicorn
from capstone import CS_ARCH_ARM, CS_ARCH_ARM64, CS_MODE_ARM, CS_MODE_MCLASS, CS_MODE_THUMB, Cs
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from unicorn import (
    UC_ARCH_ARM,
    UC_ARCH_ARM64,
    UC_HOOK_BLOCK,
    UC_HOOK_INTR,
    UC_MODE_ARM,
    UC_MODE_THUMB,
    arm64_const,
    arm_const,
)

from edgebit.core import list_cores, load_core
from edgebit.devices.unicorn_a32 import enable_vectors
from edgebit.resources import cache_dir, data_dir

RUNTIME = data_dir("runtime_c")
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-ffp-contract=off")
TESTED = ("tmatvec_s8", "tmatmat_s8", "tmatvec_f32", "tgroups_s8", "tgroups_f32")
_KERNEL_LINE = re.compile(r"^EB_KERNEL\((\w+), (\w+), (\w+)\);", re.M)


@dataclass(frozen=True)
class Kernel:
    """One kernel file, as its EB_KERNEL line describes it."""

    path: Path
    family: str
    variant: str
    layout: str

    @property
    def symbol(self) -> str:
        return f"eb_{self.family}__{self.variant}"


def kernels(core: str, family: str, runtime: Path = RUNTIME) -> list[Kernel]:
    """The variants of a family that a core can run, best first."""
    isa = load_core(core).isa
    found: list[Kernel] = []
    for path in sorted((runtime / "kernels" / family).glob("*.c")):
        match = _KERNEL_LINE.search(path.read_text())
        assert match is not None, f"{path} has no EB_KERNEL line"
        kernel = Kernel(path, *match.groups())
        if isa_of(kernel.variant) in isa:
            found.append(kernel)
    return sorted(found, key=lambda k: (isa.index(isa_of(k.variant)), k.variant))


def isa_of(variant: str) -> str:
    """The instruction set a variant is written for: its name, or all but the flavour."""
    known = {i for core in list_cores() for i in load_core(core).known_isa}
    return max((i for i in known if variant == i or variant.startswith(f"{i}_")), key=len, default="")


def planted(folder: Path, file: str, text: str, bug: str) -> Path:
    """A copy of the runtime in `folder` where `bug` stands for `text` in the one file of that name, or path's end."""
    runtime = folder / "runtime_c"
    for part in ("include", "kernels", "check"):
        shutil.copytree(RUNTIME / part, runtime / part)
    (path,) = runtime.rglob(file)
    source = path.read_text()
    assert text in source, f"{file} has no {text!r}"
    path.write_text(source.replace(text, bug))
    return runtime


def build(
    core: str,
    sources: Iterable[Path],
    elf: Path,
    entry: str = "Reset",
    flags: Sequence[str] = (),
    runtime: Path = RUNTIME,
) -> Path:
    """Compile and link with zig, without a C library (natively: with the machine's)."""
    spec = load_core(core)
    command = [sys.executable, "-m", "ziglang", "cc", "-O2", *WARNINGS, "-fno-sanitize=undefined"]
    command += ["-Wl,--no-gc-sections"]  # kernels are found through their section only
    if spec.family != "host":
        command += ["-target", spec.zig["target"], f"-mcpu={spec.zig['mcpu']}", *spec.zig["flags"]]
        command += [
            "-ffreestanding",
            *(["-nostdlib"] if spec.is_64bit or spec.is_cortex_m else []),
            "-static",
            "-fno-unroll-loops",
            f"-Wl,-e,{entry}",
        ]
        command += ["-Wl,--build-id=none"]
    if spec.is_cortex_m:
        command += ["-T", str(runtime / "check" / "cortex_m.ld")]
    for folder in ("include", "kernels", "check"):
        command += ["-I", str(runtime / folder)]
    command += flags
    command += ["-o", str(elf), *map(str, sources)]
    env = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache_dir() / "zig")}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return elf


def _open(a64: bool) -> Any:
    """An emulator; Unicorn's bindings are not typed."""
    engine: Any = unicorn.unicorn.Uc
    return engine(UC_ARCH_ARM64, UC_MODE_ARM) if a64 else engine(UC_ARCH_ARM, UC_MODE_THUMB)


class Machine:
    """An emulated core with an image in memory. Memory outside the image and the heap is not mapped."""

    HEAP = 0x4000_0000
    HEAP_BYTES = 64 << 20
    RETURN = 0x3FFF_0000

    def __init__(self, core: str, elf: Path) -> None:
        self.spec = load_core(core)
        self.a64 = self.spec.is_64bit
        self.linux = not self.spec.is_cortex_m
        consts = arm64_const if self.a64 else arm_const
        prefix = "UC_CPU_ARM64_" if self.a64 else "UC_CPU_ARM_"
        self.uc = _open(self.a64)
        self.uc.ctl_set_cpu_model(getattr(consts, f"{prefix}{self.spec.unicorn_model}"))
        self.uc.mem_map(0, 32 << 20)
        self.uc.mem_map(0x2000_0000, 16 << 20)  # RAM of the Cortex-M image; the stack of both
        self.uc.mem_map(self.HEAP, self.HEAP_BYTES)
        self.uc.mem_map(self.RETURN, 0x1000)
        self.stack = 0x20F0_0000
        self.top = self.HEAP
        self.output = bytearray()
        self.exit: int | None = None
        self.instructions: int | None = None  # counted once count_instructions() was called
        self.symbols: dict[str, int] = {}
        with elf.open("rb") as f:
            image = ELFFile(f)
            for segment in image.iter_segments():
                if segment["p_type"] == "PT_LOAD":
                    self.uc.mem_write(segment["p_vaddr"], segment.data())
            for section in image.iter_sections():
                if isinstance(section, SymbolTableSection):
                    self.symbols.update({s.name: s["st_value"] for s in section.iter_symbols()})
            self.entry = int(image["e_entry"])
        if self.a64:
            self.uc.reg_write(arm64_const.UC_ARM64_REG_CPACR_EL1, 3 << 20)
        elif self.linux:
            enable_vectors(self.uc)
        else:
            self.uc.mem_map(0xE000_E000, 0x1000)  # the system control space, as plain memory
        self.uc.hook_add(UC_HOOK_INTR, self._system_call)

    def reset(self) -> None:
        """Forget everything placed."""
        self.top = self.HEAP

    def place(self, data: bytes, before: bytes = b"", after: bytes = b"") -> int:
        """Write data at a multiple of 16 with guards around it; returns its address."""
        at = -(-(self.top + len(before)) // 16) * 16
        self.uc.mem_write(at - len(before), before + data + after)
        self.top = at + len(data) + len(after)
        return at

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.uc.mem_read(address, size))

    def call(self, function: str | int, *args: int) -> int:
        """Call a C function (name or address) with integer and pointer arguments; returns its register result.

        It must come back and keep the registers that the calling convention saves.
        """
        symbol = str(function)
        address = self.symbols[function] if isinstance(function, str) else function
        if self.a64:
            saved = list(range(arm64_const.UC_ARM64_REG_X19, arm64_const.UC_ARM64_REG_X28 + 1))
            registers = [arm64_const.UC_ARM64_REG_X0 + i for i in range(8)]
            sp, lr, bits = arm64_const.UC_ARM64_REG_SP, arm64_const.UC_ARM64_REG_LR, 64
            target, back, in_registers = address, self.RETURN, 8
        else:
            saved = list(range(arm_const.UC_ARM_REG_R4, arm_const.UC_ARM_REG_R11 + 1))
            registers = [arm_const.UC_ARM_REG_R0 + i for i in range(4)]
            sp, lr, bits = arm_const.UC_ARM_REG_SP, arm_const.UC_ARM_REG_LR, 32
            target, back, in_registers = address | 1, self.RETURN | 1, 4
        for i, register in enumerate(saved):
            self.uc.reg_write(register, 0x5EED_0000 + i)
        spilled = [a & (1 << bits) - 1 for a in args[in_registers:]]
        top = self.stack - 16 * -(-len(spilled) * bits // 8 // 16)
        self.uc.mem_write(top, struct.pack(f"<{len(spilled)}{'Q' if self.a64 else 'I'}", *spilled))
        for register, value in zip(registers, args, strict=False):
            self.uc.reg_write(register, value)
        self.uc.reg_write(sp, top)
        self.uc.reg_write(lr, back)
        self.uc.emu_start(target, self.RETURN)
        assert self.uc.reg_read(sp) == top, f"{symbol} moved the stack pointer"
        kept = [self.uc.reg_read(register) for register in saved]
        assert kept == [0x5EED_0000 + i for i in range(len(saved))], f"{symbol} lost a saved register"
        return int(self.uc.reg_read(registers[0]))

    def run(self) -> tuple[int, str]:
        """Run from the entry point until the program exits; returns exit status and output."""
        self.uc.reg_write(arm64_const.UC_ARM64_REG_SP if self.a64 else arm_const.UC_ARM_REG_SP, self.stack)
        self.uc.emu_start(self.entry if self.a64 else self.entry | 1, self.RETURN)
        assert self.exit is not None, f"stopped without an exit:\n{self.output.decode()}"
        return self.exit, self.output.decode()

    def count_instructions(self) -> None:
        """Count executed instructions from now on; semihosting's elapsed ticks are then this count."""
        mode = CS_MODE_ARM if self.a64 else CS_MODE_THUMB | (0 if self.linux else CS_MODE_MCLASS)
        decoder = Cs(CS_ARCH_ARM64 if self.a64 else CS_ARCH_ARM, mode)
        known: dict[tuple[int, int], int] = {}
        self.instructions = 0

        def block(uc: Any, address: int, size: int, _: Any) -> None:
            count = known.get((address, size))
            if count is None:
                count = sum(1 for _ in decoder.disasm_lite(bytes(uc.mem_read(address, size)), address))
                known[address, size] = count
            assert self.instructions is not None
            self.instructions += count

        self.uc.hook_add(UC_HOOK_BLOCK, block)

    def _system_call(self, uc: Any, number: int, _: Any) -> None:
        """Linux write and exit; semihosting write and exit on Cortex-M."""
        if self.a64:
            call = uc.reg_read(arm64_const.UC_ARM64_REG_X8)
            a = [uc.reg_read(arm64_const.UC_ARM64_REG_X0 + i) for i in range(3)]
            if number == 2 and call == 64:
                self.output += uc.mem_read(a[1], a[2])
                uc.reg_write(arm64_const.UC_ARM64_REG_X0, a[2])
                return
            self.exit = a[0] & 0xFF if number == 2 and call == 93 else 99
        elif self.linux:
            call = uc.reg_read(arm_const.UC_ARM_REG_R7)
            a = [uc.reg_read(arm_const.UC_ARM_REG_R0 + i) for i in range(3)]
            if number == 2 and call == 4:
                self.output += uc.mem_read(a[1], a[2])
                uc.reg_write(arm_const.UC_ARM_REG_R0, a[2])
                return
            if number == 2 and call == 263:  # clock_gettime: no clock, but the count as nanoseconds
                n = self.instructions or 0
                uc.mem_write(a[1], struct.pack("<II", n // 10**9, n % 10**9))
                uc.reg_write(arm_const.UC_ARM_REG_R0, 0)
                return
            self.exit = a[0] & 0xFF if number == 2 and call == 1 else 99
        else:
            pc = uc.reg_read(arm_const.UC_ARM_REG_PC)
            op = uc.reg_read(arm_const.UC_ARM_REG_R0)
            argument = uc.reg_read(arm_const.UC_ARM_REG_R1)
            is_call = number == 7 and bytes(uc.mem_read(pc, 2)) == b"\xab\xbe"
            if is_call and op == 4:
                while (c := uc.mem_read(argument, 1)[0]) != 0:
                    self.output.append(c)
                    argument += 1
                uc.reg_write(arm_const.UC_ARM_REG_PC, (pc + 2) | 1)
                return
            if is_call and op == 0x30:
                uc.mem_write(argument, struct.pack("<Q", self.instructions or 0))
                uc.reg_write(arm_const.UC_ARM_REG_R0, 0 if self.instructions is not None else 0xFFFF_FFFF)
                uc.reg_write(arm_const.UC_ARM_REG_PC, (pc + 2) | 1)
                return
            reason, status = (
                struct.unpack("<II", uc.mem_read(argument, 8)) if is_call and op == 0x20 else (0, 99)
            )
            self.exit = status if reason == 0x20026 else 99
        uc.emu_stop()


@dataclass(frozen=True)
class Report:
    """What the kernel tester printed: cases and failures per variant, and its exit status."""

    exit: int
    text: str

    @property
    def variants(self) -> dict[str, tuple[int, int]]:
        """(cases, failures) by kernel symbol without the eb_ prefix."""
        rows = re.findall(r"^(\w+__\w+) +(?:ok|FAIL) +(\d+) cases +(\d+) failed", self.text, re.M)
        return {name: (int(cases), int(failed)) for name, cases, failed in rows}


def port_of(core: str) -> str:
    """Which runtime_c/check/port_*.c a core's tester is linked with."""
    spec = load_core(core)
    if spec.family == "host" or spec.is_cortex_m:
        return "host" if spec.family == "host" else "cortex_m"
    return "aarch64" if spec.is_64bit else "arm"


def kernels_under_test(core: str, runtime: Path = RUNTIME) -> list[Kernel]:
    """The variants the tester holds for a core: every family that has more than its reference there."""
    found = [kernels(core, family, runtime) for family in TESTED]
    return [k for variants in found if len(variants) > 1 for k in variants]


def build_tester(
    core: str, out: Path, args: Sequence[str] = (), flags: Sequence[str] = (), runtime: Path = RUNTIME
) -> Path:
    """Link runtime_c/check with every variant the core can run; `args` are built into it."""
    port = port_of(core)
    sources = [k.path for k in kernels_under_test(core, runtime)]
    sources += [p for p in sorted((runtime / "check").glob("*.c")) if not p.name.startswith("port_")]
    sources.append(runtime / "check" / f"port_{port}.c")
    quoted = ", ".join(f'"{a}"' for a in args)
    defines = ["-DEB_CHECK", *([f"-DEB_CHECK_ARGS={quoted}"] if quoted and port != "host" else [])]
    return build(core, sources, out / f"check-{core}.elf", "eb_start", [*defines, *flags], runtime)


def run_tester(
    core: str,
    out: Path,
    args: Sequence[str] = (),
    flags: Sequence[str] = (),
    runtime: Path = RUNTIME,
    prepare: Callable[[Machine], None] | None = None,
) -> Report:
    """Build the kernel tester with every variant the core can run, and run it (natively for "host").

    `runtime` may be a changed copy of runtime_c. `prepare` sees the machine before it starts.
    """
    port = port_of(core)
    elf = build_tester(core, out, args, flags, runtime)
    if port == "host":
        done = subprocess.run([str(elf), *args], capture_output=True, text=True)
        return Report(done.returncode, done.stdout)
    machine = Machine(core, elf)
    if prepare is not None:
        prepare(machine)
    return Report(*machine.run())
