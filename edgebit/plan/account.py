"""The account of flash and RAM: what a plan takes of each memory of a board, before anything is compiled.

Weights, state and arena are exact. Code, stack, other constants and the program's own data are upper bounds
from tables that tests/tools/measure_bounds.py measured on real builds: runtime_c/cores/bounds/<core>.toml,
one section a toolchain. Kernels and library helpers are in the table by function; a function it does not
know is taken to be as large as the largest of its kind.

The host's table is that of its kind of processor (host-x86_64.toml): another has none until it is measured. A host's stack
is not in the account: it belongs to the system, which gives programs megabytes of it, and nobody here reads it from their
code.
"""

from __future__ import annotations

import platform
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from edgebit.core import Core
from edgebit.errors import FitError
from edgebit.ir.graph import DType, Graph
from edgebit.ops.base import Lowered
from edgebit.resources import data_dir

if TYPE_CHECKING:
    from edgebit.plan.plan import Plan

FLASH, RAM = "FLASH", "RAM"
_STEPS = re.compile(
    r"(__\w+?_(?:requant|affine|dynamic)(?![a-z0-9]))(?:_(?:corr|scale|bias|lo|hi)(?![a-z0-9]))*"
)
_DEFINED = re.compile(r"EB_NOINLINE static \w+ (\w+)\(")
_PADDING = 15  # before an array that starts at a multiple of 16
Kind = Literal["exact", "upper bound"]


@dataclass(frozen=True)
class Bounds:
    """Measured bytes for one core and toolchain.

    code, const, data: the program around the model (start-up, port, link, application) on a board. stack: from
    reset to the model's run function, with what an exception pushes; least: what the program takes beside that function,
    whatever its layers; trace: what that function calls after each layer, callees included; runs: its frame, without
    arguments of calls, in networks of up to so many layers. layer_*: what each layer adds to the model's own functions and tables, and
    argument_code: each argument of its call. check_code: what looks for NaN and infinities in a float input.
    functions: code of each kernel file and of each generated driver. helpers: code of each library function;
    needs: those that a kernel or driver pulls in. stacks: each kernel and driver, callees included. compiler: whose version
    they were measured with, for the host, which has a compiler of its own.
    """

    code: int
    const: int
    data: int
    stack: int
    runs: Mapping[int, int]
    layer_code: int
    argument_code: int
    layer_const: int
    layer_data: int
    functions: Mapping[str, int] = field(default_factory=dict)
    helpers: Mapping[str, int] = field(default_factory=dict)
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stacks: Mapping[str, int] = field(default_factory=dict)
    least: int = 0
    trace: int = 0
    measured: bool = True
    compiler: str = ""
    check_code: int = 0


UNMEASURED = Bounds(
    code=12288,
    const=2048,
    data=4096,
    stack=1024,
    runs={1: 512},
    layer_code=48,
    argument_code=8,
    layer_const=96,
    layer_data=4,
    functions={"": 2048},
    helpers={"": 4096},
    stacks={"": 512},
    measured=False,
    check_code=640,
)
"""For a core or toolchain nobody has measured: generous guesses, still shown as upper bounds."""


def load_bounds(core: Core, toolchain: str = "zig", board: str = "") -> Bounds:
    """The measured table of a core, toolchain and board, UNMEASURED when there is none; for a board that is not
    in it, or none, the largest program of those that are."""
    return _read_bounds(core.name, toolchain, board)


def bounds_name(core: str) -> str:
    """What the table of a core is called: for the host, that of this machine's kind of processor."""
    machine = platform.machine().lower().replace("amd64", "x86_64")
    return f"host-{machine}" if core == "host" else core


@cache
def _read_bounds(core: str, toolchain: str, board: str) -> Bounds:
    path = data_dir("runtime_c") / "cores" / "bounds" / f"{bounds_name(core)}.toml"
    if not path.is_file():
        return UNMEASURED
    d = tomllib.loads(path.read_text()).get(toolchain)
    if d is None:
        return UNMEASURED
    programs = [d["programs"][board]] if board in d["programs"] else list(d["programs"].values())
    layer = d["layer"]
    return Bounds(
        **{what: max(p[what] for p in programs) for what in ("code", "const", "data", "stack")},
        runs={int(n): frame for n, frame in d["runs"].items()},
        layer_code=layer["code"],
        argument_code=layer["argument"],
        check_code=layer["check"],
        layer_const=layer["const"],
        layer_data=layer["data"],
        functions=d.get("functions", {}),
        helpers=d.get("helpers", {}),
        needs={k: tuple(v) for k, v in d.get("needs", {}).items()},
        stacks=d.get("stacks", {}),
        least=max(p.get("least", 0) for p in programs),
        trace=max(p.get("trace", 0) for p in programs),
        compiler=d.get("compiler", ""),
    )


