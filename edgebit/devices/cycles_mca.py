"""Cycles of code on the Cortex-M55, as LLVM's machine code analyser models its pipeline.

`llvm-mca` knows the order and the units of the M55: one instruction a cycle, vector instructions that take two
cycles of the load, integer or multiplication unit and overlap those of the other two. It reads straight code, so
a profile of which block followed which is priced edge by edge: a block behind its predecessor, less the
predecessor alone. To this are added

* TAKEN cycles for each taken branch (an estimate: the analyser knows no fetch);
* for a low-overhead loop, one such branch each time it is entered: the core keeps the loop's end in a cache, and
  `le` costs nothing from the second pass on (Armv8.1-M ARM DDI 0553, B3.28).

Memory without wait states (the TCMs); caches, bus contention and bank conflicts are not modelled.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from edgebit.errors import ToolchainError

TAKEN = 2
VERSION = 22
"""The first version of LLVM whose analyser has a model of the M55 with Helium."""

_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*?)\s*(?:[@<].*)?$")
_REGION = re.compile(r"^\[\d+\] Code Region - (\d+)\s*$.*?^Total Cycles:\s+(\d+)", re.MULTILINE | re.DOTALL)
_JUMP = re.compile(r"(b|bl|blx|bx|cbz|cbnz|b(eq|ne|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le))(\.\w+)?$")
_CONDITIONS = re.compile(r"(it|vpst|vpt)([te]{0,3})(\.\w+)?$")
_UNKNOWN = re.compile(r"vmrs|vmsr|dls(tp)?|wls(tp)?|lctp|vctp")  # one cycle each; the analyser prices none

Block = tuple[int, int]
"""Address and size in bytes."""


@functools.cache
def find_tool(name: str) -> str | None:
    """Path of an LLVM tool of version 22 or later, from the folder EDGEBIT_LLVM or PATH; None without one."""
    folder = os.environ.get("EDGEBIT_LLVM")
    for program in (name, *(f"{name}-{v}" for v in range(VERSION + 8, VERSION - 1, -1))):
        path = shutil.which(program, path=folder)
        if path is None:
            continue
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"LLVM version (\d+)", said)
        if version is not None and int(version[1]) >= VERSION:
            return path
    return None


def available() -> bool:
    """Whether the tools are there."""
    return find_tool("llvm-mca") is not None and find_tool("llvm-objdump") is not None


def run(name: str, *arguments: str, text: str | None = None) -> str:
    """Output of an LLVM tool for the M55."""
    program = find_tool(name)
    if program is None:
        raise ToolchainError(
            f"{name} {VERSION} or later is not installed: `apt install llvm-{VERSION}`, or name the folder that "
            "holds it in EDGEBIT_LLVM"
        )
    done = subprocess.run(
        [program, *arguments], input=text, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise ToolchainError(f"{name} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def _unconditional(listing: Iterable[tuple[int, str, str]]) -> Iterator[tuple[int, str]]:
    """(address, text) of instructions, those in IT and VPT blocks without their conditions: such a block may
    lie on both sides of a block of the profile."""
    left = drop = 0
    for address, name, operands in listing:
        head = _CONDITIONS.match(name)
        if head is not None:
            drop = 2 if head[1] == "it" else 1
            left = 1 + len(head[2])
            instead = {"it": "nop", "vpst": "vpnot"}.get(head[1])
            yield address, instead or f"vcmp{head[3]} {operands}"
            continue
        if left:
            left -= 1
            base, dot, kind = name.partition(".")
            name = f"{base[:-drop]}{dot}{kind}"
        yield address, f"{name} {operands}"


class McaModel:
    """Prices edges between blocks of one image."""

    def __init__(self, elf: Path) -> None:
        self._elf = elf
        self._text: dict[int, str] = {}
        self._cycles: dict[tuple[Block, ...], int] = {}

    def cycles(self, edges: Mapping[tuple[Block, Block], int]) -> int:
        """Cycles of a profile: how often the second block ran right after the first."""
        self._price([e for edge in edges for e in (edge[:1], edge)])
        total = 0
        for (before, block), count in edges.items():
            each = self._cycles[before, block] - self._cycles[before,]
            falls = before[0] + before[1] == block[0]
            if self._loops(before):
                each += 1 + TAKEN if falls else 0
            elif not falls:
                each += TAKEN
            total += count * each
        return total

    def instructions(self, edges: Mapping[tuple[Block, Block], int]) -> int:
        """Instructions of a profile; `le` counts every time."""
        return sum(n * len(self._lines(block)) for (_, block), n in edges.items())

    def _loops(self, block: Block) -> bool:
        lines = self._lines(block)
        return bool(lines) and lines[-1].split()[0] in ("le", "letp")

    def _lines(self, block: Block) -> list[str]:
        if not self._text:
            listing = run(
                "llvm-objdump", "-d", "--no-show-raw-insn", "--triple=thumbv8.1m.main-none-eabi",
                "--mcpu=cortex-m55", str(self._elf),
            )  # fmt: skip
            found = (_LINE.match(line) for line in listing.splitlines())
            self._text = dict(_unconditional((int(m[1], 16), m[2], m[3]) for m in found if m))
        at, end = block[0], block[0] + block[1]
        return [self._text[a] for a in range(at, end, 2) if a in self._text]

    def _source(self, blocks: Iterable[Block]) -> str:
        """Straight code: loop ends gone, jumps without their targets."""
        out: list[str] = []
        for line in (line for b in blocks for line in self._lines(b)):
            name, _, operands = line.partition(" ")
            if name in ("le", "letp"):
                continue
            jump = _JUMP.match(name)
            if jump is None:
                out.append("nop" if _UNKNOWN.match(name) else line)
            elif jump[1] in ("cbz", "cbnz"):
                out.append(f"{name} {operands.rsplit(',', 1)[0]}, #4")
            else:
                out.append(f"{jump[1] if jump[2] else 'b'} .")  # the model takes a call for 100 cycles
        return "\n".join(out) + "\n"

    def _price(self, wanted: Iterable[tuple[Block, ...]]) -> None:
        new = [w for w in dict.fromkeys(wanted) if w not in self._cycles]
        sources = [self._source(w) for w in new]
        regions = [
            f"# LLVM-MCA-BEGIN {i}\n{s}# LLVM-MCA-END {i}\n" for i, s in enumerate(sources) if s.strip()
        ]
        self._cycles |= dict.fromkeys(new, 0)
        if not regions:
            return
        said = run(
            "llvm-mca", "-mtriple=thumbv8.1m.main-none-eabi", "-mcpu=cortex-m55", "-iterations=1",
            "-instruction-info=false", "-resource-pressure=false", "-",
            text=".syntax unified\n.thumb\n" + "".join(regions),
        )  # fmt: skip
        found = {int(i): int(c) for i, c in _REGION.findall(said)}
        if len(found) != len(regions):
            raise ToolchainError(f"llvm-mca priced {len(found)} of {len(regions)} blocks of {self._elf.name}")
        self._cycles |= {w: found.get(i, 0) for i, w in enumerate(new)}
