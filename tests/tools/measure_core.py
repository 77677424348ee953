"""Measures a core: what kernels cost on it and how much code and stack they take.

    python tests/tools/measure_core.py bounds cortex-m0plus     writes runtime_c/cores/bounds/<core>.toml
    python tests/tools/measure_core.py cost cortex-m0plus       rewrites the [cost.*] tables of the core's toml
    python tests/tools/measure_core.py cost cortex-m0plus max_pool2d_s8__armv6m epilogue_requant
                                                                only these tables, from more samples
    python tests/tools/measure_core.py cost cortex-m7 tpixels_fused_s8__armv7em_code.single
                                                                only this count; the table's others stay

Both build real exports of a board with that core from random single-op samples, merged into one graph.
Bounds are read from the linked images of every installed toolchain. Costs are counted on the emulated
board, layer by layer, and fitted to the counts of Op.work: coefficients are at least 0 and minimise the
relative error, over layers with int8 outputs first. Run again after changing a kernel, a driver, the application or a port;
tests/emulated/test_predicted_sizes.py says when that is due.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from core_samples import (
    SEED,
    boards_of,
    export,
    linear_samples,
    merge,
    other_samples,
    pool_samples,
    quantize_samples,
    wanted_samples,
    with_every_kernel,
)
from measure_bounds import measure_bounds, write_bounds

from edgebit.bench.folder import open_export
from edgebit.bench.session import connect
from edgebit.board import Board
from edgebit.core import Core, list_cores, load_core
from edgebit.errors import ToolchainError, UsageError
from edgebit.ir.graph import DType, Graph, Node
from edgebit.ops.base import Sample
from edgebit.plan.kernels import all_kernels, work_of, work_tables
from edgebit.plan.plan import make_plan
from edgebit.toolchain.base import toolchains

FLOAT_COUNTS = ("step", "decode")  # what only layers with float outputs pay
EPILOGUE_COUNTS = ("element", "pixel", "step", "narrow", "shifted", "tail")
CHECK = "input_check"  # what the first layer's count holds besides: see edgebit/plan/plan.py
CHUNK = 60  # layers in one program
MOSTLY = 0.2  # share of a layer's cost that wanted tables must price for it to tell of them
TELL = 0.1  # larger errors are printed


Counts: TypeAlias = dict[tuple[str, str], float]
"""How often a layer pays each entry: (table, name) to a number."""


@dataclass(frozen=True)
class Measured:
    """One layer: its kernel (or op), what it counts, what it cost, and a note."""

    stem: str
    counts: Counts
    value: float
    note: str


def fit_costs(
    rows: Sequence[tuple[Counts, float]], wholes: Sequence[float] | None = None
) -> dict[tuple[str, str], float]:
    """The non-negative coefficients that minimise the sum of squared errors relative to `wholes`, else to the values
    themselves (Lawson and Hanson's active sets: the variable of steepest descent enters, those that would turn negative
    leave)."""
    columns = sorted({c for counts, _ in rows for c in counts})
    at = {c: k for k, c in enumerate(columns)}
    a = np.zeros((len(rows), len(columns)))
    whole = np.array([value for _, value in rows] if wholes is None else wholes)
    target = np.array([value for _, value in rows]) / whole
    for r, (counts, _) in enumerate(rows):
        for c, n in counts.items():
            a[r, at[c]] = n / whole[r]
    norm = np.linalg.norm(a, axis=0)
    norm[norm == 0] = 1.0  # a count that no layer has keeps the coefficient 0
    a /= norm
    x = np.zeros(len(columns))
    free = np.zeros(len(columns), bool)
    for _ in range(3 * len(columns)):
        gradient = a.T @ (target - a @ x)
        gradient[free] = 0
        if not gradient.size or gradient.max() < 1e-9:
            break
        free[gradient.argmax()] = True
        while True:
            best = np.zeros_like(x)
            best[free] = np.linalg.lstsq(a[:, free], target, rcond=None)[0]
            low = free & (best <= 0)
            if not low.any():
                break
            part = np.min(x[low] / (x[low] - best[low]))
            x += part * (best - x)
            free &= x > 1e-12
            x[~free] = 0
        x = best
    return {c: float(x[k] / norm[k]) for c, k in at.items()}


def fit_in_turn(
    rows: Sequence[tuple[Counts, float]], wholes: Sequence[float]
) -> dict[tuple[str, str], float]:
    """Coefficients like those of fit_costs; where there are layers with int8 outputs, of which networks consist, those
    come first, and what only layers with float outputs count is fitted to what these cost besides."""
    late = [any(v and n in FLOAT_COUNTS for (_, n), v in counts.items()) for counts, _ in rows]
    prices: dict[tuple[str, str], float] = {}
    for turn in (False, True):
        part = [k for k, is_late in enumerate(late) if is_late == turn]
        found = fit_costs(
            [
                (
                    {c: n for c, n in rows[k][0].items() if n and c not in prices},
                    rows[k][1] - sum(prices[c] * n for c, n in rows[k][0].items() if c in prices),
                )
                for k in part
            ],
            [wholes[k] for k in part],
        )
        prices |= found
    return prices


def measure_layers(
    core: Core, board: Board, samples: Sequence[Sample], forced: dict[str, str]
) -> list[Measured]:
    """What each sample costs on the emulated board, many in one program. The first layer's count holds the check
    of all float inputs, which has a table of its own."""
    found: list[Measured] = []
    for start in range(0, len(samples), CHUNK):
        part = samples[start : start + CHUNK]
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
                counted = dict(device.counter.layers())
        for layer in plan.layers:
            value = counted.get(layer.index, 0)
            if layer.lowered.alias or value == 0:
                continue
            stem = layer.choice.stem if layer.choice else layer.node.op
            counts = counts_of(layer.node, g, stem)
            if layer.index == 0:
                floats = [g.tensors[i].elements for i in g.inputs if g.tensors[i].dtype is DType.F32]
                counts[CHECK, "element"] = float(sum(floats))
            note = part[int(layer.node.name[1:])].note
            found.append(Measured(stem, counts, float(value), note))
        print(f"{core.name}: {min(start + CHUNK, len(samples))} of {len(samples)} layers", flush=True)
    return found


def counts_of(node: Node, graph: Graph, stem: str) -> Counts:
    """What a layer counts in each table that prices it."""
    work = work_of(node, graph, all_kernels().get(stem))
    return {
        (t, n): v
        for t in work_tables(node, stem)
        for n, v in work.items()
        if not t.startswith("epilogue_") or n in EPILOGUE_COUNTS
    }


def fit_tables(
    core: Core, measured: Sequence[Measured], wanted: Sequence[str]
) -> dict[str, tuple[str, dict[str, float]]]:
    """Tables with the spread of their relative errors. wanted: only these; what others price in the same layers
    is taken from the core's file."""
    rows: list[tuple[Counts, float]] = []
    used: list[Measured] = []
    named = {w.split(".")[0] for w in wanted}
    for m in measured:
        if wanted and m.stem in all_kernels() and m.stem not in core.costs.keys() | named:
            continue  # what a kernel without a price costs besides is not known
        mine = {c: n for c, n in m.counts.items() if not wanted or c[0] in wanted or ".".join(c) in wanted}
        known = sum(
            core.costs.get(t, {}).get(n, 0) * v for (t, n), v in m.counts.items() if (t, n) not in mine
        )
        told = m.stem in {w.split(".")[0] for w in wanted if "." in w} and any(mine.values())
        if told or m.value - known > MOSTLY * m.value:
            used.append(m)
            rows.append((mine, m.value - known))
    prices = fit_in_turn(rows, [m.value for m in used])
    worst: dict[str, list[float]] = defaultdict(list)
    for m, (mine, value) in zip(used, rows, strict=True):
        off = (sum(prices.get(c, 0) * n for c, n in mine.items()) - value) / m.value
        worst[m.stem].append(off)
        if abs(off) > TELL:
            print(f"  {m.stem}: {off:+.0%} of {m.value:.0f} for {m.note} {mine}")
    tables: dict[str, dict[str, float]] = defaultdict(dict)
    for w in wanted:
        table, _, count = w.partition(".")
        tables[table] |= {n: v for n, v in core.costs.get(table, {}).items() if count and n != count}
    for (table, name), v in sorted(prices.items()):
        if v > 1e-3:
            tables[table][name] = v
    spread = {t: f" # {min(w):+.0%} .. {max(w):+.0%} of {len(w)}" for t, w in worst.items()}
    return {t: (spread.get(t, ""), prices_) for t, prices_ in sorted(tables.items())}


