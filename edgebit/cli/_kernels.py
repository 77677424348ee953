"""edgebit bench --kernels: every kernel of a core on fixed shapes."""

from __future__ import annotations

from typing import cast, get_args

import typer

from edgebit.bench.kernel_shapes import find_shapes
from edgebit.bench.kernel_tasks import Row
from edgebit.bench.kernels import Result, measure_kernels
from edgebit.board import load_board
from edgebit.cli._output import Output, count
from edgebit.core import load_core
from edgebit.devices.open import emulators
from edgebit.errors import MismatchError, UsageError
from edgebit.plan.kernels import Optimize


def bench_kernels(
    output: Output,
    core: str | None,
    shapes: list[str] | None,
    optimize: str,
    toolchain: str | None,
    board: str | None,
) -> None:
    """Measure, print, and exit 9 when a kernel's bytes are not the reference's."""
    machine = load_board(board) if board else None
    if machine:
        if core not in (None, machine.core.name):
            raise UsageError(
                f"--core {core}: {machine.title} has a {machine.core.name}; leave one of the two out"
            )
        if machine.core.family != "host" and not emulators(machine):
            raise UsageError(f"no emulator here runs {machine.title}, so its kernels cannot be counted")
        core = machine.core.name
    if core is None:
        raise UsageError("--kernels measures a core: say --core, e.g. --core cortex-m4f, or --board")
    load_core(core)
    if optimize not in get_args(Optimize):
        raise UsageError(f"--optimize {optimize}: choose one of {', '.join(get_args(Optimize))}")
    wanted = find_shapes(shapes)
    with output.progress() as bar:
        job = bar.add_task(core, total=len(wanted))

        def say(text: str) -> None:
            bar.update(job, description=text, advance=1)

        result = measure_kernels(
            core, wanted, optimize=cast(Optimize, optimize), toolchain=toolchain, say=say, board=machine
        )
    _print(output, result)
    output.result(result.to_dict())
    wrong = [f"{r.kernel} on {r.shape}" for r in result.rows if not r.bit_exact]
    if wrong:
        message = f"not bit-exact: {', '.join(wrong)}"
        if not output.as_json:
            raise MismatchError(message)
        output.notes.print(message)
        raise typer.Exit(MismatchError.exit_code)


def _print(output: Output, result: Result) -> None:
    rows = [_cells(r) for r in result.rows]
    columns = ["shape", "kernel", "layout", "value", "predicted", "bits/weight", "scratch B", "exact"]
    metrics = list(dict.fromkeys(r.metric for r in result.rows))
    output.table(f"kernels of {result.core}: {'; '.join(metrics)}", columns, rows, right={3, 4, 5, 6})
    output.say(f"* what --optimize {result.optimize} takes; run on: {result.machine}, {result.toolchain}")
    for s in result.skipped:
        output.say(f"left out: {s.shape} {s.kernel}: {s.reason}")


def _cells(r: Row) -> list[str]:
    return [
        r.shape,
        ("* " if r.chosen else "") + r.kernel,
        r.layout,
        figure(r.value),
        "" if r.predicted is None else figure(r.predicted),
        f"{r.bits_per_weight:.2f}",
        count(r.scratch_bytes),
        "yes" if r.bit_exact else "NO",
    ]


def figure(value: float) -> str:
    """A cost: counts in full, ratios with what matters of them."""
    return count(value) if value >= 1000 else f"{value:.3g}" if value < 0.1 else f"{value:.3f}"
