"""Tables that several verbs print."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebit.cli._output import Output, count
from edgebit.ir import Graph, GroupTernaryWeights, Int8Weights, Node, TernaryWeights
from edgebit.ops.base import op_of
from edgebit.plan.account import FitTable, fit
from edgebit.plan.plan import Plan


def fit_table(output: Output, plan: Plan) -> None:
    """Print what the plan takes of each memory."""
    print_account(output, fit(plan))


def print_account(output: Output, table: FitTable) -> None:
    """Print an account of flash and RAM."""
    rows = [[table.label(r.memory), r.item, count(r.bytes), r.kind] for r in table.rows]
    rows += [[memory, "free", count(left), ""] for memory, left in table.free().items()]
    output.table(f"fit: {table.title}", ["memory", "item", "bytes", "figure"], rows, right={2})


def _weights(node: Node, graph: Graph) -> tuple[str | None, float | None]:
    for i in node.inputs:
        c = graph.consts.get(i)
        if isinstance(c, TernaryWeights):
            groups = f", groups of {c.group}" if isinstance(c, GroupTernaryWeights) else ""
            return f"ternary{groups}", float(np.mean(c.trits == 0))
        if isinstance(c, Int8Weights):
            return "int8", float(np.mean(c.q == 0))
        if isinstance(c, np.ndarray) and c.ndim >= 2:
            return "f32", float(np.mean(c == 0))
    return None, None


def describe_layers(graph: Graph) -> list[dict[str, Any]]:
    """One record a layer: what it is, what weights it has, how sparse they are."""
    rows = []
    for index, n in enumerate(graph.nodes):
        weights, sparsity = _weights(n, graph)
        t = graph.tensors[n.outputs[0]]
        rows.append(
            {
                "index": index,
                "name": n.name,
                "op": n.op,
                "output": f"{t.dtype.value} {'x'.join(map(str, t.shape))}",
                "weights": weights,
                "sparsity": sparsity,
                "macs": op_of(n).macs(n, graph),
            }
        )
    return rows


def plan_rows(plan: Plan) -> list[dict[str, Any]]:
    """One record a layer: kernel chosen, its predicted price, and the runner-up."""
    return [
        {
            "index": layer.index,
            "name": layer.node.name,
            "kernel": layer.lowered.kernel or layer.lowered.function,
            "layout": layer.lowered.layout,
            "cost": layer.cost,
            "runner_up": layer.runner_up.kernel if layer.runner_up else None,
            "runner_up_cost": layer.runner_up.cost if layer.runner_up else None,
            "bytes": layer.weight_bytes,
        }
        for layer in plan.layers
    ]
