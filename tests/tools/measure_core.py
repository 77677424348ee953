"""Measures a core: what kernels cost on it and how much code and stack they take.

    python tests/tools/measure_core.py bounds cortex-m0plus     writes runtime_c/cores/bounds/<core>.toml
    python tests/tools/measure_core.py cost cortex-m0plus       rewrites the [cost.*] tables of the core's toml

Both build real exports of a board with that core from random single-op samples, merged into one graph.
Bounds are read from the linked images of every installed toolchain. Costs are counted on the emulated
board, layer by layer, and fitted to the counts of Op.work: coefficients are at least 0 and minimise the
relative error over all layers. Run again after changing a kernel, a driver, the application or a port;
tests/unit/test_plan_bounds.py says when that is due.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from edgebit.exporters.pipeline import ExportMeta, export_model

from edgebit.bench.folder import open_export
from edgebit.bench.session import connect
from edgebit.board import Board, list_boards, load_board
from edgebit.core import Core, list_cores, load_core
from edgebit.errors import ToolchainError, UsageError
from edgebit.ir.graph import Array, Graph, Node, Tensor
from edgebit.ops.base import Sample, registry
from edgebit.ops.linear_samples import linear_sample
from edgebit.plan.account import kind_of, table_bytes
from edgebit.plan.kernels import all_kernels, candidates, work_of, work_tables
from edgebit.plan.plan import Plan, make_plan
from edgebit.toolchain.base import toolchains
from edgebit.toolchain.build import build_export
from edgebit.toolchain.elf import Image
from edgebit.toolchain.stack import CallGraph, stack_usage

SEED = 20260101
DENSE = [
    (1, 4, 2),
    (1, 8, 24),
    (2, 128, 3),
    (1, 32, 16),
    (1, 64, 64),
    (1, 100, 10),
    (1, 256, 32),
    (1, 400, 8),
    (3, 48, 24),
    (5, 32, 16),
    (8, 96, 40),
]
LARGE = [
    (1, 640, 128),
    (1, 256, 512),
    (1, 1536, 192),
    (4, 512, 96),
]  # for cores with the memory and the speed
CONV = [  # input (H, W, C), weights (OC, KH, KW), stride
    ((3, 3, 2), (2, 2, 2), 1),
    ((8, 8, 8), (16, 3, 3), 1),
    ((6, 6, 16), (16, 3, 3), 2),
    ((6, 6, 32), (24, 1, 1), 1),
    ((10, 10, 1), (8, 3, 3), 1),
    ((4, 4, 64), (8, 1, 1), 1),
]
DEPTHWISE = [
    ((3, 3, 2), (2, 2), 1),
    ((5, 5, 24), (1, 1), 1),
    ((7, 7, 6), (3, 3), 1),
    ((6, 6, 16), (3, 3), 1),
    ((8, 8, 8), (5, 5), 2),
    ((4, 4, 32), (3, 3), 1),
]
EPILOGUE_COUNTS = ("element", "pixel")


def kinds() -> list[tuple[str, str]]:
    return [(m, w) for m in ("requant", "affine", "dynamic") for w in ("trit", "s8")] + [
        ("f32", w) for w in ("trit", "s8", "f32")
    ]


def draw(rng: np.random.Generator, mode: str, weights: str, *args: Any) -> Sample:
    """A linear sample of one kind; `linear_sample` picks kinds at random."""
    while True:
        s = linear_sample(rng, *args)
        if s.note.startswith(f"{mode} {weights} "):
            return s


def linear_samples(rng: np.random.Generator, core: Core) -> Iterable[Sample]:
    """Dense, convolution and depthwise layers of every kind, in shapes that real models have."""
    for mode, w in kinds():
        for m, k, n in [*DENSE, *(LARGE if w == "trit" and mode != "f32" and not core.is_cortex_m else [])]:
            yield draw(rng, mode, w, "dense", (m, k), (n, k), {}, m)
        for (h, wd, c), (oc, kh, kw), stride in CONV:
            pad = kh // 2
            attrs = {
                "strides": (stride, stride),
                "pads": (pad, pad, pad, pad),
                "dilations": (1, 1),
                "groups": 1,
            }
            yield draw(rng, mode, w, "conv2d", (1, h, wd, c), (oc, kh, kw, c), attrs, 1)
        for (h, wd, c), (kh, kw), stride in DEPTHWISE:
            pad = kh // 2
            attrs = {
                "strides": (stride, stride),
                "pads": (pad, pad, pad, pad),
                "dilations": (1, 1),
                "groups": c,
            }
            yield draw(rng, mode, w, "conv2d", (1, h, wd, c), (c, kh, kw, 1), attrs, 1)


def other_samples(rng: np.random.Generator, each: int) -> Iterable[Sample]:
    """Random samples of every op that is not linear."""
    for name, op in sorted(registry().items()):
        if name in ("dense", "conv2d"):
            continue
        for _ in range(each):
            s = op.samples(rng)
            if s is not None:
                yield s


def merge(samples: Sequence[Sample]) -> tuple[Graph, dict[str, Array]]:
    """One graph that runs every sample's node side by side, and its inputs."""
    g = Graph("measure")
    values: dict[str, Array] = {}
    for k, s in enumerate(samples):
        name = {n: f"s{k}.{n}" for n in [*s.graph.tensors, *s.graph.consts]} | {"": ""}
        for t in s.graph.tensors.values():
            g.tensors[name[t.name]] = Tensor(name[t.name], t.shape, t.dtype, t.quant)
        g.consts |= {name[c]: v for c, v in s.graph.consts.items()}
        g.inputs += [name[i] for i in s.graph.inputs]
        values |= {name[i]: np.where(np.isfinite(v), v, 1).astype(v.dtype) for i, v in s.inputs.items()}
        for n in s.graph.nodes:
            g.nodes.append(
                Node(
                    n.op,
                    f"s{k}",
                    [name[i] for i in n.inputs],
                    [name[o] for o in n.outputs],
                    n.attrs,
                )
            )
        g.outputs += [name[o] for o in s.graph.outputs]
    g.check()
    return g, values


