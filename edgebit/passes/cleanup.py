"""Merge equal nodes and constants, and give every node and output its final name."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from edgebit.ir.graph import Graph
from edgebit.passes.rewrite import clone


def merge_equal(graph: Graph) -> Graph:
    """Common subexpressions: of nodes with equal op, inputs and attributes the first stays.

    Every op is a pure function, so this never changes a value. Two graph outputs are kept apart.
    """
    g = clone(graph)
    first_const: dict[Any, str] = {}
    same: dict[str, str] = {}
    for name, const in g.consts.items():
        same[name] = first_const.setdefault(_key(const), name)
    first: dict[Any, list[str]] = {}
    outputs = set(g.outputs)
    kept = []
    for n in g.nodes:
        n.inputs = [same.get(i, i) for i in n.inputs]
        key = (n.op, tuple(n.inputs), _key(n.attrs))
        twin = first.get(key)
        if twin is None or any(o in outputs for o in n.outputs):
            first.setdefault(key, n.outputs)
            kept.append(n)
        else:
            same.update(zip(n.outputs, twin, strict=True))
    g.nodes = kept
    g.prune()
    return g


def _key(v: Any) -> Any:
    """A hashable stand-in: equal keys mean equal values, bit for bit."""
    if isinstance(v, np.ndarray):
        return ("array", v.dtype.str, v.shape, v.tobytes())
    if dataclasses.is_dataclass(v) and not isinstance(v, type):
        return (type(v).__name__, *(_key(getattr(v, f.name)) for f in dataclasses.fields(v)))
    if isinstance(v, (bool, np.bool_)):
        return int(v)
    if isinstance(v, (float, np.floating)):
        return float(v).hex()
    if isinstance(v, (int, np.integer)):
        return int(v)
    if isinstance(v, dict):
        return tuple((k, _key(v[k])) for k in sorted(v))
    if isinstance(v, (list, tuple)):
        return tuple(_key(x) for x in v)
    return v


def name_things(graph: Graph, outputs: list[str]) -> Graph:
    """Outputs get the names they had in the source, nodes get unique names."""
    g = clone(graph)
    found = list(g.outputs)
    for i, name in enumerate(found):
        found[i] = g.fresh(f"output.{i}")
        _rename(g, name, found[i])
    for name, wanted in zip(found, outputs, strict=True):
        if wanted in g.tensors or wanted in g.consts:
            _rename(g, wanted, g.fresh(f"{wanted}.inner"))
        _rename(g, name, wanted)
    used: set[str] = set()
    for n in g.nodes:
        stem = n.name or n.op
        name, k = stem, 1
        while name in used:
            name, k = f"{stem}.{k}", k + 1
        used.add(name)
        n.name = name
    g.tensors = {k: g.tensors[k] for k in [*g.inputs, *(o for n in g.nodes for o in n.outputs)]}
    return g


def _rename(g: Graph, old: str, new: str) -> None:
    for n in g.nodes:
        n.inputs = [new if i == old else i for i in n.inputs]
        n.outputs = [new if o == old else o for o in n.outputs]
    g.outputs = [new if o == old else o for o in g.outputs]
    if old in g.tensors:
        g.tensors[new] = dataclasses.replace(g.tensors.pop(old), name=new)
    if old in g.consts:
        g.consts[new] = g.consts.pop(old)
