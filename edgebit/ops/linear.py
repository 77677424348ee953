"""What dense and conv2d share: weights, sums with one meaning on every machine, epilogues, and overlap.

Integer sums are exact; the shape rule refuses weights whose sums could leave int32. Binary32 sums run in
eight lanes, element k into lane k % 8 in order of k, each lane starting at +0, then a fixed tree:
l[j] += l[j + 4] (j < 4), l[j] += l[j + 2] (j < 2), l[0] + l[1]. Depthwise binary32 sums are one plain sum a
channel in tap order. A zero trit contributes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgebit.errors import EdgebitError
from edgebit.ir.graph import (
    Affine,
    Array,
    Const,
    DType,
    F32Array,
    Graph,
    GroupTernaryWeights,
    Int8Weights,
    Node,
    Quant,
    Requant,
    S8Array,
    S32Array,
    Tensor,
    TernaryWeights,
)
from edgebit.ops.requant import check_requant, requantise
from edgebit.ops.support import activation, bad, check_quant, out_quant

S64Array = npt.NDArray[np.int64]
_INT32 = 2**31


@dataclass(frozen=True)
class Weights:
    """The numbers a kernel multiplies by: trits or int8 (int8 arrays) or binary32, output channel first."""

    element: Literal["trit", "s8", "f32"]
    values: Array

    @property
    def outs(self) -> int:
        return int(self.values.shape[0])


def weights_of(node: Node, graph: Graph, rank: int) -> Weights:
    """The constant at input 1, checked to be a `rank`-dimensional array of a supported kind."""
    const = graph.consts.get(node.inputs[1])
    if const is None:
        raise bad(node, f"input 1 ({node.inputs[1]!r}) must be a constant")
    if isinstance(const, GroupTernaryWeights):
        raise bad(node, "weights with scales for groups of inputs are for dense_groups")
    w = plain_weights(const)
    if w.values.ndim != rank or 0 in w.values.shape:
        raise bad(node, f"the weights must have {rank} dimensions, none of them 0, not {w.values.shape}")
    want = np.float32 if w.element == "f32" else np.int8
    if w.values.dtype != want:
        raise bad(node, f"{w.element} weights must be stored as {np.dtype(want)}, not {w.values.dtype}")
    if w.element == "trit" and (w.values.min() < -1 or w.values.max() > 1):
        raise bad(node, "ternary weights must be -1, 0 or +1")
    if w.element == "f32" and not np.isfinite(w.values).all():
        raise bad(node, "the weights hold NaN or infinity")
    return w


def plain_weights(const: Const) -> Weights:
    """The numbers of a weight constant without its scale."""
    if isinstance(const, TernaryWeights):
        return Weights("trit", const.trits)
    if isinstance(const, Int8Weights):
        return Weights("s8", const.q)
    return Weights("f32", const)


def acc_bounds(const: Const) -> S64Array:
    """Per output channel, the largest |sum| that int8 activations (-128 included) can reach."""
    w = plain_weights(const)
    if w.element == "f32":
        raise EdgebitError("accumulator bounds are for ternary and int8 weights")
    magnitude = np.abs(w.values.reshape(w.outs, -1).astype(np.int64))
    return np.asarray(128 * magnitude.sum(axis=1), np.int64)


def check_linear(node: Node, graph: Graph, w: Weights, d_rows: int) -> tuple[Tensor, DType, Quant | None]:
    """Check the activation, epilogue and dynamic scale of a linear node.

    d_rows: how many dynamic scales input 2 must hold. Returns the activation, and the element type and
    quantisation of the output.
    """
    if len(node.inputs) not in (2, 3) or not all(node.inputs[:2]) or len(node.outputs) != 1:
        raise bad(node, "takes an activation, weights and optionally dynamic scales, and makes one output")
    x = activation(node, graph, 0, DType.F32, DType.S8)
    epilogue = node.attrs.get("epilogue")
    dynamic = is_dynamic(node)
    if not isinstance(epilogue, (Affine, Requant)):
        raise bad(node, "the attribute epilogue must be an Affine or a Requant")
    if isinstance(epilogue, Affine):
        check_affine(node, epilogue, w.outs)
    if x.dtype is DType.F32:
        if dynamic or isinstance(epilogue, Requant) or epilogue.corr is not None:
            raise bad(node, "float activations take an Affine epilogue without corr, and no dynamic scales")
        return x, DType.F32, None
    if w.element == "f32":
        raise bad(node, "int8 activations need ternary or int8 weights, these are float")
    bounds = acc_bounds(graph.consts[node.inputs[1]])
    if isinstance(epilogue, Affine) and epilogue.corr is not None:
        bounds = bounds + np.abs(epilogue.corr.astype(np.int64))
    if bounds.max() >= _INT32:
        raise bad(node, f"a sum of {w.values[0].size} products could leave 32 bits ({int(bounds.max())})")
    if dynamic:
        d = activation(node, graph, 2, DType.F32)
        if d.shape != (d_rows,):
            raise bad(node, f"the dynamic scales must have the shape ({d_rows},), not {d.shape}")
        if isinstance(epilogue, Requant) or epilogue.corr is not None:
            raise bad(node, "dynamic int8 activations take an Affine epilogue without corr")
        return x, DType.F32, None
    check_quant(node, x.quant, f"the int8 input {x.name!r}")
    if isinstance(epilogue, Affine):
        return x, DType.F32, None
    why = check_requant(epilogue, bounds, w.outs)
    if why is not None:
        raise bad(node, f"requantisation: {why}")
    return x, DType.S8, out_quant(node)


def is_dynamic(node: Node) -> bool:
    """Whether the node's int8 input comes with dynamic scales."""
    return len(node.inputs) == 3 and bool(node.inputs[2])


