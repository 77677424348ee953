"""A graph as text, one line a node."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebit.ir.graph import (
    Affine,
    Const,
    Graph,
    GroupTernaryWeights,
    Int8Weights,
    Quant,
    Requant,
    Tensor,
    TernaryWeights,
)


def format_graph(graph: Graph) -> str:
    """Inputs, nodes with their types and attributes, and outputs of `graph`, one line each."""
    lines = [f"graph {graph.name}"]
    lines += [f"  input  {_tensor(graph.tensors[i])}" for i in graph.inputs]
    for n in graph.nodes:
        outs = ", ".join(_tensor(graph.tensors[o]) for o in n.outputs)
        args = ", ".join(_input(graph, i) for i in n.inputs)
        attrs = "".join(f" {k}={_value(v)}" for k, v in sorted(n.attrs.items()))
        lines.append(f"  {outs} = {n.op}({args}){attrs}")
    lines += [f"  output {o}" for o in graph.outputs]
    return "\n".join(lines) + "\n"


def _tensor(t: Tensor) -> str:
    text = f"{t.name}: {t.dtype.value}[{'x'.join(map(str, t.shape))}]"
    if t.quant is not None:
        text += _value(t.quant)
    if t.source_shape is not None:
        text += f" (source [{'x'.join(map(str, t.source_shape))}] perm {_value(t.source_perm)})"
    return text


def _input(graph: Graph, name: str) -> str:
    if not name:
        return "-"
    return f"{name}: {_const(graph.consts[name])}" if name in graph.consts else name


def _const(c: Const) -> str:
    if isinstance(c, TernaryWeights):
        zeros = float(np.mean(c.trits == 0)) if c.trits.size else 0.0
        groups = f" groups of {c.group}" if isinstance(c, GroupTernaryWeights) else ""
        return f"ternary[{'x'.join(map(str, c.shape))}] {zeros:.0%} zero{groups}"
    if isinstance(c, Int8Weights):
        return f"int8[{'x'.join(map(str, c.shape))}]"
    return _array(c)


def _array(a: np.ndarray[Any, Any]) -> str:
    if a.size == 1:
        return f"{a.reshape(-1)[0]:.6g}"
    return f"{a.dtype.name}[{'x'.join(map(str, a.shape))}]"


def _value(v: Any) -> str:
    if isinstance(v, Quant):
        return f"<{v.scale:.6g}, {v.zero_point}>"
    if isinstance(v, Affine):
        parts = [k for k in ("scale", "bias", "corr") if getattr(v, k) is not None]
        if (v.lo, v.hi) != (float("-inf"), float("inf")):
            parts.append(f"[{v.lo:g}, {v.hi:g}]")
        return f"affine({' '.join(parts)})"
    if isinstance(v, Requant):
        return f"requant(pre {v.pre_shift}, [{v.qmin}, {v.qmax}])"
    if isinstance(v, np.ndarray):
        return _array(v)
    if isinstance(v, float):
        return f"{v:g}"
    if isinstance(v, (tuple, list)):
        return "(" + ",".join(_value(x) for x in v) + ")"
    return str(v)
