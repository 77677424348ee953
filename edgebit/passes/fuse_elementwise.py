"""Integer add, mul and average pooling between dequantize and quantize nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebit.errors import ModelError
from edgebit.ir.graph import Affine, DType, Graph, Node, Quant, TernaryWeights
from edgebit.ops import intmath
from edgebit.passes.fold_affine import combined
from edgebit.passes.move_quantisation import quantize_limits
from edgebit.passes.rewrite import (
    INF,
    Index,
    clone,
    infer,
    insert_before,
    limits,
    remove,
    scalar_or_channel,
    tensor_like,
)


def fuse_elementwise(graph: Graph) -> Graph:
    """quantize(op(dequantize(a), ...)) becomes the int8 op, within 1 LSB of the float path."""
    g = clone(graph)
    for q in [n for n in g.nodes if n.op == "quantize"]:
        index = Index(g)
        n = index.producer(q.inputs[0], ("add", "mul", "avg_pool2d"))
        if n is None or index.sole_user(q.inputs[0]) is not q:
            continue
        sources: list[str] = []
        for i in n.inputs:
            made = index.producer(i, "dequantize")
            if made is not None:
                sources.append(made.inputs[0])
        if len(sources) != len(n.inputs):
            continue
        attrs = _attrs(g, n, sources, q)
        if attrs is None:
            continue
        made_by = Node(n.op, n.name, sources, list(q.outputs), attrs)
        g.nodes[next(i for i, m in enumerate(g.nodes) if m is n)] = made_by
        del g.tensors[n.outputs[0]]
        remove(g, q)
        infer(g, made_by)
    g.prune()
    return g


def _attrs(g: Graph, n: Node, sources: list[str], q: Node) -> dict[str, Any] | None:
    out: Quant = q.attrs["out_quant"]
    quants = [g.tensors[s].quant for s in sources]
    a = quants[0]
    b = quants[-1]
    if a is None or b is None:
        return None
    try:
        if n.op == "add":
            attrs = intmath.make_add_params(a, b, out, *limits(n))
        elif n.op == "mul":
            attrs = intmath.make_mul_params(a, b, out, *limits(n))
        else:
            kept = {
                k: v for k, v in n.attrs.items() if k in ("kernel", "strides", "pads", "count_include_pad")
            }
            kernel = n.attrs["kernel"]
            attrs = kept | intmath.make_avg_params(a, out, int(kernel[0]) * int(kernel[1]))
    except ModelError:
        return None  # scales too far apart for the integer form: it stays float
    qmin, qmax = quantize_limits(q)
    attrs["qmin"], attrs["qmax"] = (min(max(int(attrs[k]), qmin), qmax) for k in ("qmin", "qmax"))
    return attrs


def channel_affine(graph: Graph) -> Graph:
    """quantize(dequantize(q) * m[c] + b[c]) becomes a 1x1 depthwise conv2d with weights of one.

    It is how a batch normalisation that nothing could take in is done in integers. Applied to feature maps
    (N, H, W, C) only; the requantisation itself is left to `requantise_linear`.
    """
    g = clone(graph)
    for q in [n for n in g.nodes if n.op == "quantize"]:
        index = Index(g)
        chain: list[Node] = []
        tensor = q.inputs[0]
        made = index.producer(tensor)
        while made is not None and made.op in ("add", "mul"):
            reader = chain[0] if chain else q
            if index.sole_user(tensor) is not reader or scalar_or_channel(g, made) is None:
                break
            if chain and limits(made) != (-INF, INF):
                break
            chain.insert(0, made)
            tensor = made.inputs[0]
            made = index.producer(tensor)
        if chain and made is not None and made.op == "dequantize":
            _as_conv(g, chain, tensor, q)
    g.prune()
    return g


def _as_conv(g: Graph, chain: list[Node], tensor: str, q: Node) -> None:
    shape = g.tensors[tensor].shape
    if len(shape) != 4:
        return
    channels = shape[-1]
    scale, bias = (np.broadcast_to(v, (channels,)).astype(np.float32) for v in combined(g, chain))
    if not (np.isfinite(scale).all() and np.isfinite(bias).all()):
        return
    last = chain[-1]
    weights = g.fresh(f"{last.name}.ones")
    g.consts[weights] = TernaryWeights(np.ones((channels, 1, 1, 1), np.int8), scale)
    lo, hi = limits(last)
    attrs = {
        "epilogue": Affine(scale=scale, bias=bias, lo=lo, hi=hi),
        "strides": (1, 1),
        "pads": (0, 0, 0, 0),
        "dilations": (1, 1),
        "groups": channels,
    }
    out = tensor_like(g, f"{last.outputs[0]}.affine", last.outputs[0], dtype=DType.F32)
    insert_before(g, q, Node("conv2d", last.name, [tensor, weights], [out], attrs))
    q.inputs = [out]
