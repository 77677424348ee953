"""Measures kernels: every variant that can run a shape, in a real image on the emulated core, against NumPy.

All variants of a layer are exported side by side as one model with one input, so that each is the code a user
gets: driver, packing, table build, product and requantisation. Figures of layers are for one multiply-accumulate,
those of networks for one inference. The host is timed instead, and only against its own portable kernels.
"""

from __future__ import annotations

import dataclasses
import importlib
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgebit.bench.folder import ExportFolder, open_export
from edgebit.bench.in_process import all_reference, ratios
from edgebit.bench.kernel_shapes import Shape
from edgebit.bench.kernel_tasks import (
    RATIO,
    Row,
    Skipped,
    Task,
    inputs_for,
    layer_tasks,
    network_tasks,
    side_by_side,
)
from edgebit.bench.verify import check_weights
from edgebit.board import Board, list_boards, load_board
from edgebit.core import Core, load_core
from edgebit.devices.link import Link
from edgebit.devices.open import emulators, open_device
from edgebit.errors import FitError, ToolchainError, UsageError
from edgebit.ir.graph import Array, Graph
from edgebit.ops.base import execute
from edgebit.plan.account import fit
from edgebit.plan.kernels import Optimize
from edgebit.plan.plan import Plan, make_plan
from edgebit.toolchain.base import find_toolchain
from edgebit.toolchain.build import build_export

Say = Callable[[str], None]
Measured = Sequence["Row | Skipped"]


@dataclass
class Result:
    """All rows of one core. machine says what ran them, toolchain what compiled them."""

    core: str
    machine: str
    toolchain: str
    optimize: str
    rows: list[Row] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def bit_exact(self) -> bool:
        return all(r.bit_exact for r in self.rows)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def machine_for(core: Core) -> Board:
    """A machine with this core: the host itself, or the emulated board with most RAM."""
    if core.family == "host":
        return load_board("host")
    mine = [load_board(b) for b in list_boards() if load_board(b).core.name == core.name]
    mine = [b for b in mine if emulators(b)]
    if not mine:
        raise UsageError(f"no board here with a {core.title} is emulated, so its kernels cannot be counted")
    return max(mine, key=lambda b: ("unicorn" in b.emulators, b.ram_bytes, b.name))


def count_plan(plan: Plan, board: Board, toolchain: str | None) -> tuple[str, list[tuple[float, bool]]]:
    """Build and run a plan; the metric, and for each layer its cost and whether all its bytes were right.

    The cost is counted on the first vector. Raises FitError or ToolchainError when the image does not fit.
    """
    fit(plan).check()
    vectors = inputs_for(plan.graph)
    pipeline: Any = importlib.import_module("edgebit.exporters.pipeline")
    meta = pipeline.ExportMeta("bench", board.name, "-", "0" * 64, source_note="random")
    with tempfile.TemporaryDirectory() as folder:
        export = open_export(Path(pipeline.export_model(plan, vectors, Path(folder) / "bench", meta=meta)))
        built = build_export(export.path, toolchain=toolchain)
        with open_device(
            board,
            built,
            emulate="",
            count=board.core.unicorn_model is None,
            model_id=export.manifest["model_id"],
        ) as device:
            device.link.hello()
            exact = _exact_layers(export, device.link, vectors)
            if device.counter is None:
                raise UsageError(f"nothing here counts what runs on the emulated {board.title}")
            device.counter.enable(True)
            _load(device.link, plan.graph, vectors[0])
            device.link.run(hash_layers=False)
            counts = dict(device.counter.layers())
            return device.counter.metric, [(float(counts.get(k, 0)), ok) for k, ok in enumerate(exact)]


def _exact_layers(export: ExportFolder, link: Link, vectors: Sequence[Mapping[str, Array]]) -> list[bool]:
    """For each layer: are the device's bytes the reference's, for every vector?"""
    check_weights(export, link)
    exact = [True] * len(export.graph.nodes)
    for n, v in enumerate(vectors):
        want = export.manifest["vectors"]["layer_crcs"][n]
        _load(link, export.graph, v)
        link.run(hash_layers=True)
        for k, crc in enumerate(link.hashes(len(exact))):
            exact[k] &= crc == want[k]
    return exact