def epilogue_steps(node: Node) -> int:
    """Float operations that the node's epilogue does for each output: conversion, scales, bias, clamps."""
    e = node.attrs["epilogue"]
    if isinstance(e, Requant):
        return 0
    steps = 1 + is_dynamic(node) + (e.lo > -np.inf) + (e.hi < np.inf)
    return int(steps + sum(v is not None for v in (e.corr, e.scale, e.bias)))


def requant_work(node: Node, pixels: int, outs: int) -> dict[str, float]:
    """Of int8 outputs, whose sums may have kernels for their kind (epilogue/requant_armv7m.h): narrow, those clamped
    to less than the range of int8, and shifted, others that are shifted first. tail: those of a pixel that do not come
    in eights, which vector code makes one by one (epilogue/requant_neon.h)."""
    e = node.attrs["epilogue"]
    narrow = isinstance(e, Requant) and (e.qmin, e.qmax) != (-128, 127)
    shifted = isinstance(e, Requant) and e.pre_shift > 0 and not narrow
    made = {"narrow": pixels * outs * narrow, "shifted": pixels * outs * shifted}
    return {n: float(v) for n, v in made.items()} | {
        "tail": float(pixels * (outs % 8) * isinstance(e, Requant))
    }


def check_affine(node: Node, a: Affine, outs: int) -> None:
    """Raise unless the epilogue's arrays fit `outs` channels and its clamp is a range."""
    for name, v, want in (
        ("scale", a.scale, "float32"),
        ("bias", a.bias, "float32"),
        ("corr", a.corr, "int32"),
    ):
        if v is None:
            continue
        if not isinstance(v, np.ndarray) or v.dtype != want or v.shape not in ((outs,), (1,)):
            raise bad(node, f"epilogue {name} must be {want} of shape ({outs},) or (1,)")
        if not np.isfinite(v).all():
            raise bad(node, f"epilogue {name} holds NaN or infinity")
    if not (a.lo <= a.hi and a.lo < np.inf and a.hi > -np.inf):
        raise bad(node, f"the clamp {a.lo}..{a.hi} is empty")


# Sums


def integer_sums(x: S8Array, w: S8Array) -> S32Array:
    """(P, K) int8 times (N, K) int8 -> (P, N) int32, exact.

    Computed by the float matrix product: all partial sums are integers below 2^24 (binary32) or 2^53
    (binary64), which those types hold exactly in any order.
    """
    largest = x.shape[1] * 128 * int(np.abs(w.astype(np.int16)).max(initial=0))
    kind: type[np.floating[Any]] = np.float32 if largest <= 2**24 else np.float64
    acc = np.matmul(x.astype(kind), w.astype(kind).T)
    if acc.size and np.abs(acc).max() >= _INT32:
        raise EdgebitError("an integer sum left 32 bits: the shape rule let it through")
    exact: S32Array = acc.astype(np.int32)
    return exact


