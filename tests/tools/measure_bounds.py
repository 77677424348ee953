"""Reads code and stack sizes of kernels, drivers and the program around them from linked images."""

from __future__ import annotations

import platform
import re
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from core_samples import (
    SEED,
    boards_of,
    chain_sample,
    draw,
    export,
    full_groups,
    linear_samples,
    merge,
    other_samples,
    quantize_samples,
    softmax_samples,
    with_every_kernel,
)

from edgebit.board import Board
from edgebit.core import Core, load_core
from edgebit.ir.graph import DType, Graph, Node, Quant, Tensor
from edgebit.ops.base import Sample, infer_all
from edgebit.plan.account import (
    arguments,
    bounds_name,
    kind_of,
    parts_of,
    plain_name,
    stacked_arguments,
    table_bytes,
)
from edgebit.plan.kernels import candidates
from edgebit.plan.plan import Plan, make_plan
from edgebit.toolchain.base import find_toolchain
from edgebit.toolchain.elf import Image
from edgebit.toolchain.recipe import read_recipe
from edgebit.toolchain.stack import CallGraph, StackReport, stack_usage

RUN_MARGIN = 2  # compilers spill one register or two more in some networks
_ROOM = 1 << 22
CODE_MARGIN = 64  # the linker aligns what it puts together
HOST_MARGIN = 320  # and instructions of the host are of many lengths
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


def roomy(board: Board) -> Board:
    """The board with more memory than one has, so that many layers go into one image. It is only linked for."""
    more = {"flash": _ROOM, "ram": _ROOM}
    memories = tuple(replace(m, length=max(m.length, more.get(m.kind, 0))) for m in board.memories)
    return replace(board, memories=memories)


