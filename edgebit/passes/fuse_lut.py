"""Turn any float function of one int8 tensor that is quantised again into a table of 256 entries.

The region between dequantize and quantize may be any net of element-wise ops on that one tensor
(x * sigmoid(x), a clamp, another scale ...). The table is filled by running the region itself on all 256
values, so it is equal to the float path bit for bit. A region that changes nothing disappears.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebit.ir.graph import DType, Graph, Node, S8Array
from edgebit.ops.base import execute, infer_all
from edgebit.passes.input_layout import UNARY
from edgebit.passes.rewrite import INF, Index, clone, drop, infer, limits, scalar_or_channel

_ELEMENTWISE = tuple(op for op in UNARY if op not in ("lut", "quantize", "dequantize"))
_IDENTITY = np.arange(-128, 128, dtype=np.int8)


def fuse_lut(graph: Graph) -> Graph:
    """Replace quantize(f(dequantize(q))) by lut(q), and lut(lut(q)) by one lut."""
    g = clone(graph)
    for q in [n for n in g.nodes if n.op == "quantize"]:
        _fuse(g, q)
    g.prune()  # dead dequantize nodes no longer count as readers
    for n in [n for n in g.nodes if n.op == "lut"]:
        index = Index(g)
        before = index.producer(n.inputs[0], "lut")
        if before is not None and index.sole_user(n.inputs[0]) is n:
            first: S8Array = before.attrs["table"]
            second: S8Array = n.attrs["table"]
            n.attrs["table"] = second[first.astype(np.int64) + 128]
            n.inputs[0] = before.inputs[0]
    g.prune()
    return g


def _fuse(g: Graph, q: Node) -> None:
    index = Index(g)
    region: dict[int, Node] = {}
    roots: set[str] = set()
    todo = [q.inputs[0]]
    while todo:
        n = index.producer(todo.pop())
        if n is None:
            return
        if n.op == "dequantize":
            roots.add(n.inputs[0])
        elif n.op not in _ELEMENTWISE and not _binary(g, n):
            return
        elif id(n) not in region:
            todo += [i for i in n.inputs if i not in g.consts]
        region[id(n)] = n
        if len(roots) > 1:
            return
    if not roots:
        return
    root = roots.pop()
    if g.tensors[root].shape != g.tensors[q.outputs[0]].shape:
        return
    table = _table(g, root, [n for n in g.nodes if id(n) in region] + [q], q.outputs[0])
    same = g.tensors[root].quant == g.tensors[q.outputs[0]].quant and bool((table == _IDENTITY).all())
    if same and drop(g, q, root):
        return
    q.op, q.inputs = "lut", [root]
    q.attrs = {"table": table, "out_quant": q.attrs["out_quant"]}
    infer(g, q)


def _binary(g: Graph, n: Node) -> bool:
    """An add or mul that may be part of a table: no constant that differs by channel."""
    if n.op not in ("add", "mul"):
        return False
    shape = g.tensors[n.outputs[0]].shape
    for i in n.inputs:
        if i not in g.consts:
            if g.tensors[i].shape != shape:
                return False
            continue
        c = g.consts[i]
        if not isinstance(c, np.ndarray) or c.size != 1:
            return False
    return True


def _table(g: Graph, root: str, nodes: list[Node], out: str) -> S8Array:
    sub = Graph("table", [root], [out])
    sub.tensors[root] = replace(g.tensors[root], shape=(1, 256), dtype=DType.S8)
    for n in nodes:
        sub.nodes.append(Node(n.op, n.name, n.inputs, n.outputs, n.attrs))
        for i in n.inputs:
            if i in g.consts:
                const = g.consts[i]
                assert isinstance(const, np.ndarray)
                sub.consts[i] = const.reshape(())
    infer_all(sub)
    values = execute(sub, {root: _IDENTITY.reshape(1, 256)})
    return values[out].reshape(256).astype(np.int8)


def region_kind(g: Graph, index: Index, node: Node) -> tuple[str, str] | None:
    """Which one-tensor region an element-wise node belongs to: ("table" or "channel", its root tensor).

    None when it reads several tensors or is no element-wise op. "table" regions have no constant that
    differs by channel; a "channel" region is a chain of add and mul by constants from its root on.
    """
    if node.op in _ELEMENTWISE or _binary(g, node):
        roots = set()
        for i in node.inputs:
            if i in g.consts:
                continue
            made = index.producer(i)
            kind = None if made is None else region_kind(g, index, made)
            if kind is not None and kind[0] == "channel":
                kind = None
            roots.add(i if kind is None else kind[1])
        return ("table", roots.pop()) if len(roots) == 1 else None
    if scalar_or_channel(g, node) is not None and len(g.tensors[node.outputs[0]].shape) == 4:
        made = index.producer(node.inputs[0])
        if made is not None and scalar_or_channel(g, made) is not None and limits(made) == (-INF, INF):
            kind = region_kind(g, index, made)
            if kind is not None and kind[0] == "channel":
                return kind
        return ("channel", node.inputs[0])
    return None
