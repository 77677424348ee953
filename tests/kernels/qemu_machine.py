"""A core that only QEMU emulates, used as check_runner.Machine is: place buffers, call a function, read them back.

m = open_machine("cortex-m55", sources, folder); m.call("eb_add_s8__mve", m.place(...), ...); close(m)
"""

from __future__ import annotations

import os
import select
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from check_runner import RUNTIME, Machine, build
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

QEMU = shutil.which("qemu-system-arm")
BOARDS = {"cortex-m55": "mps3-an547"}
ARENA = 1 << 18  # of qemu_calls.c
PATIENCE = 30.0  # seconds a call may take


class QemuMachine:
    """An image with some sources, running in QEMU and waiting for calls. Buffers together are at most ARENA bytes."""

    a64 = False

    def __init__(self, core: str, sources: Sequence[Path], folder: Path, runtime: Path = RUNTIME) -> None:
        calls = [Path(__file__).with_name("qemu_calls.c"), RUNTIME / "check" / "port_cortex_m.c"]
        flags = ["-DEB_CHECK"]
        elf = build(core, [*calls, *sources], folder / "calls.elf", "eb_start", flags, runtime)
        with elf.open("rb") as f:
            tables = [s for s in ELFFile(f).iter_sections() if isinstance(s, SymbolTableSection)]
            self.symbols = {s.name: int(s["st_value"]) for t in tables for s in t.iter_symbols()}
        self._base = self.symbols["qemu_arena"]
        self._memory = bytearray()
        for pipe in ("cases", "results"):
            os.mkfifo(folder / pipe)
        options = ["-display", "none", "-monitor", "none", "-serial", "null"]
        options += ["-semihosting-config", "enable=on,target=native"]
        self._process = subprocess.Popen(
            [str(QEMU), "-M", BOARDS[core], *options, "-kernel", str(elf)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
        )
        # neither waits for the emulator to open its end, which it may never do
        self._to = os.open(folder / "cases", os.O_RDWR)
        self._from = os.open(folder / "results", os.O_RDONLY | os.O_NONBLOCK)

    def close(self) -> None:
        """End the emulator."""
        os.close(self._to)
        os.close(self._from)
        self._process.kill()
        self._process.wait()

    def reset(self) -> None:
        """Forget everything placed."""
        self._memory.clear()

    def place(self, data: bytes, before: bytes = b"", after: bytes = b"") -> int:
        """Write data at a multiple of 16 with guards around it; returns its address."""
        at = -(-(len(self._memory) + len(before)) // 16) * 16
        self._memory += bytes(at - len(before) - len(self._memory)) + before + data + after
        assert len(self._memory) <= ARENA, "more than the arena holds"
        return self._base + at

    def read(self, address: int, size: int) -> bytes:
        at = address - self._base
        return bytes(self._memory[at : at + size])

    def call(self, function: str, *args: int) -> None:
        """Call a C function with at most 8 integer and pointer arguments."""
        words = [a & 0xFFFFFFFF for a in args] + [0] * (8 - len(args))
        case = struct.pack("<10I", self.symbols[function] | 1, *words, len(self._memory)) + self._memory
        while case:
            case = case[os.write(self._to, case) :]
        answer = b""
        while len(answer) < len(self._memory):
            ready, _, _ = select.select([self._from], [], [], PATIENCE)
            part = os.read(self._from, len(self._memory) - len(answer)) if ready else b""
            assert part, f"{function} did not come back"
            answer += part
        self._memory[:] = answer


def open_machine(
    core: str, sources: Sequence[Path], folder: Path, runtime: Path = RUNTIME
) -> Machine | QemuMachine:
    """The core with kernels in it: in Unicorn, or in QEMU where Unicorn does not know it (skips without)."""
    if core not in BOARDS:
        entry = f"eb_{sources[0].stem}"
        return Machine(core, build(core, sources, folder / f"{core}.elf", entry, runtime=runtime))
    if QEMU is None:
        pytest.skip("qemu-system-arm is not installed")
    (folder / core).mkdir()
    return QemuMachine(core, sources, folder / core, runtime)


def close(*machines: Machine | QemuMachine) -> None:
    """End those that are programs of their own."""
    for m in machines:
        if isinstance(m, QemuMachine):
            m.close()
