"""Measures a core: what kernels cost on it and how much code and stack they take.

    python tests/tools/measure_core.py bounds cortex-m0plus     writes runtime_c/cores/bounds/<core>.toml
    python tests/tools/measure_core.py cost cortex-m0plus       rewrites the [cost.*] tables of the core's toml

Both build real exports of a board with that core from random single-op samples, merged into one graph.
Bounds are read from the linked images of every installed toolchain. Costs are counted on the emulated
board, layer by layer, and fitted to the counts of Op.work: coefficients are at least 0 and minimise the
relative error over all layers. Run again after changing a kernel, a driver, the application or a port;
tests/e2e/test_predicted_sizes.py says when that is due.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from core_samples import SEED, boards_of, export, linear_samples, merge, other_samples, with_every_kernel
from measure_bounds import measure_bounds, write_bounds

from edgebit.bench.folder import open_export
from edgebit.bench.session import connect
from edgebit.core import Core, list_cores, load_core
from edgebit.errors import ToolchainError, UsageError
from edgebit.plan.kernels import all_kernels, work_of, work_tables
from edgebit.plan.plan import make_plan
from edgebit.toolchain.base import toolchains

EPILOGUE_COUNTS = ("element", "pixel", "step")


def fit_costs(rows: list[tuple[dict[tuple[str, str], float], float]]) -> dict[tuple[str, str], float]:
    """Non-negative coefficients that minimise the sum of squared relative errors (coordinate descent)."""
    columns = sorted({c for counts, _ in rows for c in counts})
    at = {c: k for k, c in enumerate(columns)}
    a = np.zeros((len(rows), len(columns)))
    for r, (counts, value) in enumerate(rows):
        for c, n in counts.items():
            a[r, at[c]] = n / value
    norm = np.linalg.norm(a, axis=0)
    norm[norm == 0] = 1.0  # a count that no layer has keeps the coefficient 0
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


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in ("bounds", "cost"):
        print(__doc__)
        return 2
    core = load_core(arguments[1])
    if arguments[0] == "cost":
        measure_costs(core)
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