def _load(link: Link, graph: Graph, vector: Mapping[str, Array]) -> None:
    link.reset()
    for k, i in enumerate(graph.inputs):
        link.write_input(k, np.ascontiguousarray(vector[i]).tobytes())


def measure_layers(graph: Graph, tasks: Sequence[Task], board: Board, toolchain: str | None) -> Measured:
    """Rows of kernels that share an image, or several images when they do not fit one."""
    merged, forced = side_by_side(graph, tasks)
    try:
        plan = make_plan(merged, board.core, board, kernels=forced)
        metric, found = count_plan(plan, board, toolchain)
    except (FitError, ToolchainError) as e:
        if len(tasks) == 1:
            return [Skipped(tasks[0].shape.name, tasks[0].kernel, str(e))]
        half = len(tasks) // 2
        parts = (tasks[:half], tasks[half:])
        return [r for part in parts for r in measure_layers(graph, part, board, toolchain)]
    return [
        t.counted(metric, board.core).row(metric, cost, exact)
        for t, (cost, exact) in zip(tasks, found, strict=True)
    ]


def measure_network(plan: Plan, task: Task, board: Board, toolchain: str | None) -> Row | Skipped:
    """The row of a whole network."""
    try:
        metric, found = count_plan(plan, board, toolchain)
    except FitError as e:
        return Skipped(task.shape.name, task.kernel, str(e))
    return task.counted(metric, board.core).row(
        metric, sum(cost for cost, _ in found), all(exact for _, exact in found)
    )


def time_on_host(made: Sequence[tuple[Plan, Task]], board: Board, toolchain: str | None) -> Measured:
    """Rows of this machine: times over that of the portable kernels, in one process."""
    graph = made[0][0].graph
    reference = make_plan(graph, board.core, board, kernels=all_reference(made[0][0]))
    known = reference.cost if all(layer.modelled for layer in reference.layers) else None
    vectors = inputs_for(graph)
    wanted = [execute(graph, v) for v in vectors]
    rows = []
    timed = ratios([p for p, _ in made], reference, vectors, toolchain)
    for (_, task), (ratio, outputs) in zip(made, timed, strict=True):
        exact = all(
            got[o].tobytes() == want[o].tobytes()
            for got, want in zip(outputs, wanted, strict=True)
            for o in graph.outputs
        )
        rows.append(task.row(RATIO, ratio, exact, known))
    return rows


def _measure(
    shape: Shape, board: Board, optimize: Optimize, toolchain: str | None
) -> Iterable[Row | Skipped]:
    if shape.network:
        nets = network_tasks(shape, board, optimize)
        if board.core.family == "host":
            return time_on_host(nets, board, toolchain)
        return [measure_network(plan, task, board, toolchain) for plan, task in nets]
    graph, tasks = layer_tasks(shape, board, optimize)
    if not tasks:
        return [Skipped(shape.name, "", f"no kernel with such weights for {board.core.name}")]
    if board.core.family != "host":
        return measure_layers(graph, tasks, board, toolchain)
    node = graph.nodes[0].name
    plans = [make_plan(graph, board.core, board, kernels={node: t.kernel}) for t in tasks]
    return time_on_host(list(zip(plans, tasks, strict=True)), board, toolchain)


def measure_kernels(
    core: str,
    shapes: Sequence[Shape],
    *,
    optimize: Optimize = "balanced",
    toolchain: str | None = None,
    say: Say = lambda _: None,
    board: Board | None = None,
) -> Result:
    """Every kernel of every shape on one core: on `board`, which has it, or on the machine_for it."""
    board = board or machine_for(load_core(core))
    machine = board.title
    if board.core.family != "host":
        machine = f"{board.name}, emulated by {emulators(board)[0]}"
    result = Result(core, machine, find_toolchain(toolchain).version(board.core), optimize)
    for shape in shapes:
        say(f"{core}: {shape.name}")
        for r in _measure(shape, board, optimize, toolchain):
            if isinstance(r, Row):
                result.rows.append(r)
            else:
                result.skipped.append(r)
    return result
