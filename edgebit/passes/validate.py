"""The last look at a canonical graph: what later stages rely on holds, or the node is named."""

from __future__ import annotations

import numpy as np

from edgebit.errors import ModelError
from edgebit.ir.graph import Affine, DType, Graph, Node, Requant
from edgebit.ops.base import infer_all
from edgebit.passes.fuse_linear import INT32_MAX, LINEAR, accumulator_bound, int_weights
from edgebit.passes.rewrite import tensor_of


def validate(graph: Graph) -> None:
    """Check names and order, types, epilogues, and that no accumulator can leave int32."""
    graph.check()
    infer_all(graph)
    for n in graph.nodes:
        if n.op in LINEAR:
            _linear(graph, n)


def _linear(g: Graph, n: Node) -> None:
    ep = n.attrs.get("epilogue")
    x, out = g.tensors[n.inputs[0]], tensor_of(g, n)
    dynamic = len(n.inputs) > 2 and bool(n.inputs[2])
    w = int_weights(g, n)
    if isinstance(ep, Requant):
        ok = x.dtype is DType.S8 and w is not None and not dynamic and out.dtype is DType.S8
    elif isinstance(ep, Affine):
        ok = out.dtype is DType.F32 and (x.dtype is DType.F32 or w is not None)
    else:
        ok = False
    if not ok:
        raise ModelError(f"node {n.name!r}: {n.op} of {x.dtype} has an epilogue that does not fit its types")
    if x.dtype is not DType.S8 or w is None:
        return
    bound = accumulator_bound(w)
    if isinstance(ep, Affine) and ep.corr is not None:
        bound = bound + np.abs(ep.corr.astype(np.int64))
    if int(bound.max(initial=0)) > INT32_MAX:
        raise ModelError(
            f"node {n.name!r}: {w[0].size} products per output could overflow its 32-bit accumulator; "
            "split the layer's inputs over two layers"
        )
