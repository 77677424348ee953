"""Reads code and stack sizes of kernels, drivers and the program around them from linked images."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from core_samples import (
    SEED,
    boards_of,
    chain_sample,
    draw,
    export,
    linear_samples,
    merge,
    other_samples,
    with_every_kernel,
)

from edgebit.board import Board
from edgebit.core import Core
from edgebit.ops.base import Sample
from edgebit.plan.account import arguments, kind_of, table_bytes
from edgebit.plan.kernels import candidates
from edgebit.plan.plan import Plan, make_plan
from edgebit.toolchain.build import build_export
from edgebit.toolchain.elf import Image
from edgebit.toolchain.stack import CallGraph, stack_usage

_OF_THE_MODEL = re.compile(r"measure_|l\d+_|eb_code_|(inputs|outputs)$")


def plain(name: str) -> str:
    """A function's name without what a compiler adds to clones."""
    return re.split(r"\.(constprop|isra|part|cold|lto_priv)\b", name)[0]


def _data_beside_arena(image: Image, plan: Plan) -> int:
    s = image.sizes()
    return s.data + s.bss - plan.arena_bytes - plan.state_bytes


def _in_flash(image: Image, board: Board) -> int:
    """Bytes of code in memories of kind flash (a boot stage has its own)."""
    flash = [m for m in board.memories if m.kind == "flash"]
    code = 0
    for s in image.sections:
        if s.executable and (not flash or any(m.origin <= s.address < m.origin + m.length for m in flash)):
            code += s.size
    return code


class Built:
    """One plan built for one board with one toolchain."""

    def __init__(self, samples: Sequence[Sample], forced: dict[str, str], board: Board, chain: str) -> None:
        g, values = merge(samples)
        self.plan = make_plan(g, board.core, board, kernels=forced)
        with tempfile.TemporaryDirectory() as tmp:
            built = build_export(export(self.plan, values, board, Path(tmp)), toolchain=chain)
            self.image = Image(built.elf)
            self.stack = stack_usage(built.elf, board.core)
            self.graph = CallGraph(self.image, board.core)
            self.graph.deepest(self.graph.function(self.image.entry, "reset"))
        self.code = _in_flash(self.image, board)
        self.const = self.image.sizes().const - self.plan.weight_bytes
        self.const -= sum(table_bytes(layer.lowered) for layer in self.plan.layers)
        self.data = _data_beside_arena(self.image, self.plan)

    def size_of(self, name: str) -> int:
        """Bytes of a function of the image."""
        return next(f.end - f.start for f in self.image.functions if f.name == name)


def per_layer(pair: Sequence[Built], what: str) -> float:
    """How much one more layer adds, from graphs of 4 and 20."""
    return float(getattr(pair[1], what) - getattr(pair[0], what)) / 16


