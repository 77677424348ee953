"""What the kernel benchmark will run and what it reports: tasks and rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebit.bench.kernel_shapes import NODE, Shape
from edgebit.board import Board
from edgebit.core import Core
from edgebit.ir.graph import Array, Graph, Node
from edgebit.ops.base import op_of
from edgebit.plan.kernels import Candidate, Optimize
from edgebit.plan.plan import Plan, make_plan, ranked_candidates

MODES: tuple[Optimize, ...] = ("speed", "balanced")

RATIO = "wall clock, ratio to ref in one run"


@dataclass(frozen=True)
class Row:
    """One measurement. value and predicted are in units of metric; predicted is None where the core's table
    has no price. chosen: what an export takes under the `optimize` asked for. scratch in bytes."""

    shape: str
    kernel: str
    layout: str
    metric: str
    value: float
    bits_per_weight: float
    scratch_bytes: int
    bit_exact: bool
    chosen: bool
    predicted: float | None
    macs: int
    weight_bytes: int


@dataclass(frozen=True)
class Skipped:
    """What could not be measured, and why."""

    shape: str
    kernel: str
    reason: str


@dataclass(frozen=True)
class Task:
    """Something to run: a plan for one layer (or network) and what its row says of it."""

    shape: Shape
    kernel: str
    layout: str
    forced: str | None
    bits_per_weight: float
    scratch_bytes: int
    chosen: bool
    predicted: float | None
    macs: int
    weight_bytes: int

    def counted(self, metric: str, core: Core) -> Task:
        """The task without its prediction if what was counted is not what the core's table prices: instructions
        where nothing here models its cycles."""
        return self if metric == core.metric else dataclasses.replace(self, predicted=None)

    def row(self, metric: str, value: float, exact: bool, reference: float | None = None) -> Row:
        """The row of a measured cost: of a layer per MAC, of a network as it is.

        Of a RATIO, `reference` is the predicted cost of what it is a ratio to, None when that is not known.
        """
        network = self.shape.network
        per: float | None = 1 if network else self.macs
        if metric == RATIO:
            per = reference
        return Row(
            shape=self.shape.name,
            kernel=self.kernel,
            layout=self.layout,
            metric=metric if metric == RATIO else f"{metric}/{'inference' if network else 'MAC'}",
            value=round(value, 5) if metric == RATIO or network else round(value / self.macs, 4),
            bits_per_weight=round(self.bits_per_weight, 3),
            scratch_bytes=self.scratch_bytes,
            bit_exact=exact,
            chosen=self.chosen,
            predicted=None if self.predicted is None or not per else round(self.predicted / per, 4),
            macs=self.macs,
            weight_bytes=self.weight_bytes,
        )


def layer_tasks(shape: Shape, board: Board, optimize: Optimize) -> tuple[Graph, list[Task]]:
    """The shape's graph, and a task for each kernel that can run it, as an export would rank them."""
    g = shape.make()
    [found] = ranked_candidates(g, board.core, board, optimize)
    if shape.bits is not None:
        low, high = shape.bits
        found = [c for c in found if low <= c.lowered.bits_per_weight <= high]
    macs = op_of(g.nodes[0]).macs(g.nodes[0], g)
    return g, [_layer_task(shape, c, macs, chosen=c is found[0]) for c in found]


def _layer_task(shape: Shape, c: Candidate, macs: int, *, chosen: bool) -> Task:
    return Task(
        shape=shape,
        kernel=c.stem,
        layout=c.lowered.layout,
        forced=c.stem,
        bits_per_weight=c.lowered.bits_per_weight,
        scratch_bytes=c.lowered.scratch_bytes,
        chosen=chosen,
        predicted=c.cost if c.modelled else None,
        macs=macs,
        weight_bytes=c.nbytes,
    )


def network_tasks(shape: Shape, board: Board, optimize: Optimize) -> list[tuple[Plan, Task]]:
    """A plan as `optimize` has it, and those for speed and balanced where they differ."""
    g = shape.make()
    made: list[tuple[Plan, Task]] = []
    seen: list[list[str]] = []
    for mode in dict.fromkeys([optimize, *MODES]):
        plan = make_plan(g, board.core, board, optimize=mode)
        stems = [layer.lowered.kernel for layer in plan.layers]
        if stems in seen:
            continue
        seen.append(stems)
        weights = [layer for layer in plan.layers if layer.macs and layer.lowered.bits_per_weight]
        sizes = [g.consts[layer.node.inputs[1]].shape for layer in weights]
        count = sum(int(np.prod(s)) for s in sizes)
        bits = sum(w.lowered.bits_per_weight * int(np.prod(s)) for w, s in zip(weights, sizes, strict=True))
        task = Task(
            shape=shape,
            kernel=f"by layer, {mode}",
            layout="by layer",
            forced=None,
            bits_per_weight=bits / count,
            scratch_bytes=plan.scratch_bytes,
            chosen=mode == optimize,
            predicted=plan.cost if all(layer.modelled for layer in plan.layers) else None,
            macs=plan.macs,
            weight_bytes=plan.weight_bytes,
        )
        made.append((plan, task))
    return made


def side_by_side(graph: Graph, tasks: Sequence[Task]) -> tuple[Graph, dict[str, str]]:
    """The one-node graph with its node once for each task, and the kernel forced on each."""
    (node,) = graph.nodes
    out = graph.tensors[node.outputs[0]]
    g = Graph(graph.name, list(graph.inputs), consts=dict(graph.consts))
    g.tensors = {i: graph.tensors[i] for i in graph.inputs}
    forced: dict[str, str] = {}
    for k, t in enumerate(tasks):
        name, y = f"{NODE}{k}", f"y{k}"
        g.tensors[y] = dataclasses.replace(out, name=y)
        g.nodes.append(Node(node.op, name, node.inputs, [y], node.attrs))
        g.outputs.append(y)
        if t.forced is not None:
            forced[name] = t.forced
    g.check()
    return g, forced


def inputs_for(graph: Graph) -> list[dict[str, Array]]:
    """Two canonical vectors: all codes equally likely, and only the two extremes."""
    vectors: list[dict[str, Array]] = [{}, {}]
    for n, draw in enumerate((np.arange(-128, 128), np.array([-128, 127]))):
        rng = np.random.Generator(np.random.PCG64([0xBE9C, n]))
        for i in graph.inputs:
            vectors[n][i] = rng.choice(draw.astype(np.int8), graph.tensors[i].shape)
    return vectors
