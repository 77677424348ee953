"""edgebit bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebit.bench.folder import newest_export
from edgebit.bench.language_model import is_language_model, open_language_model
from edgebit.bench.measure import WALL_CLOCK, measure
from edgebit.bench.session import connect
from edgebit.cli import _options as o
from edgebit.cli._kernels import bench_kernels
from edgebit.cli._language_device import bench_on_device
from edgebit.cli._language_speed import bench_on_linux
from edgebit.cli._output import JsonFlag, Output, count
from edgebit.devices.own_counter import MEASURED
from edgebit.errors import UsageError


def command(
    path: o.Dir = None,
    board: o.BoardName = None,
    emulate: o.Emulate = None,
    port: o.Port = None,
    runs: Annotated[
        int | None,
        typer.Option(
            help="Runs to take the median of, where time is measured \\[20; of a language model 5].",
            min=1,
            show_default=False,
        ),
    ] = None,
    threads: o.Threads = None,
    toolchain: o.Tool = None,
    kernels: Annotated[
        bool,
        typer.Option(
            "--kernels",
            help="Measure every kernel of --core on fixed shapes instead; with --board as that board's flash and RAM allow.",
        ),
    ] = False,
    core: Annotated[str | None, typer.Option(help="The core of --kernels, e.g. cortex-m4f.")] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(help="With --kernels: only this shape, e.g. fc-640x128 or net; may be repeated."),
    ] = None,
    optimize: o.Optimize = "balanced",
    json: JsonFlag = False,
) -> None:
    """Measure one inference, layer by layer; or every kernel of a core.

    Emulated boards give counts that repeat exactly: modelled core cycles on Cortex-M0+ and M4 (flash wait
    states not included), executed instructions elsewhere. The host gives wall-clock time, for comparison
    within one run only. A real board counts its core's cycles where it has a counter, and is timed over the link
    where not. Every figure names its kind. Of a language model, the cost of one token is counted on emulated
    boards, and tokens a second are measured on Linux.
    """
    output = Output(json)
    if kernels and (path or port or emulate is not None):
        raise UsageError("--kernels measures a core and takes no export folder, port or emulator")
    if not kernels and (core or shape):
        raise UsageError("--core and --shape belong to --kernels")
    if kernels:
        bench_kernels(output, core, shape, optimize, toolchain, board)
        return
    named = path or newest_export(Path("build"), board)
    if is_language_model(named):
        model = open_language_model(named, board)
        if model.board.core.is_cortex_m:
            bench_on_device(output, model, emulate, toolchain)
        else:
            bench_on_linux(output, model, emulate, runs or 5, threads, toolchain)
        return
    if threads is not None:
        raise UsageError("--threads is for language models on Linux")
    folder = o.find_export(path, board)
    with output.progress() as bar:
        bar.add_task(f"measuring {folder.path.name}", total=None)
        with connect(
            folder, board=board, emulate=emulate, port=port, toolchain=toolchain, count=True
        ) as device:
            result = measure(
                folder, device, folder.vectors[0], 1 if device.emulator and device.counter else runs or 20
            )
            title = device.title
    total = result.per_inference
    if result.metric.startswith(WALL_CLOCK):
        output.say(f"{folder.name} on {title}: {total * 1e6:,.1f} us an inference ({result.metric})")
    else:
        rows = [
            [
                r["name"],
                r["kernel"],
                count(r["macs"]) if r["macs"] else "",
                count(r["value"]),
                f"{r['value'] / r['macs']:.2f}" if r["macs"] else "",
                f"{r['value'] / total:.1%}" if total else "",
            ]
            for r in result.layers
        ]
        rows.append(["total", "", count(sum(r["macs"] for r in result.layers)), count(total), "", ""])
        columns = ["layer", "kernel", "MACs", result.metric, "per MAC", "share"]
        output.table(f"{folder.name} on {title}", columns, rows, right={2, 3, 4, 5})
        clock = folder.board(board).clock_hz
        kind = {"modelled cycles": "estimated, flash waits excluded", MEASURED: "flash waits included"}
        if clock and result.metric in kind:
            output.say(
                f"at {clock / 1e6:.0f} MHz that is {total / clock * 1e3:.2f} ms, {kind[result.metric]}"
            )
    output.result(result.to_dict())
