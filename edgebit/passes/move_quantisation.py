"""Bring quantize and dequantize nodes next to the arithmetic they belong to.

Dequantize commutes with ops that only move values or take a maximum, since it grows with its argument;
quantize does too, and it swallows clamps. So dequantize nodes sink towards the outputs, quantize nodes
rise towards the inputs, and what lies between them works on int8. Every value stays equal bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebit.ir.graph import DType, Graph, Node, Quant
from edgebit.ops import floatmath
from edgebit.passes.rewrite import Index, clone, infer, insert_before, limits, remove, tensor_like

MOVES = ("reshape", "transpose", "slice", "pad", "max_pool2d")


def int8_limits(quant: Quant, lo: float, hi: float, qmin: int, qmax: int) -> tuple[int, int]:
    """qmin, qmax of a value that was clamped to lo..hi before it is quantised to qmin..qmax."""
    ends = floatmath.quantize(np.array([lo, hi], np.float32), quant.scale, quant.zero_point, qmin, qmax)
    return int(ends[0]), int(ends[1])


def quantize_limits(node: Node) -> tuple[int, int]:
    """The attributes qmin and qmax of a quantize node."""
    return int(node.attrs.get("qmin", -128)), int(node.attrs.get("qmax", 127))


def sink_dequantize(graph: Graph) -> Graph:
    """Move dequantize nodes behind moving ops, maxima and argmax."""
    g = clone(graph)
    from_int8: dict[str, str] = {}  # f32 tensor -> the s8 tensor it is a dequantize of
    nodes, g.nodes = g.nodes, []
    for n in nodes:
        if n.op == "dequantize":
            from_int8[n.outputs[0]] = n.inputs[0]
        elif _sink(g, n, from_int8):
            continue
        g.nodes.append(n)
    g.prune()
    return g


def _sink(g: Graph, n: Node, from_int8: dict[str, str]) -> bool:
    if n.op not in (*MOVES, "concat", "argmax") or any(i not in from_int8 for i in n.inputs):
        return False
    sources = [from_int8[i] for i in n.inputs]
    quants = {_quant(g, s) for s in sources}
    quant = quants.pop()
    if quants or quant is None:
        return False
    attrs = dict(n.attrs)
    if n.op == "pad":
        value = np.array(attrs.get("value", 0.0), np.float32)
        q = floatmath.quantize(value, quant.scale, quant.zero_point)
        if floatmath.dequantize(q, quant.scale, quant.zero_point) != value:
            return False
        attrs["value"] = int(q)
    out = n.outputs[0]
    if n.op == "argmax":
        g.nodes.append(Node(n.op, n.name, sources, n.outputs, attrs))
        return True
    inner = tensor_like(g, f"{out}.q", out, dtype=DType.S8, quant=quant)
    moved = Node(n.op, n.name, sources, [inner], attrs)
    g.nodes += [moved, Node("dequantize", f"{n.name}/dequantize", [inner], [out])]
    infer(g, moved)
    from_int8[out] = inner
    return True


def _quant(g: Graph, tensor: str) -> Quant | None:
    return g.tensors[tensor].quant


def raise_quantize(graph: Graph) -> Graph:
    """Move quantize nodes before clamps, moving ops and maxima whose float result nobody else reads."""
    g = clone(graph)
    moving = True
    while moving:  # each round moves a quantize node before one more op, so this ends
        moving = False
        for q in [n for n in g.nodes if n.op == "quantize"]:
            moving = _raise(g, q) or moving
    g.prune()
    return g


def _raise(g: Graph, q: Node) -> bool:
    index = Index(g)
    before = index.producer(q.inputs[0], (*MOVES, "clip", "concat"))
    if before is None or index.sole_user(q.inputs[0]) is not q:
        return False
    if any(i in g.consts for i in before.inputs):
        return False
    quant: Quant = q.attrs["out_quant"]
    qmin, qmax = quantize_limits(q)
    if before.op == "clip":
        qmin, qmax = int8_limits(quant, *limits(before), qmin, qmax)
        q.attrs["qmin"], q.attrs["qmax"] = qmin, qmax
        q.inputs[0] = before.inputs[0]
        remove(g, before)
        del g.tensors[before.outputs[0]]
        return True
    for i in before.inputs:
        made = index.producer(i)
        if made is None or (made.op != "dequantize" and index.sole_user(i) is not before):
            return False
    inputs: list[str] = []
    for k, i in enumerate(before.inputs):
        name = tensor_like(g, f"{i}.q", i, dtype=DType.S8, quant=quant)
        suffix = f".{k}" if len(before.inputs) > 1 else ""
        insert_before(g, before, Node("quantize", f"{q.name}{suffix}", [i], [name], dict(q.attrs)))
        inputs.append(name)
    attrs: dict[str, Any] = before.attrs
    if before.op == "pad":
        value = np.array(attrs.get("value", 0.0), np.float32)
        attrs["value"] = int(floatmath.quantize(value, quant.scale, quant.zero_point, qmin, qmax))
    del g.tensors[before.outputs[0]]
    before.inputs, before.outputs = inputs, list(q.outputs)
    remove(g, q)
    infer(g, before)
    return True
