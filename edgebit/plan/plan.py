"""The plan: for each layer its kernel and packed weights, for each tensor its place in the arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgebit.board import Board
from edgebit.core import Core
from edgebit.errors import EdgebitError
from edgebit.ir.graph import DType, Graph, GraphError, Node
from edgebit.ops.base import KernelChoice, Lowered, op_of
from edgebit.plan.account import (
    Bounds,
    checked,
    code_bound,
    const_bound,
    data_bound,
    load_bounds,
    stack_bound,
)
from edgebit.plan.arena import ArenaPlan, Block, Reuse, align_up, live_bytes, plan_arena
from edgebit.plan.choice import choose, rank_all
from edgebit.plan.kernels import Candidate, Optimize, candidates, waiting


@dataclass(frozen=True)
class RunnerUp:
    """The kernel a layer would have had otherwise, with what it costs (core's metric) and takes (bytes)."""

    kernel: str
    layout: str
    cost: float
    nbytes: int


@dataclass(frozen=True)
class PlannedLayer:
    """One node with everything decided.

    cost is the predicted cost of one run in the core's metric; modelled is False when the core's table does
    not price the kernel and cost is a default. weight_bytes is the flash its constants take. wait is the estimate
    of what the board's flash adds to cost, in cycles.
    """

    index: int
    node: Node
    lowered: Lowered
    choice: KernelChoice | None
    runner_up: RunnerUp | None
    cost: float
    modelled: bool
    macs: int
    weight_bytes: int
    wait: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A graph placed on a core, and on a board when there is one.

    offsets: tensor name -> byte offset in the arena. scratch_offset: layer index -> byte offset, for layers
    with scratch. scratch_bytes is the largest scratch of a layer; it lies in the arena and is counted there.
    arena_gap is arena_bytes - arena_lower_bound; arena_optimal says that no plan for this order is smaller.
    """

    graph: Graph
    core: Core
    board: Board | None
    optimize: Optimize
    layers: list[PlannedLayer]
    offsets: dict[str, int]
    scratch_offset: dict[int, int]
    arena_bytes: int
    scratch_bytes: int
    arena_lower_bound: int
    arena_gap: int
    arena_optimal: bool
    state_bytes: int = 0

    @property
    def weight_bytes(self) -> int:
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def cost(self) -> float:
        return sum(layer.cost for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    def kernel_stems(self) -> tuple[str, ...]:
        """The C files under runtime_c/kernels that the layers need, sorted."""
        return tuple(sorted({k for layer in self.layers for k in layer.lowered.kernels}))


def _scratch_name(index: int) -> str:
    return f"scratch of layer {index}"


def arena_blocks(graph: Graph, lowered: list[Lowered]) -> tuple[list[Block], list[Reuse], dict[str, str]]:
    """The arena problem of a graph: blocks, reuses, and for each tensor the block it lives in.

    Step 0 is when inputs are written, step i + 1 runs node i, and the step after the last is when outputs
    are read. A tensor and its aliases (reshape) are one block. Op.overlap speaks of the first output;
    further outputs share memory with nothing.
    """
    root: dict[str, str] = {name: name for name in graph.inputs}
    born: dict[str, int] = dict.fromkeys(graph.inputs, 0)
    size: dict[str, int] = {name: graph.tensors[name].nbytes for name in graph.inputs}
    dies: dict[str, int] = dict(born)
    for i, (node, low) in enumerate(zip(graph.nodes, lowered, strict=True)):
        step = i + 1
        for name in node.inputs:
            if name in root:
                dies[root[name]] = step
        for k, name in enumerate(node.outputs):
            nbytes = graph.tensors[name].nbytes
            if low.alias and k == 0:
                if node.inputs[0] not in root:
                    raise GraphError(f"node {node.name!r} aliases {node.inputs[0]!r}, which is no activation")
                r = root[name] = root[node.inputs[0]]
                size[r] = max(size[r], nbytes)
                dies[r] = max(dies[r], step)
                continue
            root[name], born[name], dies[name], size[name] = name, step, step, nbytes
    for name in graph.outputs:
        if name not in root:
            raise EdgebitError(f"graph output {name!r} is a constant; there is nothing to compute")
        dies[root[name]] = len(graph.nodes) + 1
    blocks = [Block(name, size[name], born[name], dies[name]) for name in born]
    reuses: list[Reuse] = []
    for i, (node, low) in enumerate(zip(graph.nodes, lowered, strict=True)):
        if low.scratch_bytes > 0:
            blocks.append(Block(_scratch_name(i), low.scratch_bytes, i + 1, i + 1))
        if not low.alias:
            reuses += _reuses(node, graph, root, born, dies, i + 1)
    return blocks, reuses, root


def _reuses(
    node: Node, graph: Graph, root: dict[str, str], born: dict[str, int], dies: dict[str, int], step: int
) -> list[Reuse]:
    """Which dying inputs the node's first output may lie over. An input read twice must allow it twice."""
    allowed: dict[str, int | None] = {}
    for name, distance in zip(node.inputs, op_of(node).overlap(node, graph), strict=True):
        if name not in root:
            continue
        r = root[name]
        seen = allowed.get(r, distance)
        allowed[r] = None if seen is None or distance is None else min(seen, distance)
    out = node.outputs[0]
    return [
        Reuse.of(out, r, d)
        for r, d in allowed.items()
        if d is not None and dies[r] == step and born[r] < step
    ]


def _layer(
    index: int, node: Node, graph: Graph, best: Candidate, second: Candidate | None, before: float
) -> PlannedLayer:
    """What was decided. before: the cost of what else is counted as part of the layer."""
    runner_up = None
    if second is not None:
        layout = second.choice.layout if second.choice else ""
        runner_up = RunnerUp(second.stem, layout, before + second.cost, second.nbytes)
    return PlannedLayer(
        index=index,
        node=node,
        lowered=best.lowered,
        choice=best.choice,
        runner_up=runner_up,
        cost=before + best.cost,
        modelled=best.modelled,
        macs=op_of(node).macs(node, graph),
        weight_bytes=best.nbytes,
        wait=best.wait,
    )


def _within_ram(graph: Graph, found: list[list[Candidate]], budget: int) -> list[list[Candidate]]:
    """The candidates of each node whose scratch fits a RAM budget beside what lives then; those with the least
    scratch where none does."""
    bare = [replace(c[0].lowered, scratch_bytes=0) for c in found]
    blocks, reuses, _ = arena_blocks(graph, bare)
    live = live_bytes(blocks, reuses)
    fitting = []
    for i, of_node in enumerate(found):
        room = max(budget - live.get(i + 1, 0), min(c.lowered.scratch_bytes for c in of_node))
        fitting.append([c for c in of_node if align_up(c.lowered.scratch_bytes) <= align_up(room)])
    return fitting


def _input_check(core: Core, graph: Graph) -> float:
    """What it costs to look for NaN and infinities in the float inputs, which is done before the first layer and
    counted as part of it: see eb_all_finite. 0 where the core's table does not say."""
    floats = [graph.tensors[i].elements for i in graph.inputs if graph.tensors[i].dtype is DType.F32]
    return core.costs.get("input_check", {}).get("element", 0.0) * sum(floats)


def _beside(graph: Graph, bounds: Bounds, taken: Sequence[Candidate]) -> int:
    """Flash beside the layers' constants, at most."""
    lowered = [c.lowered for c in taken]
    return code_bound(bounds, lowered, checked(graph)) + const_bound(bounds, lowered)


def _ranked(
    graph: Graph, found: list[list[Candidate]], bounds: Bounds, optimize: Optimize
) -> list[list[Candidate]]:
    return rank_all(found, optimize, lambda taken: _beside(graph, bounds, taken))


def ranked_candidates(
    graph: Graph,
    core: Core,
    board: Board | None,
    optimize: Optimize,
    kernels: Mapping[str, str] | None = None,
) -> list[list[Candidate]]:
    """What each node of a canonical graph can run on, with the wait for the board's flash, the ones to take first
    as long as all fits. kernels forces a kernel (file stem) on nodes by name."""
    forced = kernels or {}
    found = [candidates(node, graph, core, forced.get(node.name)) for node in graph.nodes]
    if board is not None:
        found = [waiting(c, node, graph, board) for c, node in zip(found, graph.nodes, strict=True)]
    return _ranked(graph, found, load_bounds(core, board=board.name if board is not None else ""), optimize)


def make_plan(
    graph: Graph,
    core: Core,
    board: Board | None = None,
    optimize: Optimize = "balanced",
    flash_budget: int | None = None,
    kernels: Mapping[str, str] | None = None,
) -> Plan:
    """Decide everything about running a canonical graph on a core.

    flash_budget limits the bytes of all layers' constants; by default it is what the board's flash leaves
    beside the code. A kernel whose scratch the board's RAM has no room for gives way to a plainer one. kernels
    forces a kernel (file stem) on nodes by name. Whether the result fits is for `edgebit.plan.account.fit` to say.
    Deterministic.
    """
    graph.check()
    bounds = load_bounds(core, board=board.name if board is not None else "")
    found = ranked_candidates(graph, core, board, optimize, kernels)
    picked = choose(found, flash_budget)
    if board is not None and board.flash_bytes:
        lowered = [best.lowered for best, _ in picked]
        data = data_bound(bounds, lowered) + stack_bound(bounds, lowered, core)
        fitting = _within_ram(graph, found, board.ram_bytes - data)
        if flash_budget is None:
            flash_budget = board.flash_bytes - _beside(graph, bounds, [best for best, _ in picked])
        picked = choose(_ranked(graph, fitting, bounds, optimize), flash_budget)
    layers = [
        _layer(i, node, graph, best, second, 0.0 if i else _input_check(core, graph))
        for i, (node, (best, second)) in enumerate(zip(graph.nodes, picked, strict=True))
    ]
    blocks, reuses, root = arena_blocks(graph, [layer.lowered for layer in layers])
    arena: ArenaPlan = plan_arena(blocks, reuses)
    return Plan(
        graph=graph,
        core=core,
        board=board,
        optimize=optimize,
        layers=layers,
        offsets={name: arena.offsets[r] for name, r in root.items()},
        scratch_offset={
            layer.index: arena.offsets[_scratch_name(layer.index)]
            for layer in layers
            if layer.lowered.scratch_bytes > 0
        },
        arena_bytes=arena.nbytes,
        scratch_bytes=max((layer.lowered.scratch_bytes for layer in layers), default=0),
        arena_lower_bound=arena.lower_bound,
        arena_gap=arena.gap,
        arena_optimal=arena.optimal,
    )