def measure_bounds(core: Core, chain: str) -> dict[str, Any]:
    """The tables of one core and toolchain."""
    rng = np.random.default_rng(SEED)
    boards = boards_of(core)
    small = next(s for s in other_samples(rng, 1) if s.graph.nodes[0].op == "lut")
    attrs = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1}
    large = draw(rng, "affine", "trit", "conv2d", (1, 4, 4, 4), (4, 3, 3, 4), attrs, 1)
    pairs = [[Built([s] * n, {}, boards[0], chain) for n in (4, 20)] for s in (small, large)]
    tiny = [Built([small] * 4, {}, board, chain) for board in boards]
    steps = {what: [per_layer(pair, what) for pair in pairs] for what in ("code", "const", "data")}
    program = {
        what: max(getattr(t, what) for t in tiny) - round(4 * steps[what][0])
        for what in ("code", "const", "data")
    }
    program["code"] -= pairs[0][0].size_of("eb_lut_s8__ref")
    program["stack"] = max(
        t.stack.bytes - t.graph.depth_of("eb_lut_s8__ref") - t.stack.frames["measure_run"] for t in tiny
    )
    layer = {what: max(0, -int(-max(found) // 1)) for what, found in steps.items()}
    few, many = (arguments(pair[0].plan.layers[0].lowered) for pair in pairs)
    layer["argument"] = max(0, -int(-(steps["code"][1] - steps["code"][0]) / (many - few) // 1))
    layer["code"] = max(0, -int(-(steps["code"][0] - layer["argument"] * few) // 1))
    base = pairs[0][0]
    tables = Tables(base)
    linear = list(linear_samples(np.random.default_rng(SEED), core))[::2]
    other = list(other_samples(np.random.default_rng(SEED), 3))
    samples, forced = with_every_kernel([*linear, *other], core)
    for start in range(0, len(samples), 120):
        part = range(start, min(start + 120, len(samples)))
        names = {f"s{k - start}": forced[f"s{k}"] for k in part if f"s{k}" in forced}
        tables.add(Built([samples[k] for k in part], names, boards[0], chain))
        print(f"{core.name} {chain}: {part.stop} of {len(samples)} layers", flush=True)
    for part_ in once_each(samples, forced, core):
        tables.add_single(Built(*part_, boards[0], chain))
    print(f"{core.name} {chain}: drivers alone", flush=True)
    run = base.stack.frames["measure_run"]
    for layers in (6, 12, 24):
        run = max(run, Built([chain_sample(layers)], {}, boards[0], chain).stack.frames["measure_run"])
    program["run"] = run
    program["const"] += tables.const
    return {
        "program": program,
        "layer": layer,
        "functions": tables.functions,
        "single": tables.single,
        "helpers": tables.helpers,
        "needs": {k: sorted(v) for k, v in tables.needs.items() if v},
        "stacks": tables.stacks,
    }


def once_each(
    samples: Sequence[Sample], forced: dict[str, str], core: Core
) -> Iterable[tuple[list[Sample], dict[str, str]]]:
    """Linear samples in graphs that use no driver twice: each with the kernels forced on its nodes."""
    graphs: list[tuple[list[Sample], dict[str, str], set[str]]] = []
    for k, s in enumerate(samples):
        node = s.graph.nodes[0]
        if node.op not in ("dense", "conv2d"):
            continue
        stem = forced[f"s{k}"]
        function = candidates(node, s.graph, core, stem)[0].lowered.function
        home = next((g for g in graphs if function not in g[2] and len(g[0]) < 60), None)
        if home is None:
            home = ([], {}, set())
            graphs.append(home)
        home[1][f"s{len(home[0])}"] = stem
        home[0].append(s)
        home[2].add(function)
    return [(g[0], g[1]) for g in graphs if len(g[0]) > 1]


class Tables:
    """Sizes and stacks of the functions of kernels, drivers and library helpers, the largest seen of each.

    const sums the constant tables of all kernels.
    """

    def __init__(self, base: Built) -> None:
        self.base = {plain(f.name) for f in base.image.functions} - {"eb_lut_s8__ref"}
        self.functions: dict[str, int] = {}
        self.single: dict[str, int] = {}
        self.helpers: dict[str, int] = {}
        self.needs: dict[str, set[str]] = defaultdict(set)
        self.stacks: dict[str, int] = {}
        self._known = {s.name for s in base.image.symbols}
        self._objects: dict[str, int] = {}

    @property
    def const(self) -> int:
        return sum(self._objects.values())

    def add_single(self, built: Built) -> None:
        """Drivers that one layer uses: compilers fold the layer's parameters into them."""
        drivers = {layer.lowered.function for layer in built.plan.layers}
        for f in built.image.functions:
            name = plain(f.name)
            if name in drivers:
                entry = kind_of(name)
                for key in (name, entry):
                    self.single[key] = max(self.single.get(key, 0), -(-(f.end - f.start) // 4) * 4)
                self.stacks[entry] = max(self.stacks.get(entry, 0), built.graph.deepest(f))

    def add(self, built: Built) -> None:
        kernels = sorted((f"eb_{s}" for s in built.plan.kernel_stems()), key=len, reverse=True)
        drivers = {layer.lowered.function for layer in built.plan.layers if not layer.lowered.alias}
        drivers -= set(kernels)
        total: dict[str, int] = defaultdict(int)
        owner: dict[str, str] = {}
        for f in built.image.functions:
            name = plain(f.name)
            size = -(-(f.end - f.start) // 4) * 4
            if name in drivers:
                entry = owner[f.name] = kind_of(name)
                self.functions[entry] = max(self.functions.get(entry, 0), size)
            else:
                kernel = next((k for k in kernels if name == k or name.startswith(k + "_")), None)
                if kernel is not None:
                    owner[f.name] = kernel
                    total[kernel] += size
                elif name not in self.base:
                    self.helpers[name] = max(self.helpers.get(name, 0), size)
        weights = {c.symbol for layer in built.plan.layers for c in layer.lowered.consts}
        for o in built.image.symbols:
            section = built.image.section_at(o.address)
            if o.kind != "object" or section is None or section.writable:
                continue
            if o.name not in self._known and o.name not in weights and not _OF_THE_MODEL.match(o.name):
                self._objects[o.name] = max(self._objects.get(o.name, 0), o.size)
        for kernel, size in total.items():
            self.functions[kernel] = max(self.functions.get(kernel, 0), size)
        for f in built.image.functions:
            entry = owner.get(f.name)
            if entry is None:
                continue
            self.needs[entry] |= {plain(h) for h in built.graph.reachable(f)} & set(self.helpers)
            self.stacks[entry] = max(self.stacks.get(entry, 0), built.graph.deepest(f))


def write_bounds(core: Core, found: dict[str, dict[str, Any]]) -> None:
    path = core.path.parent / "bounds" / f"{core.name}.toml"
    path.parent.mkdir(exist_ok=True)
    lines = [
        f"# Bytes of code and stack on the {core.title}, by toolchain, measured by tests/tools/measure_core.py.",
        "# program: everything that is not the model, on the board where it is largest. layer: for each layer.",
        "# functions, stacks: each kernel and driver (stack with all it calls). helpers: library functions;",
        "# needs: which of them a kernel or driver pulls in.",
    ]
    for chain, tables in found.items():
        for table, entries in tables.items():
            lines.append(f"\n[{chain}.{table}]")
            for k in sorted(entries):
                v = entries[k]
                value = "[" + ", ".join(f'"{x}"' for x in v) + "]" if isinstance(v, list) else str(v)
                lines.append(f'"{k}" = {value}' if table not in ("program", "layer") else f"{k} = {value}")
    path.write_text("\n".join(lines) + "\n")
