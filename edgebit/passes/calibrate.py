"""int8-static: choose a scale and zero point for activations from calibration inputs, and int8 weights.

The float graph is run on the calibration inputs; the least and greatest value of each tensor, zero
included, give its quantisation. Quantize/dequantize pairs are then put behind the tensors that integer
ops will read, and the fusing passes turn what lies between pairs into integer ops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgebit.errors import ModelError, UsageError
from edgebit.ir.graph import Affine, Array, DType, Graph, Int8Weights, Node, Quant
from edgebit.ops.base import execute, infer_all
from edgebit.passes.fuse_lut import region_kind
from edgebit.passes.input_layout import UNARY
from edgebit.passes.rewrite import WEIGHTED, Index, clone, remove, tensor_like
from edgebit.passes.source_layout import to_canonical

_FLOWING = ("reshape", "transpose", "slice", "pad", "max_pool2d")  # output keeps its input's quantisation
_COMPUTING = (*UNARY, "add", "mul", "avg_pool2d", "concat")


def quantise_static(graph: Graph, calibration: Sequence[Mapping[str, Array]] | None) -> Graph:
    """Insert quantize/dequantize pairs with calibrated parameters; float weights become int8."""
    if not calibration:
        raise UsageError(
            "int8-static activations need calibration inputs: pass --calibration inputs.npz with a few "
            "representative inputs, or choose --activations int8-dynamic"
        )
    g = without_dynamic(graph)
    wanted = _wanted(g)
    ranges = _ranges(g, calibration, wanted)
    quantise_weights(g)
    for name, (lo, hi) in ranges.items():
        _insert_pair(g, name, choose_quant(lo, hi))
    g.check()
    return g


def without_dynamic(graph: Graph) -> Graph:
    """Layers with weights read the float tensor again; dynamic_quantize nodes are dropped."""
    g = clone(graph)
    for made in [n for n in g.nodes if n.op == "dynamic_quantize"]:
        xq, d = made.outputs
        for n in g.nodes:
            if d in n.inputs:
                if n.op not in WEIGHTED or n.inputs[2] != d:
                    raise ModelError(
                        f"node {n.name!r}: run-time scales may only be read by layers with weights"
                    )
                n.inputs = n.inputs[:2]
        if xq in g.outputs or d in g.outputs:
            raise ModelError(f"node {made.name!r}: int8-static cannot keep run-time scales as a model output")
        remove(g, made)
        g.replace_uses(xq, made.inputs[0])
    g.prune()
    infer_all(g)
    return g


def quantise_weights(g: Graph) -> None:
    """Symmetric int8 weights, scale max/127 per output channel, for layers with float weights."""
    for n in g.nodes:
        w = g.consts[n.inputs[1]] if n.op in WEIGHTED else None
        if not isinstance(w, np.ndarray) or w.dtype != np.float32:
            continue
        if g.tensors[n.inputs[0]].dtype != DType.F32 or not isinstance(n.attrs["epilogue"], Affine):
            continue
        q = int8_weights(w)
        ep: Affine = n.attrs["epilogue"]
        scale = q.scale.astype(np.float64) * (1.0 if ep.scale is None else ep.scale.astype(np.float64))
        n.attrs["epilogue"] = replace(ep, scale=scale.astype(np.float32))
        name = g.fresh(f"{n.inputs[1]}.int8")
        g.consts[name] = q
        n.inputs[1] = name
    g.prune()


def int8_weights(w: Array) -> Int8Weights:
    """w (OC, ...) rounded to int8 with scale[o] = max|w[o]| / 127 (1 for a channel of zeros)."""
    flat = w.reshape(w.shape[0], -1).astype(np.float64)
    top = np.abs(flat).max(axis=1)
    scale = np.where(top > 0, top / 127, 1.0).astype(np.float32)
    scale = np.maximum(scale, np.float32(np.finfo(np.float32).tiny))
    q = np.clip(np.rint(flat / scale.astype(np.float64)[:, None]), -127, 127).astype(np.int8)
    return Int8Weights(q.reshape(w.shape), scale)


def choose_quant(lo: float, hi: float) -> Quant:
    """int8 parameters for values in lo..hi (zero is made part of the range).

    Symmetric (zero point 0) unless that would cost more than a tenth of the resolution.
    """
    lo, hi = min(lo, 0.0), max(hi, 0.0)
    top = max(-lo, hi)
    if top == 0.0 or not np.isfinite(top):
        return Quant(1.0, 0)
    symmetric = np.float32(max(top / 127, float(np.finfo(np.float32).tiny)))
    skewed = np.float32(max((hi - lo) / 255, float(np.finfo(np.float32).tiny)))
    if float(symmetric) <= 1.1 * float(skewed):
        return Quant(float(symmetric), 0)
    zero = int(np.clip(np.rint(-128 - lo / float(skewed)), -128, 127))
    return Quant(float(skewed), zero)


def _wanted(g: Graph) -> list[str]:
    """The f32 tensors to quantise, in order: those that integer ops read."""
    index = Index(g)
    need: set[str] = set()
    for n in reversed(g.nodes):
        out = n.outputs[0]
        if n.op in WEIGHTED or (n.op in (*_FLOWING, *_COMPUTING) and out in need):
            need.update(i for i in n.inputs if i in g.tensors and g.tensors[i].dtype == DType.F32)
    order = [*g.inputs, *(o for n in g.nodes for o in n.outputs)]
    return [t for t in order if t in need and not _interior(g, index, t)]


def _interior(g: Graph, index: Index, tensor: str) -> bool:
    """No pair is needed: the values already are int8 ones, or lie within what will become one op."""
    made = index.producer(tensor)
    if made is None:
        return False
    if made.op in _FLOWING or made.op == "dequantize":
        return True
    users = index.users.get(tensor, [])
    if tensor in index.outputs or not users:
        return False
    if all(u.op == "quantize" for u in users):
        return True
    if len(users) == 1 and users[0].op == "concat":
        return True  # the quantisation of the whole rises to its parts
    if len(users) == 1 and users[0].op == "clip" and not _interior(g, index, users[0].outputs[0]):
        return True  # the quantisation of the clamped value rises over the clamp
    kind = region_kind(g, index, made)
    return kind is not None and all(region_kind(g, index, u) == kind for u in users)


def _ranges(
    g: Graph, calibration: Sequence[Mapping[str, Array]], wanted: Sequence[str]
) -> dict[str, tuple[float, float]]:
    ranges = dict.fromkeys(wanted, (0.0, 0.0))
    for sample in calibration:
        missing = [i for i in g.inputs if i not in sample]
        if missing:
            raise UsageError(f"the calibration inputs lack {missing[0]!r}; the model takes {g.inputs}")
        values = execute(g, {i: to_canonical(g.tensors[i], sample[i]) for i in g.inputs})
        for t in wanted:
            lo, hi = ranges[t]
            v = values[t]
            if not np.isfinite(v).all():
                raise UsageError(f"a calibration input makes {t!r} infinite or not a number")
            ranges[t] = (min(lo, float(v.min())), max(hi, float(v.max())))
    return ranges


def _insert_pair(g: Graph, tensor: str, quant: Quant) -> None:
    q = tensor_like(g, f"{tensor}.q", tensor, dtype=DType.S8, quant=quant)
    back = tensor_like(g, f"{tensor}.dq", tensor, quant=None)
    if tensor in g.outputs:
        old = g.tensors[tensor]
        g.tensors[back].source_perm, g.tensors[back].source_shape = old.source_perm, old.source_shape
    outputs = list(g.outputs)
    g.replace_uses(tensor, back)
    at = next((i + 1 for i, n in enumerate(g.nodes) if tensor in n.outputs), 0)
    if tensor in g.inputs:
        g.outputs = outputs
    g.nodes[at:at] = [
        Node(
            "quantize", f"{tensor}/quantize", [tensor], [q], {"out_quant": quant, "qmin": -128, "qmax": 127}
        ),
        Node("dequantize", f"{tensor}/dequantize", [q], [back]),
    ]
