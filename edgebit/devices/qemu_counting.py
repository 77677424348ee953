"""Counts what a model costs, layer by layer, while it runs in qemu-system.

A plugin (qemu_edges.c) writes down how often each block of code ran after each other, anew whenever the
application's eb_mark is called. It cannot see the number of the layer that eb_mark is given; that is read from
the code of the call.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from edgebit.core import Core
from edgebit.devices import cycles_mca
from edgebit.devices.counting import MARK_RESUME, MARK_START, compiled
from edgebit.devices.cycles import CYCLES, INSTRUCTIONS, count_thumb
from edgebit.devices.qemu import find_program
from edgebit.errors import EdgebitError, ToolchainError
from edgebit.toolchain.decode import instructions
from edgebit.toolchain.elf import CodeRange, Function, Image

Block = tuple[int, int]
Edges = dict[tuple[Block, Block], int]

LAST_API_1 = 8
"""The last version of QEMU that takes plugins of version 1 of its interface."""


def check_version(program: str) -> None:
    """ToolchainError when this QEMU would not take the plugin."""
    said = subprocess.run(
        [find_program(program), "--version"], capture_output=True, text=True, check=False
    ).stdout
    words = said.split("version ")
    major = words[1].split(".")[0] if len(words) > 1 else "?"
    if not major.isdigit() or not 6 <= int(major) <= LAST_API_1:
        raise ToolchainError(f"{program} {major} takes no counting plugin of EdgeBit's; versions 6 to 8 do")


class QemuCounter:
    """Per-layer counts of the runs of one emulated machine; like counting.Counter.

    options: what QEMU must be started with. metric: "modelled cycles" for the Cortex-M55 where llvm-mca is
    installed, else "instructions".
    """

    def __init__(self, core: Core, program: str, elf: Path) -> None:
        check_version(program)
        self.image = Image(elf)
        self._mark = self._function("eb_mark")
        self._trace = self._function("eb_trace")
        self._core = core
        self._model = (
            cycles_mca.McaModel(elf) if core.name == "cortex-m55" and cycles_mca.available() else None
        )
        self.metric = CYCLES if self._model is not None else INSTRUCTIONS
        self._folder = tempfile.TemporaryDirectory(prefix="edgebit-qemu-")
        self._out = Path(self._folder.name) / "edges"
        self._seen = 0

    @property
    def options(self) -> list[str]:
        library = compiled(Path(__file__).with_name("qemu_edges.c"), "-Wl,-z,undefs", "-lc")
        return ["-plugin", f"{library},mark={self._mark.start:#x},out={self._out}"]

    def enable(self, on: bool) -> None:
        """Runs are always counted; those from now on are shown."""
        self._seen = self._out.stat().st_size if on and self._out.exists() else 0

    def close(self) -> None:
        self._folder.cleanup()

    def layers(self) -> list[tuple[int, int]]:
        """(layer, value in units of `metric`) of the last run, in the order the layers ran."""
        count = self.count if self._model is None else self._model.cycles
        return [(layer, count(edges)) for layer, edges in self.profile().items()]

    def instructions(self) -> list[tuple[int, int]]:
        """(layer, instructions) of the last run."""
        return [(layer, self.count(edges)) for layer, edges in self.profile().items()]

    def count(self, edges: Mapping[tuple[Block, Block], int]) -> int:
        """Instructions of a profile."""
        return sum(n * count_thumb(self.image.read(at, size)) for (_, (at, size)), n in edges.items())

    def _function(self, name: str) -> Function:
        address = self.image.symbol(name).address & ~1
        found = self.image.function_at(address)
        if found is None:
            raise EdgebitError(f"{self.image.path.name}: {name} is no function")
        return found

    def profile(self) -> dict[int, Edges]:
        """By layer of the last run: how often a block of code ran right after another."""
        runs: dict[int, Edges] = {}
        edges: Edges = {}
        with self._out.open() as lines:
            lines.seek(self._seen)
            for line in lines:
                if line != "mark\n":
                    a, m, b, n, count = map(int, line.split())
                    edges[(a, m), (b, n)] = count
                    continue
                layer = self._layer(edges)
                if layer == MARK_START:
                    runs = {}
                elif layer != MARK_RESUME:
                    kept = runs.setdefault(layer, {})
                    for e, count in edges.items():
                        kept[e] = kept.get(e, 0) + count
                edges = {}
        return runs

    def _layer(self, edges: Edges) -> int:
        """What the call of eb_mark that ended this part of the profile was given."""
        before = next(a for a, b in edges if b[0] == self._mark.start)
        if not self._trace.start <= before[0] < self._trace.end:
            return MARK_START
        if before[0] != self._trace.start:
            return MARK_RESUME
        block = next(a for a, b in edges if b[0] == self._trace.start)
        layer = self._first_argument(block)
        while layer is None:  # QEMU ends blocks at pages of memory too
            falls = (a for a, b in edges if b == block and sum(a) == block[0])
            before_it = next(falls, None)
            if before_it is None:
                raise EdgebitError(
                    f"{self.image.path.name}: no layer in the call of eb_trace at {block[0]:#x}"
                )
            block = before_it
            layer = self._first_argument(block)
        return layer

    def _first_argument(self, block: Block) -> int | None:
        """The number a block puts into r0; None when it leaves r0 alone."""
        number: int | None = None
        unknown: int | None = None  # where r0 got something else last
        for insn in instructions(self.image, self._core, CodeRange(block[0], sum(block), "thumb")):
            first, _, rest = insn.op_str.partition(", ")
            if first == "r0":
                constant = insn.mnemonic.removesuffix(".w") in ("mov", "movs", "movw") and rest.startswith(
                    "#"
                )
                number, unknown = (int(rest[1:], 0), None) if constant else (None, insn.address)
        if unknown is not None:
            raise EdgebitError(f"{self.image.path.name}: no layer is set at {unknown:#x}")
        return number