def with_every_kernel(samples: Iterable[Sample], core: Core) -> tuple[list[Sample], dict[str, str]]:
    """Each sample once for each kernel that can run it; the kernel forced on each node of the merged graph."""
    found: list[Sample] = []
    forced: dict[str, str] = {}
    for s in samples:
        for c in candidates(s.graph.nodes[0], s.graph, core):
            if c.choice is not None:
                forced[f"s{len(found)}"] = c.choice.stem
            found.append(s)
    return found, forced


def export(plan: Plan, values: dict[str, Array], board: Board, folder: Path) -> Path:
    meta = ExportMeta("measure", board.name, "measure", "0" * 64, source_note="random")
    return export_model(plan, [values], folder / "measure", meta=meta)


def boards_of(core: Core) -> list[Board]:
    """Boards with this core, the one with most RAM first."""
    return sorted(
        (load_board(b) for b in list_boards() if load_board(b).core.name == core.name),
        key=lambda b: (-b.ram_bytes, b.name),
    )


# Costs


def fit_costs(rows: list[tuple[dict[tuple[str, str], float], float]]) -> dict[tuple[str, str], float]:
    """Non-negative coefficients that minimise the sum of squared relative errors (coordinate descent)."""
    columns = sorted({c for counts, _ in rows for c in counts})
    at = {c: k for k, c in enumerate(columns)}
    a = np.zeros((len(rows), len(columns)))
    for r, (counts, value) in enumerate(rows):
        for c, n in counts.items():
            a[r, at[c]] = n / value
    norm = np.linalg.norm(a, axis=0)
    a /= norm
    x = np.zeros(len(columns))
    residual = np.ones(len(rows))
    for _ in range(20000):
        moved = 0.0
        for k in range(len(columns)):
            step = max(-x[k], float(a[:, k] @ residual))
            x[k] += step
            residual -= step * a[:, k]
            moved = max(moved, abs(step))
        if moved < 1e-9:
            break
    return {c: float(x[k] / norm[k]) for c, k in at.items()}