def table_text(name: str, spread: str, prices: dict[str, float]) -> str:
    return f"[cost.{name}]{spread}\n" + "".join(f"{n} = {v:.4g}\n" for n, v in sorted(prices.items()))


def measure_costs(core: Core, wanted: Sequence[str]) -> None:
    """Rewrites all tables of a core, or only the wanted ones."""
    boards = boards_of(core)
    if not boards:
        copy_costs(core)
        return
    rng = np.random.default_rng(SEED)
    board = boards[0]
    if wanted:
        samples, forced = wanted_samples(rng, core, [w.split(".")[0] for w in wanted])
    else:
        every = [
            *linear_samples(rng, core),
            *pool_samples(rng),
            *quantize_samples(rng),
            *other_samples(rng, 14),
        ]
        samples, forced = with_every_kernel(every, core)
    found = fit_tables(core, measure_layers(core, board, samples, forced), wanted)
    if wanted:
        for name in dict.fromkeys(w.split(".")[0] for w in wanted):
            if name in found:
                replace_table(core, name, table_text(name, *found[name]))
            else:
                print(f"{name}: no sample runs on it; its table stays")
        return
    text = (
        f"\n# What kernels cost, in {core.metric}: one entry for each count of Op.work. Fitted by\n"
        f"# tests/tools/measure_core.py to emulated runs on the {board.title}; the comment gives the spread\n"
        "# of the relative error over the layers measured.\n"
    )
    write_costs(core, text + "".join(f"\n{table_text(n, *t)}" for n, t in found.items()))


def replace_table(core: Core, name: str, text: str) -> None:
    """Put one table in the place of the core's old one, or among the others in order."""
    old = core.path.read_text()
    head, *tables = re.split(r"\n(?=\[cost\.)", old.rstrip("\n"))
    kept = [t for t in tables if not t.startswith(f"[cost.{name}]")]
    at = next((k for k, t in enumerate(kept) if t > f"[cost.{name}]"), len(kept))
    if len(kept) < len(tables):
        at = next(k for k, t in enumerate(tables) if t.startswith(f"[cost.{name}]"))
    kept.insert(at, text if at < len(kept) else text.rstrip("\n"))
    core.path.write_text("\n".join([head, *kept]) + "\n")


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


def main(arguments: Sequence[str]) -> int:
    if (
        len(arguments) < 2
        or arguments[0] not in ("bounds", "cost")
        or (arguments[0] == "bounds" and len(arguments) > 2)
    ):
        print(__doc__)
        return 2
    core = load_core(arguments[1])
    if arguments[0] == "cost":
        measure_costs(core, arguments[2:])
        return 0
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
