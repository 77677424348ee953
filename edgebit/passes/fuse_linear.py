"""Integer dense and conv2d: read int8 instead of its dequantised copy, and requantise at once.

With x = sx (q - zx) and weights s[c] w the sum of products is sx s[c] (acc - zx sum(w)), so a dense or conv2d
of a dequantised tensor reads q itself, with scale f32(sx s[c]) and the integer corr[c] = -zx sum(w). If
nobody but a quantize node reads the result, scale, bias, clamp and quantisation become a `Requant`.

With scales s[c, g] for groups of inputs the sum is sx sum over g of s[c, g] (acc[g] - zx sum(w[g])): dense_groups
reads q with unit sx, and what zx takes away, the same for every input, goes into the bias. Results stay float.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgebit.errors import ModelError
from edgebit.ir.graph import (
    Affine,
    DType,
    Graph,
    GroupTernaryWeights,
    Int8Weights,
    Node,
    Quant,
    S8Array,
    TernaryWeights,
)
from edgebit.ops.requant import make_requant
from edgebit.passes.move_quantisation import int8_limits, quantize_limits
from edgebit.passes.rewrite import Index, clone, infer, remove, tensor_of

LINEAR = ("dense", "conv2d")
INT32_MAX = 2**31 - 1
S64 = npt.NDArray[np.int64]


def int_weights(graph: Graph, node: Node) -> S8Array | None:
    """The integer weights of a dense or conv2d, (OC, ...); None when they are float."""
    w = graph.consts[node.inputs[1]]
    if isinstance(w, TernaryWeights):
        return w.trits
    return w.q if isinstance(w, Int8Weights) else None


def accumulator_bound(weights: S8Array) -> S64:
    """Per output channel the largest |acc| any int8 input can give: 128 sum|w|."""
    bound: S64 = np.abs(weights.astype(np.int64)).reshape(weights.shape[0], -1).sum(axis=1) * 128
    return bound


def read_int8(graph: Graph) -> Graph:
    """Let layers with integer weights read int8 tensors in place of their dequantised copies."""
    g = clone(graph)
    index = Index(g)
    for n in g.nodes:
        if n.op == "dense_groups":
            _read_groups(g, index, n)
        if n.op not in LINEAR or not isinstance(n.attrs["epilogue"], Affine):
            continue
        made = index.producer(n.inputs[0], "dequantize")
        w = int_weights(g, n)
        if made is None or w is None or any(n.inputs[2:]):
            continue
        quant = g.tensors[made.inputs[0]].quant
        ep: Affine = n.attrs["epilogue"]
        if quant is None or ep.corr is not None:
            continue
        corr = -quant.zero_point * w.astype(np.int64).reshape(w.shape[0], -1).sum(axis=1)
        if int((accumulator_bound(w) + np.abs(corr)).max(initial=0)) > INT32_MAX:
            continue
        scale = np.ones(w.shape[0]) if ep.scale is None else ep.scale.astype(np.float64)
        scale32 = (quant.scale * scale).astype(np.float32)
        n.inputs[0] = made.inputs[0]
        n.attrs["epilogue"] = replace(
            ep, scale=scale32, corr=corr.astype(np.int32) if quant.zero_point else None
        )
        infer(g, n)
    g.prune()
    return g


def _read_groups(g: Graph, index: Index, n: Node) -> None:
    """`read_int8` for a dense_groups node."""
    made = index.producer(n.inputs[0], "dequantize")
    quant = g.tensors[made.inputs[0]].quant if made is not None else None
    w, ep = g.consts[n.inputs[1]], n.attrs["epilogue"]
    if made is None or quant is None or not isinstance(w, GroupTernaryWeights):
        return
    bias = ep.bias
    if quant.zero_point:
        starts = np.arange(0, w.trits.shape[1], w.group)
        sums = np.add.reduceat(w.trits.astype(np.int64), starts, axis=1)
        missing = quant.scale * quant.zero_point * (w.scale.astype(np.float64) * sums).sum(axis=1)
        with np.errstate(over="ignore"):
            bias = ((0.0 if bias is None else bias.astype(np.float64)) - missing).astype(np.float32)
        if not np.isfinite(bias).all():
            return
    n.inputs[0] = made.inputs[0]
    n.attrs["epilogue"], n.attrs["unit"] = replace(ep, bias=bias), quant.scale
    infer(g, n)


def requantise_linear(graph: Graph) -> Graph:
    """Fuse quantize nodes into the integer dense and conv2d nodes whose result only they read."""
    g = clone(graph)
    for q in [n for n in g.nodes if n.op == "quantize"]:
        index = Index(g)
        n = index.producer(q.inputs[0], LINEAR)
        if n is None or index.sole_user(q.inputs[0]) is not q:
            continue
        w = int_weights(g, n)
        if w is None or g.tensors[n.inputs[0]].dtype != DType.S8 or any(n.inputs[2:]):
            continue
        ep = n.attrs["epilogue"]
        if isinstance(ep, Affine):
            _requantise(g, n, q, ep, w)
    g.prune()
    return g


def _requantise(g: Graph, n: Node, q: Node, ep: Affine, w: S8Array) -> None:
    quant: Quant = q.attrs["out_quant"]
    channels = tensor_of(g, n).shape[-1]
    scale = np.ones(channels) if ep.scale is None else ep.scale.astype(np.float64)
    corr = np.zeros(channels) if ep.corr is None else ep.corr.astype(np.float64)
    bias = np.zeros(channels) if ep.bias is None else ep.bias.astype(np.float64)
    qmin, qmax = int8_limits(quant, ep.lo, ep.hi, *quantize_limits(q))
    try:
        requant = make_requant(
            scale / quant.scale,
            (corr * scale + bias) / quant.scale + quant.zero_point,
            accumulator_bound(w),
            qmin,
            qmax,
        )
    except ModelError:
        return  # no integers are exact enough: the float epilogue stays, with its quantize node
    n.attrs["epilogue"], n.attrs["out_quant"] = requant, quant
    del g.tensors[n.outputs[0]]
    remove(g, q)
    n.outputs = list(q.outputs)
    infer(g, n)