def measure_costs(core: Core) -> None:
    boards = boards_of(core)
    if not boards:
        copy_costs(core)
        return
    rng = np.random.default_rng(SEED)
    board = boards[0]
    samples, forced = with_every_kernel([*linear_samples(rng, core), *other_samples(rng, 14)], core)
    rows: list[tuple[dict[tuple[str, str], float], float]] = []
    notes: list[tuple[str, str]] = []
    chunk = 60
    for start in range(0, len(samples), chunk):
        part = samples[start : start + chunk]
        g, values = merge(part)
        names = {
            f"s{k - start}": forced[f"s{k}"] for k in range(start, start + len(part)) if f"s{k}" in forced
        }
        with tempfile.TemporaryDirectory() as tmp:
            plan = make_plan(g, core, board, kernels=names)
            folder = open_export(export(plan, values, board, Path(tmp)))
            with connect(folder, emulate="", count=True) as device:
                for k, i in enumerate(g.inputs):
                    device.link.write_input(k, np.ascontiguousarray(values[i]).tobytes())
                device.link.run(hash_layers=False)
                assert device.counter is not None
                counts = dict(device.counter.layers())
        for layer in plan.layers:
            value = counts.get(layer.index, 0)
            if layer.lowered.alias or value == 0 or layer.index == 0:
                continue  # the first layer's count holds the check of all inputs
            stem = layer.choice.stem if layer.choice else layer.node.op
            work = work_of(layer.node, g, all_kernels().get(stem))
            tables = work_tables(layer.node, stem)
            rows.append(
                (
                    {
                        (t, n): v
                        for t in tables
                        for n, v in work.items()
                        if not t.startswith("epilogue_") or n in EPILOGUE_COUNTS
                    },
                    float(value),
                )
            )
            notes.append((stem, f"{part[int(layer.node.name[1:])].note}"))
        print(f"{core.name}: {min(start + chunk, len(samples))} of {len(samples)} layers", flush=True)
    found = fit_costs(rows)
    worst: dict[str, list[float]] = defaultdict(list)
    for (counts_, value), (stem, note) in zip(rows, notes, strict=True):
        worst[stem].append(sum(found[c] * n for c, n in counts_.items()) / value - 1)
        if abs(worst[stem][-1]) > 0.5:
            print(f"  {stem}: {worst[stem][-1]:+.0%} of {value:.0f} for {note} {counts_}")
    tables: dict[str, dict[str, float]] = defaultdict(dict)
    for (table, name), v in found.items():
        if v > 1e-3:
            tables[table][name] = v
    text = (
        f"\n# What kernels cost, in {core.metric}: one entry for each count of Op.work. Fitted by\n"
        f"# tests/tools/measure_core.py to emulated runs on the {board.title}; the comment gives the spread\n"
        "# of the relative error over the layers measured.\n"
    )
    for table in sorted(tables):
        errors = worst.get(table)
        spread = f" # {min(errors):+.0%} .. {max(errors):+.0%} of {len(errors)}" if errors else ""
        text += f"\n[cost.{table}]{spread}\n"
        for n, v in sorted(tables[table].items()):
            text += f"{n} = {v:.4g}\n"
    write_costs(core, text)


def copy_costs(core: Core) -> None:
    """Costs of a core without a board: those of one with the same instruction sets and metric."""
    for other in (load_core(c) for c in list_cores()):
        if (other.isa, other.metric) == (core.isa, core.metric) and other.costs and other.name != core.name:
            text = other.path.read_text()
            tables = text[text.index("\n[cost.") :]
            note = (
                f"\n# What kernels cost, in {core.metric}: as measured on the {other.title}, which runs the\n"
            )
            write_costs(core, note + "# same kernels. No board with this core exists yet.\n" + tables)
            return
    raise UsageError(f"{core.name}: there is no board with this core and no core like it")


def write_costs(core: Core, text: str) -> None:
    """Replace what follows the comment that starts the tables."""
    kept = re.split(r"\n# What kernels cost", core.path.read_text())[0].rstrip()
    core.path.write_text(kept + "\n" + text)


# Bounds


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
    base = pairs[0][0]
    tables = Tables(base)
    linear = list(linear_samples(np.random.default_rng(SEED)))
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
    rng = np.random.default_rng(SEED)
    run = base.stack.frames["measure_run"]
    for _ in range(10):  # models of ordinary size
        chosen = [linear[k] for k in rng.choice(len(linear), 5, replace=False)]
        chosen += [other[k] for k in rng.choice(len(other), 4, replace=False)]
        run = max(run, Built(chosen, {}, boards[0], chain).stack.frames["measure_run"])
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
                self.single[entry] = max(self.single.get(entry, 0), -(-(f.end - f.start) // 4) * 4)
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
        for o in built.image.symbols:
            section = built.image.section_at(o.address)
            if o.kind != "object" or section is None or section.writable:
                continue
            if o.name not in self._known and not o.name.startswith("measure_"):
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


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in ("bounds", "cost"):
        print(__doc__)
        return 2
    core = load_core(arguments[1])
    if arguments[0] == "cost":
        measure_costs(core)
        return 0
    (core.path.parent / "bounds" / f"{core.name}.toml").unlink(missing_ok=True)  # measure with guesses
    found = {}
    for chain in sorted(toolchains(), reverse=True):
        try:
            toolchains()[chain].version(core)
        except ToolchainError as e:
            print(f"left out: {e}")
            continue
        found[chain] = measure_bounds(core, chain)
    write_bounds(core, found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