class Built:
    """One plan built for one board with one toolchain."""

    def __init__(self, samples: Sequence[Sample], forced: dict[str, str], board: Board, chain: str) -> None:
        g, values = merge(samples)
        self.plan = make_plan(g, board.core, board, kernels=forced)
        self.alignment = 16 if board.core.family == "host" else 4  # of functions
        with tempfile.TemporaryDirectory() as tmp:
            elf = Path(tmp) / "measure.elf"
            job = read_recipe(export(self.plan, values, board, Path(tmp))).job(elf)
            find_toolchain(chain).build(job)
            self.image = Image(elf)
            self.stack: StackReport | None = None  # the host's programs are not analysed
            self.graph: CallGraph | None = None
            if board.core.family != "host":
                self.stack = stack_usage(elf, board.core)
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
    boards = [roomy(b) for b in boards_of(core)]
    some = min([b.ram_bytes for b in boards if b.ram_bytes] + [1 << 18])
    small, large = apart_samples(some // 100)
    pairs = [[Built([s] * n, {}, boards[0], chain) for n in (4, 20)] for s in (small, large)]
    steps = {what: [per_layer(pair, what) for pair in pairs] for what in ("code", "const", "data")}
    layer = {what: max(0, -int(-max(found) // 1)) for what, found in steps.items()}
    few, many = (arguments(pair[0].plan.layers[0].lowered) for pair in pairs)
    layer["argument"] = max(0, -int(-(steps["code"][1] - steps["code"][0]) / (many - few) // 1))
    layer["code"] = max(0, -int(-(steps["code"][0] - layer["argument"] * few) // 1))
    layer["check"] = check_code(boards[0], chain)
    tables = Tables(pairs[0][0])
    for part in batches(core.name):
        tables.add(Built(*part, boards[0], chain))
        print(f"{core.name} {chain}: {len(tables.functions)} functions", flush=True)
    runs: dict[int, int] = {}
    for layers in (3, 6, 12, 24, 48):
        built = Built([chain_sample(layers, some // 8)], {}, boards[0], chain)
        called = [layer.lowered for layer in built.plan.layers if not layer.lowered.alias]
        if built.stack is None:
            runs[len(called)] = 0
            break
        frame = built.stack.frames["measure_run"] - stacked_arguments(called, core)
        frame += RUN_MARGIN * (8 if core.is_64bit else 4)
        runs[len(called)] = max(frame, *runs.values()) if runs else frame
    programs = {}
    for board in boards:
        tiny = Built([small] * 4, {}, board, chain)
        program = {
            what: getattr(tiny, what) - round(4 * steps[what][0]) for what in ("code", "const", "data")
        }
        margin = HOST_MARGIN if core.family == "host" else CODE_MARGIN
        program["code"] += margin - tiny.size_of("eb_lut_s8__ref")
        program["const"] += tables.const
        program["stack"] = max(  # compilers inline otherwise what knows of one layer only
            stack_above_run(Built([large] * n, {}, board, chain).stack) for n in (1, 8)
        )
        found = [t.stack for t in (tiny, Built([small], {}, board, chain))]
        program["least"] = max(s.bytes if s is not None else 0 for s in found)
        program["trace"] = trace_stack(tiny)
        programs[board.name] = program
    return {
        **{f'programs."{name}"': program for name, program in programs.items()},
        "layer": layer,
        "runs": runs,
        "functions": tables.functions,
        "helpers": tables.helpers,
        "needs": {k: sorted(v) for k, v in tables.needs.items() if v},
        "stacks": tables.stacks,
    }


def trace_stack(built: Built) -> int:
    """What eb_trace takes, callees included, which the model's run function calls after each layer."""
    if built.graph is None:
        return 0
    return max(built.graph.deepest(f) for f in built.image.functions if plain(f.name) == "eb_trace")


def check_code(board: Board, chain: str) -> int:
    """What looks for NaN and infinities in a float input, most of some sizes: what the model's run function is
    longer than one with an int8 input and a call of as many arguments."""
    plain = Built([step_sample("lut", DType.S8, 200)], {}, board, chain).size_of("measure_run")
    sizes = (7, 200, 784, 9216)
    runs = [Built([step_sample("quantize", DType.F32, n)], {}, board, chain) for n in sizes]
    return max(r.size_of("measure_run") for r in runs) - plain


def step_sample(op: str, kind: DType, count: int) -> Sample:
    """A network of one look-up or quantisation of count elements."""
    g, quant = Graph("step", inputs=["x"], outputs=["y"]), Quant(0.05, 3)
    g.tensors["x"] = Tensor("x", (1, count), kind, None if kind is DType.F32 else quant)
    rest = {"table": np.arange(-128, 128).astype(np.int8)} if op == "lut" else {"qmin": -128, "qmax": 127}
    g.nodes = [Node(op, "n", ["x"], ["y"], rest | {"out_quant": quant})]
    infer_all(g)
    return Sample(g, {"x": np.zeros((1, count), kind.numpy)})


def stack_above_run(found: StackReport | None) -> int:
    """From reset to the model's run function, with what an exception pushes; the deepest path goes there."""
    if found is None:
        return 0
    names = [name for name, _ in found.path]
    above = found.path[: names.index("measure_run")]
    return found.exception + sum(used for _, used in above)


def apart_samples(nbytes: int) -> tuple[Sample, Sample]:
    """A layer with few arguments and one with many, on tensors of about that many bytes in all, so that the code
    that computes their addresses is as long as it gets."""
    side = max(3, round((nbytes / 2) ** 0.5))
    g = Graph("lut")
    g.tensors["x"] = Tensor("x", (1, side, side, 1), DType.S8, Quant(0.05, 3))
    g.inputs, g.outputs = ["x"], ["y"]
    table = np.arange(-128, 128).astype(np.int8)
    g.nodes = [Node("lut", "n", ["x"], ["y"], {"table": table, "out_quant": Quant(0.05, 3)})]
    infer_all(g)
    few = Sample(g, {"x": np.zeros((1, side, side, 1), np.int8)})
    attrs = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1}
    side = max(3, round((nbytes / 20) ** 0.5))
    rng = np.random.default_rng(SEED)
    return few, draw(rng, "affine", "trit", "conv2d", (1, side, side, 4), (4, 3, 3, 4), attrs, 1)


@cache
def batches(core_name: str) -> list[tuple[list[Sample], dict[str, str]]]:
    """Graphs that hold every kernel and driver at least once: samples with the kernels forced on their nodes."""
    core = load_core(core_name)
    found: list[tuple[list[Sample], dict[str, str]]] = []
    linear = linear_samples(np.random.default_rng(SEED), core)
    rng = np.random.default_rng(SEED)
    other = [*other_samples(rng, 6), *quantize_samples(rng), *softmax_samples(rng), *full_groups(rng)]
    samples, forced = with_every_kernel([*linear, *other], core)
    lowered = [
        candidates(s.graph.nodes[0], s.graph, core, forced.get(f"s{k}"))[0].lowered
        for k, s in enumerate(samples)
    ]
    seen: set[str] = set()
    kept: list[Sample] = []
    names: dict[str, str] = {}
    # of drivers that differ in the steps of their epilogue, the one with the most
    for k in sorted(range(len(samples)), key=lambda k: (-len(lowered[k].function), k)):
        s, stem = samples[k], forced.get(f"s{k}")
        parts = {kind_of(plain_name(p)) for p in parts_of(lowered[k])}
        if parts <= seen:
            continue
        seen |= parts
        if stem is not None:
            names[f"s{len(kept)}"] = stem
        kept.append(s)
        if len(kept) == 100:
            found.append((kept, names))
            kept, names = [], {}
    return [*found, (kept, names)] if kept else found


class Tables:
    """Sizes and stacks of the functions of kernels, drivers and library helpers, the largest seen of each.

    const sums the constant tables of all kernels and, on the host, constants without a name, which vector code takes from memory.
    """

    def __init__(self, base: Built) -> None:
        self._base_const, self._nameless = base.const, 0
        self.base = {plain(f.name) for f in base.image.functions} - {"eb_lut_s8__ref"}
        self.functions: dict[str, int] = {}
        self.helpers: dict[str, int] = {}
        self.needs: dict[str, set[str]] = defaultdict(set)
        self.stacks: dict[str, int] = {}
        self._known = {s.name for s in base.image.symbols}
        self._objects: dict[str, int] = {}

    @property
    def const(self) -> int:
        return sum(self._objects.values()) + self._nameless

    def add(self, built: Built) -> None:
        lowered = [layer.lowered for layer in built.plan.layers]
        parts = sorted({plain_name(p) for low in lowered for p in parts_of(low)}, key=len, reverse=True)
        code = {c.symbol for low in lowered for c in low.consts}
        found: dict[str, dict[str, int]] = defaultdict(dict)  # of each part, its functions
        owner: dict[str, str] = {}
        beside: list[str] = []  # library functions in order of address
        for f in sorted(built.image.functions, key=lambda f: f.start):
            name = plain_name(plain(f.name))
            part = next((p for p in parts if name == p or name.startswith(p + "_")), None)
            size = -(-(f.end - f.start) // built.alignment) * built.alignment
            if part is not None:
                owner[f.name] = part
                found[part][name] = max(found[part].get(name, 0), size)
            elif name not in self.base and name.removesuffix("_run") not in code and name not in code:
                self.helpers[name] = max(self.helpers.get(name, 0), size)
                beside.append(name)
        for part in parts:  # some kernels are headers alone: their drivers hold all their code
            self.functions.setdefault(part, 0)
            self.stacks.setdefault(part, 0)
        for part, sizes in found.items():
            for key in {part, kind_of(part)}:
                self.functions[key] = max(self.functions.get(key, 0), sum(sizes.values()))
        self._add_constants(built)
        self._add_calls(built, owner, beside)

    def _add_constants(self, built: Built) -> None:
        weights = {c.symbol for layer in built.plan.layers for c in layer.lowered.consts}
        for o in built.image.symbols:
            section = built.image.section_at(o.address)
            if o.kind != "object" or section is None or section.writable:
                continue
            if o.name not in self._known and o.name not in weights and not _OF_THE_MODEL.match(o.name):
                self._objects[o.name] = max(self._objects.get(o.name, 0), o.size)
        if built.graph is None:
            self._nameless += max(0, built.const - self._base_const)

    def _add_calls(self, built: Built, owner: dict[str, str], beside: Sequence[str]) -> None:
        """What each part calls: stack, and library functions. One of these that nothing reaches was linked
        because it shares an archive member with its neighbour. Where calls are not read, every part may call every one."""
        needs: dict[str, set[str]] = defaultdict(set)
        if built.graph is None:
            for part in set(owner.values()):
                self.needs[part] |= set(beside)
                self.needs[kind_of(part)] |= set(beside)
            return
        for f in built.image.functions:
            part = owner.get(f.name)
            if part is None:
                continue
            found = {plain(h) for h in built.graph.reachable(f)} & set(self.helpers)
            deepest = built.graph.deepest(f)
            for key in {part, kind_of(part)}:
                needs[key] |= found
                self.stacks[key] = max(self.stacks.get(key, 0), deepest)
        reached = set().union(*needs.values()) if needs else set()
        for k, name in enumerate(beside):
            if name in reached:
                continue
            before = next((h for h in reversed(beside[:k]) if h in reached), None)
            after = next((h for h in beside[k + 1 :] if h in reached), None)
            for found in needs.values():
                if {before, after} & found:
                    found.add(name)
        for key, found in needs.items():
            self.needs[key] |= found


def write_bounds(core: Core, found: dict[str, dict[str, Any]]) -> None:
    path = core.path.parent / "bounds" / f"{bounds_name(core.name)}.toml"
    path.parent.mkdir(exist_ok=True)
    title = f"host ({platform.machine()})" if core.family == "host" else core.title
    lines = [
        f"# Bytes of code and stack on the {title}, by toolchain, measured by tests/tools/measure_core.py.",
        "# programs: everything that is not the model, by board. layer: for each layer. runs: the stack frame of",
        "# the model's run function, in networks of up to so many layers. functions, stacks: each kernel and driver",
        "# (stack with all it calls). helpers: library functions; needs: which a kernel or driver pulls in.",
    ]
    for chain, tables in found.items():
        if core.family == "host":
            lines.append(f'\n[{chain}]\ncompiler = "{find_toolchain(chain).version(core)}"')
        for table, entries in tables.items():
            lines.append(f"\n[{chain}.{table}]")
            for k in sorted(entries):
                v = entries[k]
                value = "[" + ", ".join(f'"{x}"' for x in v) + "]" if isinstance(v, list) else str(v)
                lines.append(f"{k} = {value}" if re.fullmatch(r"\w+", str(k)) else f'"{k}" = {value}')
    path.write_text("\n".join(lines) + "\n")
