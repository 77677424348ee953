"""Fuse clamps: a clip behind a clip, add, mul, dense or conv2d becomes limits of that node.

clamp(v, lo, hi) is "v < lo ? lo : v", then "v > hi ? hi : v". For lo <= hi it is monotone, so clamp2 of
clamp1 is the clamp whose limits are clamp2(lo1) and clamp2(hi1), bit for bit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebit.ir.graph import Affine, DType, Graph, Node
from edgebit.passes.rewrite import INF, Index, clone, drop, limits, remove


def fuse_activation(graph: Graph) -> Graph:
    """The same network with clamps fused; every remaining tensor is equal bit for bit."""
    g = clone(graph)
    for clip in [n for n in g.nodes if n.op == "clip"]:
        lo, hi = limits(clip)
        source = clip.inputs[0]
        if (lo, hi) == (-INF, INF) and drop(g, clip, source):
            continue
        index = Index(g)
        before = index.producer(source, ("clip", "add", "mul", "dense", "conv2d"))
        if before is None or index.sole_user(source) is not clip or g.tensors[source].dtype != DType.F32:
            continue
        old = _limits(before)
        if old is None or not (old[0] <= old[1] and lo <= hi):
            continue
        _set(before, _clamp(old[0], lo, hi), _clamp(old[1], lo, hi))
        remove(g, clip)
        del g.tensors[source]
        before.outputs[0] = clip.outputs[0]
    g.prune()
    return g


def _clamp(v: float, lo: float, hi: float) -> float:
    v32, lo32, hi32 = np.float32(v), np.float32(lo), np.float32(hi)
    v32 = lo32 if v32 < lo32 else v32
    return float(hi32 if v32 > hi32 else v32)


def _limits(node: Node) -> tuple[float, float] | None:
    if node.op in ("dense", "conv2d"):
        ep = node.attrs.get("epilogue")
        return (ep.lo, ep.hi) if isinstance(ep, Affine) else None
    return limits(node)


def _set(node: Node, lo: float, hi: float) -> None:
    if node.op in ("dense", "conv2d"):
        node.attrs["epilogue"] = replace(node.attrs["epilogue"], lo=lo, hi=hi)
    else:
        node.attrs["lo"], node.attrs["hi"] = lo, hi
