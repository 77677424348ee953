"""Which kernel variants exist and what they cost on a core.

A variant is one C file, runtime_c/kernels/<family>/<family>__<variant>.c, whose last line is
`EB_KERNEL(<family>, <variant>, <layout or none>);`. The variant is the name of an instruction set, or that
name, an underscore and a flavour. The file is found by discovery; there is no list to edit.

Prices come from the core's table: `[cost.<file stem>]` holds, for each count that `Op.work` gives ("call",
"row", "mac", "element" ...), what one of them costs in the core's metric; `[cost.epilogue_<kind>]` is added
for linear layers (see Op.epilogue_table too), and `[cost.<op>]` prices an op that needs no kernel.
tests/tools/measure_core.py fits them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from edgebit.board import Board
from edgebit.core import Core, list_cores, load_core
from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, Graph, Int8Weights, Node, Requant, TernaryWeights
from edgebit.layouts.base import layout_of, round_up
from edgebit.ops.base import KernelChoice, Lowered, op_of
from edgebit.ops.dense import TOKENS, TOKENS_FAMILY
from edgebit.resources import data_dir

Optimize: TypeAlias = Literal["speed", "size", "balanced"]

DEFAULT_COST: dict[str, float] = {"call": 60.0, "row": 20.0, "mac": 12.0, "element": 25.0}
"""What work costs on a core whose table says nothing of a kernel, of its family's reference code or of
"default": about what plain C costs on a small core. Such prices are marked as not modelled."""

_MARK = re.compile(r"^EB_KERNEL\(\s*(\w+)\s*,\s*(\w+)\s*,\s*(\w+)\s*\)\s*;", re.MULTILINE)


@dataclass(frozen=True)
class Kernel:
    """One variant: file stem, family, variant name, the instruction set it needs, its weight layout or ""."""

    stem: str
    family: str
    variant: str
    isa: str
    layout: str
    path: Path


@dataclass(frozen=True)
class Candidate:
    """A kernel a layer could use, with its price.

    cost is in the core's metric for one run; nbytes is the flash its constants take. modelled is False when
    the core's table has no entry for the kernel, so that cost is only a default. wait is an estimate of the
    cycles spent waiting for the board's flash, which counts for the choice and nowhere else.
    """

    choice: KernelChoice | None
    lowered: Lowered
    cost: float
    modelled: bool
    wait: float = 0.0

    @property
    def price(self) -> float:
        """What the choice compares."""
        return self.cost + self.wait

    @property
    def nbytes(self) -> int:
        return sum(len(c.raw) for c in self.lowered.consts)

    @property
    def stem(self) -> str:
        return self.choice.stem if self.choice else self.lowered.kernel


@cache
def _isa_names() -> tuple[str, ...]:
    """Every instruction set any core names, longest first."""
    names = {i for c in list_cores() for i in load_core(c).known_isa}
    return tuple(sorted(names, key=lambda n: (-len(n), n)))


def read_kernel(path: Path) -> Kernel | None:
    """The variant a C file holds, None when the file has no EB_KERNEL line (a helper). A variant that starts
    with no core's instruction set is taken for one of its own, which no core has."""
    found = _MARK.findall(path.read_text())
    if not found:
        return None
    if len(found) > 1:
        raise EdgebitError(f"{path.name}: more than one EB_KERNEL line")
    family, variant, layout = found[0]
    if path.stem != f"{family}__{variant}" or path.parent.name != family:
        raise EdgebitError(
            f"{path.parent.name}/{path.name}: EB_KERNEL says {family}__{variant}, which must be the file's "
            "name, in the folder of its family"
        )
    for isa in _isa_names():
        if variant == isa or variant.startswith(isa + "_"):
            return Kernel(path.stem, family, variant, isa, "" if layout == "none" else layout, path)
    return Kernel(path.stem, family, variant, variant, "" if layout == "none" else layout, path)


@cache
def all_kernels() -> Mapping[str, Kernel]:
    """Every variant in runtime_c/kernels, by file stem, sorted."""
    found: dict[str, Kernel] = {}
    for path in sorted((data_dir("runtime_c") / "kernels").glob("*/*.c")):
        k = read_kernel(path)
        if k is not None:
            found[k.stem] = k
    return found


def kernels_for(family: str, core: Core) -> list[Kernel]:
    """The variants of a family that a core can run, best instruction set first."""
    mine = [k for k in all_kernels().values() if k.family == family and k.isa in core.isa]
    return sorted(mine, key=lambda k: (core.isa.index(k.isa), k.stem))


def weight_matrix(node: Node, graph: Graph, family: str) -> Array | None:
    """The node's constant weights as the (rows, cols) matrix its layout packs; None when it has none."""
    c = graph.consts.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if c is None:
        return None
    w = c.trits if isinstance(c, TernaryWeights) else c.q if isinstance(c, Int8Weights) else c
    if w.ndim < 2:
        return None
    flat = w.reshape(w.shape[0], -1)
    return flat.T if family.startswith("dwconv") else flat


