"""What every pass needs: a copy of a graph, an index of who makes and who reads what, fresh node names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgebit.ir.graph import Array, DType, Graph, Int8Weights, Node, Tensor, TernaryWeights
from edgebit.ops.base import op_of

INF = float("inf")
WEIGHTED = ("dense", "dense_groups", "conv2d")
"""Ops whose second input is a weight constant, and whose third, when there is one, counts dynamic int8 inputs."""


def clone(graph: Graph) -> Graph:
    """A copy whose nodes and tensors may be changed; constants are shared (no pass writes into one)."""
    return Graph(
        graph.name,
        list(graph.inputs),
        list(graph.outputs),
        [Node(n.op, n.name, list(n.inputs), list(n.outputs), dict(n.attrs)) for n in graph.nodes],
        {k: replace(t) for k, t in graph.tensors.items()},
        dict(graph.consts),
    )


class Index:
    """Producers and consumers of a graph at one moment."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.made: dict[str, Node] = {o: n for n in graph.nodes for o in n.outputs}
        self.users: dict[str, list[Node]] = {}
        for n in graph.nodes:
            for i in dict.fromkeys(n.inputs):
                self.users.setdefault(i, []).append(n)
        self.outputs = set(graph.outputs)

    def producer(self, tensor: str, op: str | tuple[str, ...] = ()) -> Node | None:
        """The node that makes `tensor`, when it is one of `op` (any op when empty)."""
        n = self.made.get(tensor)
        ops = (op,) if isinstance(op, str) else op
        return n if n is not None and (not ops or n.op in ops) else None

    def sole_user(self, tensor: str) -> Node | None:
        """The only node that reads `tensor`; None when it is a graph output or read by several nodes."""
        users = self.users.get(tensor, [])
        return users[0] if len(users) == 1 and tensor not in self.outputs else None


def infer(graph: Graph, node: Node) -> None:
    """Set the tensors `node` makes from its op's shape rule; source layouts stay."""
    for t in op_of(node).infer(node, graph):
        old = graph.tensors.get(t.name)
        if old is not None:
            t.source_perm, t.source_shape = old.source_perm, old.source_shape
        graph.tensors[t.name] = t


def drop(graph: Graph, node: Node, source: str) -> bool:
    """Let readers of the first output of `node` read its equal `source`; False when an output's name is lost.

    An output of the graph may only become another tensor that is no input and no output itself; that
    tensor then takes over the source layout.
    """
    out = node.outputs[0]
    if out in graph.outputs:
        if source in graph.inputs or source in graph.outputs:
            return False
        old, new = graph.tensors[out], graph.tensors[source]
        new.source_perm, new.source_shape = old.source_perm, old.source_shape
    remove(graph, node)
    graph.replace_uses(out, source)
    return True


def tensor_like(graph: Graph, stem: str, like: str, **changes: Any) -> str:
    """A new tensor entry, a copy of `like` with `changes`, under a fresh name."""
    name = graph.fresh(stem)
    fields = {"source_perm": None, "source_shape": None, **changes}
    graph.tensors[name] = replace(graph.tensors[like], name=name, **fields)
    return name


def insert_before(graph: Graph, at: Node, node: Node) -> None:
    """Put `node` just before `at`, and infer its outputs."""
    graph.nodes.insert(next(i for i, n in enumerate(graph.nodes) if n is at), node)
    infer(graph, node)


def remove(graph: Graph, node: Node) -> None:
    graph.nodes = [n for n in graph.nodes if n is not node]


def scalar_or_channel(graph: Graph, node: Node) -> tuple[str, Array] | None:
    """For add/mul of an f32 tensor by a constant: (the tensor, the constant as float64)."""
    if node.op not in ("add", "mul") or len(node.inputs) != 2:
        return None
    a, b = node.inputs
    if a in graph.consts:
        a, b = b, a
    const = graph.consts.get(b)
    if a in graph.consts or not isinstance(const, np.ndarray) or graph.tensors[a].dtype != DType.F32:
        return None
    return a, const.astype(np.float64)


def limits(node: Node) -> tuple[float, float]:
    """The clamp of an add, mul or clip node."""
    return float(node.attrs.get("lo", -INF)), float(node.attrs.get("hi", INF))


def weights_of(graph: Graph, node: Node) -> Array | TernaryWeights | Int8Weights:
    """The weights of a dense or conv2d node."""
    return graph.consts[node.inputs[1]]


def tensor_of(graph: Graph, node: Node) -> Tensor:
    """The first tensor a node makes."""
    return graph.tensors[node.outputs[0]]