def lane_sums(x: F32Array, w: Array) -> F32Array:
    """(P, K) binary32 times (N, K) trits, int8 or binary32 -> (P, N): eight lanes, then the tree."""
    if x.shape[0] > w.shape[0]:  # the long side innermost; products commute
        return np.ascontiguousarray(_lanes(np.asarray(w, np.float32), x).T)
    return _lanes(x, np.asarray(w, np.float32))


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def _lanes(a: F32Array, b: F32Array) -> F32Array:
    """(P, K) and (N, K) -> (P, N), blocked over P so that the lanes stay in cache."""
    k8 = -(-a.shape[1] // 8)
    out = np.empty((a.shape[0], b.shape[0]), np.float32)
    right = _by_lane(b, k8)[:, :, None, :]
    block = max(1, 32768 // b.shape[0])
    for p in range(0, a.shape[0], block):
        left = _by_lane(a[p : p + block], k8)[:, :, :, None]
        lanes = np.zeros((8, left.shape[2], b.shape[0]), np.float32)
        product = np.empty_like(lanes)
        for k in range(k8):
            np.multiply(left[k], right[k], out=product)
            lanes += product
        four = lanes[:4] + lanes[4:]
        two = four[:2] + four[2:]
        out[p : p + block] = two[0] + two[1]
    return out


def _by_lane(m: F32Array, k8: int) -> F32Array:
    """(R, K) -> (K / 8, 8, R), zeros past K."""
    padded = np.zeros((m.shape[0], k8 * 8), np.float32)
    padded[:, : m.shape[1]] = m
    return np.ascontiguousarray(padded.reshape(-1, k8, 8).transpose(1, 2, 0))


# Epilogues


def finish(node: Node, acc: Array, d: F32Array | None) -> Array:
    """The outputs of sums (..., C), int32 or binary32; d broadcasts against (..., 1)."""
    epilogue = node.attrs["epilogue"]
    if isinstance(epilogue, Requant):
        return requantise(acc, epilogue)
    return affine(acc, epilogue, d)


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def affine(acc: Array, a: Affine, d: F32Array | None = None) -> F32Array:
    """clamp(((float(acc + corr) * scale) * d) + bias, lo, hi), each step rounded to binary32."""
    y: F32Array = (acc if a.corr is None else (acc + a.corr).astype(np.int32)).astype(np.float32)
    if a.scale is not None:
        y = y * a.scale
    if d is not None:
        y = y * d
    if a.bias is not None:
        y = y + a.bias
    if a.lo > -np.inf:
        lo = np.float32(a.lo)
        y = np.where(y < lo, lo, y)
    if a.hi < np.inf:
        hi = np.float32(a.hi)
        y = np.where(y > hi, hi, y)
    return np.asarray(y, np.float32)


# Overlap


@dataclass(frozen=True)
class Window:
    """The geometry of a convolution; a dense layer of M rows is one of width M with a 1x1 kernel."""

    n: int
    h: int
    w: int
    c: int
    kh: int
    kw: int
    oh: int
    ow: int
    outs: int
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    groups: int = 1

    @property
    def pixels(self) -> int:
        return self.n * self.oh * self.ow

    @property
    def depthwise(self) -> bool:
        return self.groups == self.c and self.groups > 1

    @property
    def cut(self) -> int:
        """Windows of all images that reach padding."""

        def whole(outs: int, axis: int, kernel: int, size: int) -> int:
            starts = np.arange(outs) * self.strides[axis] - self.pads[axis]
            last = (kernel - 1) * self.dilations[axis]
            return int(((starts >= 0) & (starts + last < size)).sum())

        inside = whole(self.oh, 0, self.kh, self.h) * whole(self.ow, 1, self.kw, self.w)
        return self.n * (self.oh * self.ow - inside)

    @property
    def cols(self) -> int:
        """Elements of one group's window."""
        return self.kh * self.kw * self.c // self.groups

    def c_fields(self) -> dict[str, int]:
        """The geometry as the members that every convolution's parameter struct begins with."""
        return {
            **{k: getattr(self, k) for k in ("n", "h", "w", "c", "kh", "kw", "oh", "ow", "outs")},
            "stride_h": self.strides[0],
            "stride_w": self.strides[1],
            "dilation_h": self.dilations[0],
            "dilation_w": self.dilations[1],
            "pad_top": self.pads[0],
            "pad_left": self.pads[1],
        }


@lru_cache(maxsize=4096)
def overlap_distance(g: Window, in_bytes: int, out_bytes: int) -> int:
    """The largest (output - input) byte offset at which the drivers may run with both in one memory.

    The drivers read a pixel's whole window (all channels) before they write the pixel, in order of n, oy, ox.
    After pixel i is written, bytes up to the end of pixel i are spoilt, so the first input byte that any
    later pixel reads must lie beyond them. in_bytes, out_bytes: sizes of one element.
    """
    first_y = _first_inside(g.oh, g.strides[0], g.pads[0], g.kh, g.dilations[0], g.h)
    first_x = _first_inside(g.ow, g.strides[1], g.pads[1], g.kw, g.dilations[1], g.w)
    pixel = (np.arange(g.n)[:, None, None] * g.h + first_y[:, None]) * g.w + first_x
    never = (first_y[:, None] < 0) | (first_x < 0)
    total = g.n * g.h * g.w * g.c * in_bytes
    reads = np.where(never, total, pixel * g.c * in_bytes).reshape(-1)
    later = np.append(np.minimum.accumulate(reads[::-1])[::-1][1:], total)
    written = (np.arange(reads.size) + 1) * g.outs * out_bytes
    # Without later reads the last pixels may go anywhere, so they do not count.
    free = np.where(later == total, total, later - written)
    return int(min(free.min(), total))


def _first_inside(out: int, stride: int, pad: int, kernel: int, dilation: int, size: int) -> S64Array:
    """Per output position, the first input position its window reads; -1 when it sees only padding."""
    start = np.arange(out, dtype=np.int64) * stride - pad
    taps = start[:, None] + np.arange(kernel) * dilation
    inside = (taps >= 0) & (taps < size)
    return np.where(inside.any(axis=1), np.where(inside, taps, size).min(axis=1), -1)