def plain_name(function: str) -> str:
    """A generated function's name without the digest of its layer's weights."""
    return re.sub(r"_[0-9a-f]{12}$", "", function)


def kind_of(function: str) -> str:
    """The table's entry for drivers that differ only in the steps after their epilogue's kind; any other name as
    it is."""
    kind, drivers = _STEPS.subn(r"\1", function)
    return kind + "*" if drivers else function


def _alike(table: Mapping[str, object], name: str) -> list[str]:
    """The entries to go by for a function: its own; else that of its kind; else those whose names start alike;
    else all."""
    if name in table:
        return [name]
    start = kind_of(name)
    while start and start not in table:
        start = start.rpartition("_")[0]
        found = [k for k in table if k.startswith(start + "_")]
        if start and found:
            return found
    return [start] if start else list(table)


def _lookup(table: Mapping[str, int], name: str) -> int:
    """The size of a function; for one never measured, the largest of those like it."""
    return max((table[k] for k in _alike(table, name)), default=0)


def _needs(bounds: Bounds, name: str) -> set[str]:
    """The library functions that a function pulls in; for one never measured, those of its like."""
    if not bounds.measured:
        return set(bounds.helpers)
    return {h for k in _alike(bounds.functions, name) for h in bounds.needs.get(k, ())}


def parts_of(low: Lowered) -> set[str]:
    """The functions that a layer needs: kernels, its driver, and those that drivers share."""
    if low.alias:
        return set()
    return {f"eb_{stem}" for stem in low.kernels} | {low.function, *_DEFINED.findall(low.prelude)}


def _all_parts(layers: Iterable[Lowered]) -> set[str]:
    return {part for low in layers for part in parts_of(low)}


def code_bound(bounds: Bounds, layers: Sequence[Lowered], checks: int = 0) -> int:
    """Code of the program with these layers, at most. checks: float inputs of the network (see `checked`)."""
    total = bounds.code + bounds.check_code * checks
    for low in layers:  # each output is told of by a call of its own, which takes its address again
        each = bounds.layer_code * low.outputs + bounds.argument_code * (arguments(low) + low.outputs - 1)
        total += 0 if low.alias else each
    parts = [plain_name(part) for part in _all_parts(layers)]
    helpers = {h for part in parts for h in _needs(bounds, part)}
    return (
        total
        + sum(_lookup(bounds.functions, part) for part in parts)
        + sum(_lookup(bounds.helpers, h) for h in helpers)
    )


def arguments(low: Lowered) -> int:
    """How many arguments a layer's call passes."""
    consts = sum(not c.symbol for c in low.consts)
    return len(low.inputs) + consts + low.outputs + (low.params is not None) + (low.scratch_bytes > 0)


def checked(graph: Graph) -> int:
    """How many inputs of a network are looked through for NaN and infinities: the float ones."""
    return sum(graph.tensors[i].dtype is DType.F32 for i in graph.inputs)


def stack_bound(bounds: Bounds, layers: Sequence[Lowered], core: Core) -> int:
    """Stack of the program with these layers, at most; exception frame included."""
    called = [low for low in layers if not low.alias]
    below = [_lookup(bounds.stacks, plain_name(part)) for part in _all_parts(called)]
    deepest = max(below + [bounds.trace] * bool(called), default=0)
    most = max(bounds.runs.values())
    run = next((frame for n, frame in sorted(bounds.runs.items()) if n >= len(called)), most)
    return max(bounds.least, bounds.stack + run + stacked_arguments(called, core) + deepest)


