"""Fuse clamps: a clip behind a clip, add, mul or layer with weights becomes limits of that node.

clamp(v, lo, hi) is "v < lo ? lo : v", then "v > hi ? hi : v". For lo <= hi it is monotone, so clamp2 of
clamp1 is the clamp whose limits are clamp2(lo1) and clamp2(hi1), bit for bit. For the same reason a clip
may pass in front of ops that only move values or take their maximum, to reach such a node.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebit.ir.graph import Affine, Graph, Node
from edgebit.passes.rewrite import INF, WEIGHTED, Index, clone, drop, limits, remove

_CLAMPED = ("clip", "add", "mul", *WEIGHTED)
_MOVES = ("reshape", "transpose", "slice", "pad", "max_pool2d")


def fuse_activation(graph: Graph) -> Graph:
    """The same network with clamps fused; outputs are equal (a maximum may pick -0 for +0)."""
    g = clone(graph)
    for clip in [n for n in g.nodes if n.op == "clip"]:
        lo, hi = limits(clip)
        source = clip.inputs[0]
        if (lo, hi) == (-INF, INF) and drop(g, clip, source):
            continue
        index = Index(g)
        moves: list[Node] = []
        before = index.producer(source)
        reader = clip
        while before is not None and before.op in _MOVES and index.sole_user(before.outputs[0]) is reader:
            moves.append(before)
            reader, before = before, index.producer(before.inputs[0])
        if before is None or before.op not in _CLAMPED:
            continue
        if index.sole_user(before.outputs[0]) is not reader:
            continue
        old = _limits(before)
        if old is None or not (old[0] <= old[1] and lo <= hi):
            continue
        _set(before, _clamp(old[0], lo, hi), _clamp(old[1], lo, hi))
        for n in moves:
            if n.op == "pad":
                n.attrs["value"] = _clamp(float(n.attrs.get("value", 0.0)), lo, hi)
        last = moves[0] if moves else before
        remove(g, clip)
        del g.tensors[source]
        last.outputs[0] = clip.outputs[0]
    g.prune()
    return g


def _clamp(v: float, lo: float, hi: float) -> float:
    v32, lo32, hi32 = np.float32(v), np.float32(lo), np.float32(hi)
    v32 = lo32 if v32 < lo32 else v32
    return float(hi32 if v32 > hi32 else v32)


def _limits(node: Node) -> tuple[float, float] | None:
    if node.op in WEIGHTED:
        ep = node.attrs.get("epilogue")
        return (ep.lo, ep.hi) if isinstance(ep, Affine) else None
    return limits(node)


def _set(node: Node, lo: float, hi: float) -> None:
    if node.op in WEIGHTED:
        node.attrs["epilogue"] = replace(node.attrs["epilogue"], lo=lo, hi=hi)
    else:
        node.attrs["lo"], node.attrs["hi"] = lo, hi