def work_tables(node: Node, stem: str) -> tuple[str, ...]:
    """The cost tables that together price a node: that of the kernel (or of the op, when it needs none),
    and for linear layers that of the epilogue, which costs the same under every kernel."""
    e = node.attrs.get("epilogue")
    if e is None:
        return (stem,)
    own = op_of(node).epilogue_table(stem)
    if own:
        return (stem, own)
    kind = "requant" if isinstance(e, Requant) else "dynamic" if len(node.inputs) > 2 else "affine"
    if kind == "requant" and op_of(node).requantises(stem):
        return (stem,)
    return (stem, f"epilogue_{kind}")


def work_of(node: Node, graph: Graph, kernel: Kernel | None) -> dict[str, float]:
    """Op.work, with the products and rows that the kernel's layout adds as padding, and Layout.work of every
    pixel; or Op.kernel_work."""
    op = op_of(node)
    own = (
        op.kernel_work(node, graph, KernelChoice(kernel.stem, kernel.layout)) if kernel is not None else None
    )
    if own is not None:
        return own
    work = dict(op.work(node, graph))
    matrix = weight_matrix(node, graph, kernel.family) if kernel is not None and kernel.layout else None
    if kernel is not None and matrix is not None:
        layout = layout_of(kernel.layout)
        rows = matrix.shape[0] // int(node.attrs.get("groups", 1)) or matrix.shape[0]
        more_rows = round_up(rows, layout.row_multiple) / rows
        more_cols = round_up(matrix.shape[1], layout.col_multiple) / matrix.shape[1]
        if "row" in work:
            work["row"] *= more_rows
        if "mac" in work:
            work["mac"] *= more_rows * more_cols
        if kernel.family == TOKENS_FAMILY:
            more = round_up(int(work["product"]), TOKENS) / work["product"]
            work |= {name: more * work[name] for name in ("mac", "row", "col", "product")}
        work |= {name: count * work.get("pixel", 1.0) for name, count in layout.work(matrix).items()}
    return work


def price(core: Core, node: Node, graph: Graph, kernel: Kernel | None) -> tuple[float, bool]:
    """What one run of the node costs with that kernel, and whether the core's table really prices it.

    A kernel without an entry is priced like its family's reference code, at half of that when it is written
    for an instruction set; a family without any like "default".
    """
    work = work_of(node, graph, kernel)
    stem, *others = work_tables(node, kernel.stem if kernel else node.op)
    total = sum(_sum(core.costs[t], work) for t in others if t in core.costs)
    if stem in core.costs:
        return total + _sum(core.costs[stem], work), True
    # a kernel's own counts have names that other tables do not know
    work = dict(op_of(node).work(node, graph))
    if kernel is not None and f"{kernel.family}__ref" in core.costs:
        return total + _sum(core.costs[f"{kernel.family}__ref"], work) / 2, False
    half = 2.0 if kernel is not None and kernel.isa != "ref" else 1.0
    return total + _sum(core.costs.get("default", DEFAULT_COST), work) / half, False


def _sum(table: Mapping[str, float], work: Mapping[str, float]) -> float:
    return sum(table[k] * n for k, n in sorted(work.items()) if k in table)


def candidates(node: Node, graph: Graph, core: Core, only: str | None = None) -> list[Candidate]:
    """Every kernel that can run this node on this core, cheapest first; one entry of choice None for an op
    that needs no kernel. `only`: just the kernel of that file stem."""
    op = op_of(node)
    families = op.families(node, graph)
    if not families:
        cost, modelled = price(core, node, graph, None)
        lowered = op.lower(node, graph, None)
        return [Candidate(None, lowered, 0.0 if lowered.alias else cost, modelled or lowered.alias)]
    found: list[Candidate] = []
    refused: list[str] = []
    for family in families:
        matrix = weight_matrix(node, graph, family)
        for k in kernels_for(family, core):
            if only is not None and k.stem != only:
                continue
            choice = KernelChoice(k.stem, k.layout)
            if not op.takes(node, graph, choice):
                continue
            reason = layout_of(k.layout).limits(matrix) if k.layout and matrix is not None else None
            if reason is not None:
                refused.append(f"{k.stem}: {reason}")
                continue
            cost, modelled = price(core, node, graph, k)
            found.append(Candidate(choice, op.lower(node, graph, choice), cost, modelled))
    if not found:
        why = "; ".join(refused) or f"no kernel of {', '.join(families)} for {', '.join(core.isa)}"
        raise EdgebitError(f"node {node.name!r} ({node.op}) cannot run on {core.title}: {why}")
    return sorted(found, key=lambda c: (c.cost, c.nbytes, c.stem))


def waiting(found: Sequence[Candidate], node: Node, graph: Graph, board: Board) -> list[Candidate]:
    """The candidates of a node with the wait for the board's flash."""
    if board.flash_wait is None:
        return list(found)
    op = op_of(node)
    pixels = op.work(node, graph).get("pixel", 1.0)

    def passes(c: Candidate) -> float:
        own = op.kernel_work(node, graph, c.choice) if c.choice is not None else None
        return pixels if own is None else own.get("tile", pixels)

    return [replace(c, wait=board.flash_wait.cycles(c.nbytes, passes(c))) for c in found]