def stacked_arguments(layers: Iterable[Lowered], core: Core) -> int:
    """Bytes of the longest call's arguments that go on the stack (AAPCS, AAPCS64), in whole alignments."""
    registers, word = (4, 4) if core.is_cortex_m else (8, 8)
    longest = max((arguments(low) for low in layers), default=0)
    return -(-max(0, longest - registers) // 2) * 2 * word


def const_bound(bounds: Bounds, layers: Sequence[Lowered]) -> int:
    """Constants beside the weights, at most."""
    return bounds.const + sum(bounds.layer_const + table_bytes(low) for low in layers)


def data_bound(bounds: Bounds, layers: Sequence[Lowered]) -> int:
    """The program's own data and the padding before the arena, at most."""
    return bounds.data + bounds.layer_data * len(layers) + _PADDING


def table_bytes(low: Lowered) -> int:
    """What a layer's parameters, segment entries and the padding of its arrays take, at most: 4 bytes a
    parameter; 12 (on 64-bit machines 16) bytes a segment and up to 15 before its array."""
    fields = low.params[1].values() if low.params else ()
    return 4 * sum(v.count(",") + 1 for v in fields) + (16 + _PADDING) * len(low.consts)


@dataclass(frozen=True)
class FitRow:
    """One item in one memory ("FLASH" or "RAM")."""

    memory: str
    item: str
    bytes: int
    kind: Kind


@dataclass(frozen=True)
class FitTable:
    """The account. totals: bytes of each memory the board states; empty for a bare core or a Linux machine.

    largest names the greatest consumers in each memory, greatest first, as (what, bytes).
    """

    title: str
    rows: tuple[FitRow, ...]
    totals: Mapping[str, int]
    largest: Mapping[str, tuple[tuple[str, int], ...]]
    measured: bool

    def used(self, memory: str) -> int:
        """Bytes taken of a memory, at most."""
        return sum(r.bytes for r in self.rows if r.memory == memory)

    def free(self) -> dict[str, int]:
        """Bytes left in each memory; negative when the plan does not fit."""
        return {m: total - self.used(m) for m, total in self.totals.items()}

    def label(self, memory: str) -> str:
        """What to call a memory: where there is no flash to flash (Linux), constants and code are in a file."""
        return "file" if memory == FLASH and not self.totals else memory

    @property
    def fits(self) -> bool:
        return all(left >= 0 for left in self.free().values())

    def text(self) -> str:
        """The account as plain text, one item a line."""
        lines = [f"fit: {self.title}"]
        width = max(len(r.item) for r in self.rows)
        free = self.free()
        for m in dict.fromkeys(r.memory for r in self.rows):
            for r in self.rows:
                if r.memory == m:
                    mark = "" if r.kind == "exact" else "  at most"
                    lines.append(f"  {self.label(m):<5} {r.item:<{width}} {r.bytes:>10,} B{mark}")
            if m in free:
                lines.append(f"  {m:<5} {'free':<{width}} {free[m]:>10,} B of {self.totals[m]:,} B")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The account as JSON."""
        return {
            "title": self.title,
            "rows": [
                {"memory": r.memory, "item": r.item, "bytes": r.bytes, "kind": r.kind} for r in self.rows
            ],
            "totals": dict(self.totals),
            "free": self.free(),
            "fits": self.fits,
            "largest": {m: [list(x) for x in found] for m, found in self.largest.items()},
            "measured": self.measured,
        }

    def check(self) -> None:
        """Raise FitError, with the whole account and the largest consumers, unless everything fits."""
        short = {m: -left for m, left in self.free().items() if left < 0}
        if not short:
            return
        parts = []
        for m, missing in short.items():
            top = ", ".join(f"{what} ({n:,} B)" for what, n in self.largest[m])
            parts.append(f"{m} is {missing:,} B too small; largest: {top}")
        raise FitError(
            f"does not fit {self.title}: {'; '.join(parts)}.\n{self.text()}\n"
            "Try --optimize size, a smaller model, or a board with more memory.",
            details={"fit": self.to_dict()},
        )


def _largest_in_arena(plan: Plan) -> list[tuple[str, int]]:
    found = [(f"tensor {t.name}", t.nbytes) for name, t in plan.graph.tensors.items() if name in plan.offsets]
    found += [
        (f"scratch of {layer.node.name}", layer.lowered.scratch_bytes)
        for layer in plan.layers
        if layer.lowered.scratch_bytes
    ]
    return found


def _top(found: Iterable[tuple[str, int]], n: int = 3) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(found, key=lambda x: (-x[1], x[0]))[:n])


def fit(plan: Plan, toolchain: str = "zig") -> FitTable:
    """The account of a plan on its board (or bare core), for the toolchain it will be built with."""
    bounds = load_bounds(plan.core, toolchain, plan.board.name if plan.board is not None else "")
    lowered = [layer.lowered for layer in plan.layers]
    code = code_bound(bounds, lowered, checked(plan.graph))
    stack = stack_bound(bounds, lowered, plan.core)
    data = data_bound(bounds, lowered)
    rows = (
        FitRow(FLASH, "weights", plan.weight_bytes, "exact"),
        FitRow(FLASH, "code", code, "upper bound"),
        FitRow(FLASH, "other constants", const_bound(bounds, lowered), "upper bound"),
        FitRow(RAM, "arena", plan.arena_bytes, "exact"),
        FitRow(RAM, "state", plan.state_bytes, "exact"),
        *([] if plan.core.family == "host" else [FitRow(RAM, "stack", stack, "upper bound")]),
        FitRow(RAM, "program data", data, "upper bound"),
    )
    totals = {}
    if plan.board is not None and plan.board.memories:
        totals = {FLASH: plan.board.flash_bytes, RAM: plan.board.ram_bytes}
    weights = [(f"weights of {layer.node.name}", layer.weight_bytes) for layer in plan.layers]
    return FitTable(
        title=plan.board.title if plan.board is not None else plan.core.title,
        rows=rows,
        totals=totals,
        largest={
            FLASH: _top([w for w in weights if w[1]] + [("code", code)]),
            RAM: _top([*_largest_in_arena(plan), ("stack", stack), ("program data", data)]),
        },
        measured=bounds.measured,
    )
