"""What a decoder computes, in NumPy: the law that runtime_c/decoder mirrors bit for bit.

Binary32 + - * / sqrt only, each rounded, never fused. Sums run in lanes: element i goes to lane i mod 8 (16 for
the head), each lane starts at +0 and adds in order, then lanes j and j + n / 2 are added until one is left.
"""

from __future__ import annotations

import numpy as np

from edgebit.decoder.canonical import S4_GROUP, Projection, Rows, widen
from edgebit.decoder.precision import ACT_BLOCK
from edgebit.ir.graph import Array, F32Array, S8Array, S32Array
from edgebit.ops import floatmath
from edgebit.ops.linear import integer_sums

_F = np.float32
HEAD_LANES = 16
POSITIONS = 128
"""Attention looks at positions in blocks of this many, wherever the current one is."""
S4_LARGEST = _F(32512)
"""What the largest input of a head of four bits becomes: 127 * 256, of which both bytes are int8."""
EPS = _F(1e-5)
"""The smallest largest magnitude that quantisation reckons with, as in BitNet b1.58."""


def lane_tree(lanes: F32Array) -> F32Array:
    """(lanes, ...) -> (...): the fixed tree."""
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = lanes[:half] + lanes[half:]
    total: F32Array = lanes[0]
    return total


@np.errstate(all="ignore")
def lane_dots(a: F32Array, b: F32Array, lanes: int = 8) -> F32Array:
    """(P, K) and (N, K) -> (P, N) sums of products in lanes."""
    steps = -(-a.shape[1] // lanes)
    left, right = (
        np.pad(m, ((0, 0), (0, steps * lanes - m.shape[1]))).reshape(len(m), steps, lanes).transpose(1, 2, 0)
        for m in (a, b)
    )
    out = np.empty((len(a), len(b)), _F)
    block = max(1, (1 << 20) // (lanes * len(b)))
    for p in range(0, len(a), block):
        part = np.ascontiguousarray(left[:, :, p : p + block])
        total = np.zeros((lanes, part.shape[2], len(b)), _F)
        for k in range(steps):
            total += part[k][:, :, None] * right[k][:, None, :]
        out[p : p + block] = lane_tree(total)
    return out


@np.errstate(all="ignore")
def sum_of_squares(x: F32Array) -> F32Array:
    """x (..., n) -> (...): in the order of PyTorch's sums on x86 with AVX2 or AVX-512 (SumKernel.cpp: a cascade).

    Of every 32 squares number i goes to lane i mod 32. After 16 such steps the lanes are added to a second set, and
    after 16 of those that set to a third; the next begin at +0. At the end second and third are added to the first,
    then what is left of whole eights goes to lanes 0..7, one eight after the other; then lanes j + 8, j + 16 and j + 24
    are added to lane j. What is left of n is added up from +0, and to it lanes 0..7, all in order.
    """
    n = x.shape[-1]
    square = np.moveaxis(x * x, -1, 0)
    whole = n // 32 * 32
    steps = square[:whole].reshape(-1, 32, *x.shape[:-1])
    levels = np.zeros((3, 32, *x.shape[:-1]), _F)
    for k, step in enumerate(steps, 1):
        levels[0] += step
        for up, every in enumerate((16, 256)):
            if k % every == 0:
                levels[up + 1] += levels[up]
                levels[up] = 0
    lanes = (levels[0] + levels[1]) + levels[2]
    for k in range(whole, n // 8 * 8, 8):
        lanes[:8] += square[k : k + 8]
    total = np.zeros(x.shape[:-1], _F)
    for rest in square[n // 8 * 8 :]:
        total = total + rest
    for lane in ((lanes[:8] + lanes[8:16]) + lanes[16:24]) + lanes[24:]:
        total = total + lane
    return total


@np.errstate(all="ignore")
def rms_norm(x: F32Array, weight: F32Array, eps: float) -> F32Array:
    """x (..., n): (x * (1 / sqrt(sum(x * x) / n + eps))) * weight."""
    scale = _F(1) / floatmath.sqrt(sum_of_squares(x) / _F(x.shape[-1]) + _F(eps))
    return np.asarray((x * scale[..., None]) * weight, _F)


@np.errstate(all="ignore")
def quantize(x: F32Array, block: int) -> tuple[S8Array, F32Array]:
    """(T, n) -> int8 (T, n) and the steps in 1, (T, blocks): per block (0: the whole row),
    a = max(max |x|, 1e-5); s = (1 / a) * 127; q = clamp(rne(x * s), -128, 127)."""
    n = x.shape[1]
    size = block or n
    q = np.empty(x.shape, np.int8)
    steps = np.empty((len(x), -(-n // size)), _F)
    for b in range(steps.shape[1]):
        part = x[:, b * size : (b + 1) * size]
        a = np.maximum(np.abs(part).max(axis=1), EPS)
        s = (_F(1) / a) * _F(127)
        q[:, b * size : (b + 1) * size] = np.clip(floatmath.rne(part * s[:, None]), -128, 127)
        steps[:, b] = s
    return q, steps


def accumulate(q: S8Array, p: Projection) -> list[S32Array]:
    """Exact sums of each group of inputs, (T, rows) int32."""
    cols = p.trits.shape[1]
    return [integer_sums(q[:, g : g + p.group], p.trits[:, g : g + p.group]) for g in range(0, cols, p.group)]


@np.errstate(all="ignore")
def project(q: S8Array, steps: F32Array, p: Projection) -> F32Array:
    """(T, cols) int8 with `steps` in 1 -> (T, rows): float(acc) / (steps * divisor), as transformers has it; with
    several groups the sum over groups g, in order and from the first, of (float(acc_g) * scale[:, g]) * (1 / steps_g).
    Then + bias. A lone steps serves all groups; else one serves ACT_BLOCK inputs, whose groups have as many or fewer."""
    sums = accumulate(q, p)
    if p.divisor is not None:
        y: F32Array = sums[0].astype(_F) / (steps * p.divisor)
        return y if p.bias is None else y + p.bias
    unit = _F(1) / steps
    total: F32Array | None = None
    for g, acc in enumerate(sums):
        at = g * p.group // ACT_BLOCK if unit.shape[1] > 1 else 0
        part = (acc.astype(_F) * p.scale[:, g]) * unit[:, at][:, None]
        total = part if total is None else total + part
    assert total is not None
    return total if p.bias is None else total + p.bias


@np.errstate(all="ignore")
def project_f32(x: F32Array, p: Projection) -> F32Array:
    """(T, cols) -> (T, rows): the sum over groups g, in order and from the first, of sum_g * scale[:, g]; a group's
    sum of +x, -x or nothing runs in 8 lanes. Then + bias."""
    total: F32Array | None = None
    for g, start in enumerate(range(0, p.trits.shape[1], p.group)):
        span = slice(start, start + p.group)
        part = lane_dots(x[:, span], p.trits[:, span].astype(_F)) * p.scale[:, g]
        total = part if total is None else total + part
    assert total is not None
    return total if p.bias is None else total + p.bias


def rotate(x: F32Array, table: F32Array) -> F32Array:
    """x (T, heads, hd), table (T, 2, hd / 2): pairs (i, i + hd / 2) turned by their position's angles."""
    half = x.shape[-1] // 2
    cos, sin = table[:, None, 0], table[:, None, 1]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def store_f16(x: F32Array) -> Array:
    """Binary16, halves to even; what is too large becomes the largest."""
    return np.clip(x, _F(-65504), _F(65504)).astype(np.float16)


@np.errstate(all="ignore")
def store_s8(x: F32Array) -> tuple[S8Array, F32Array]:
    """(..., hd) -> int8 and what a unit stands for: a = max |x|; q = rne(x * (127 / a)), d = a / 127; zeros
    when a is not above 2^-100."""
    a = np.abs(x).max(axis=-1)
    live = a > _F(2.0**-100)
    s = np.where(live, _F(127) / np.where(live, a, _F(1)), _F(0))
    q = np.clip(floatmath.rne(x * s[..., None]), -127, 127).astype(np.int8)
    return q, np.where(live, a / _F(127), _F(0)).astype(_F)


@np.errstate(all="ignore")
def attention(
    q: F32Array,
    keys: F32Array,
    values: F32Array,
    units: tuple[F32Array, F32Array] | None,
    first: int,
) -> F32Array:
    """q (T, G, hd) of positions first..first + T - 1 over one key-value head's keys and values (n, hd), n >=
    first + T. units (n,) each: what int8 keys and values count. Returns (T, G, hd).

    For each block of POSITIONS positions up to the query's own: scores s = dot(q, k) (* unit) * hd^-1/2 with
    8 lanes; m = max s; p = exp(s - m); l = sum of p in 8 lanes; o = sum of (p (* unit)) * v in order of
    positions, from +0. Then, with M = max m and w = exp(m - M) in order of blocks: (sum w o) * (1 / sum w l).
    """
    t, g, hd = q.shape
    scale = _F(hd**-0.5)
    flat = q.reshape(t * g, hd)
    own = np.repeat(first + np.arange(t), g)
    parts: list[tuple[F32Array, F32Array, F32Array]] = []
    for start in range(0, first + t, POSITIONS):
        end = min(start + POSITIONS, first + t)
        s = lane_dots(flat, keys[start:end])
        if units is not None:
            s = s * units[0][start:end]
        s = s * scale
        seen = np.arange(start, end) <= own[:, None]
        m = np.where(seen, s, -np.inf).max(axis=1).astype(_F)
        p = np.where(seen, floatmath.exp(np.where(seen, s - m[:, None], _F(0))), _F(0))
        lanes = np.zeros((8, t * g), _F)
        for k in range(0, end - start, 8):
            part = p[:, k : k + 8].T
            lanes[: len(part)] += part
        c = p if units is None else p * units[1][start:end]
        o = np.zeros((t * g, hd), _F)
        for k in range(end - start):
            o += c[:, k : k + 1] * values[start + k]
        parts.append((m, lane_tree(lanes), o))
    top = np.max([m for m, _, _ in parts], axis=0)
    total, out = np.zeros(t * g, _F), np.zeros((t * g, hd), _F)
    for m, length, o in parts:
        w = np.where(m == -np.inf, _F(0), floatmath.exp(np.where(m == -np.inf, _F(0), m - top)))
        total += w * length
        out += w[:, None] * o
    return np.asarray(out * (_F(1) / total)[:, None], _F).reshape(t, g, hd)


@np.errstate(all="ignore")
def gated(gate: F32Array, up: F32Array, activation: str) -> F32Array:
    """act(gate) * up: "silu", or "relu2", max(gate, 0) squared."""
    if activation == "silu":
        return floatmath.silu(gate) * up
    r = np.where(gate > 0, gate, _F(0))
    return (r * r) * up


def head(x: F32Array, matrix: Rows) -> F32Array:
    """(T, width) -> (T, vocab): sums of products with the stored values in 16 lanes, times the row's scale; heads of
    four bits have their own sums."""
    if matrix.codes is not None:
        return _head_s4(x, matrix, matrix.codes)
    out = np.empty((len(x), len(matrix.data)), _F)
    for start in range(0, len(matrix.data), 8192):
        part = widen(matrix.data[start : start + 8192], matrix.kind)
        out[:, start : start + 8192] = lane_dots(x, part, HEAD_LANES)
    return out if matrix.scale is None else out * matrix.scale


@np.errstate(all="ignore")
def _head_s4(x: F32Array, matrix: Rows, codes: Array) -> F32Array:
    """Inputs are rounded to 16 bits: a = max |x|, k = rne(x * (32512 / a)), zeros when a is not above 2^-100. Sums of
    four products of numbers with k, elements 4 j .. 4 j + 3 of a group, are exact; as binary32 and times the group's
    code they go to lane 8 * (group mod 2) + j of sixteen. Then (tree * row's scale) * (a / 32512)."""
    vocab, width = matrix.data.shape
    groups = codes.shape[1]
    assert matrix.scale is not None
    a = np.abs(x).max(axis=1)
    live = a > _F(2.0**-100)
    s = np.where(live, S4_LARGEST / np.where(live, a, _F(1)), _F(0))
    k = np.zeros((len(x), groups * S4_GROUP), np.int32)
    k[:, :width] = floatmath.rne(x * s[:, None])
    unit = np.where(live, a / S4_LARGEST, _F(0)).astype(_F)
    out = np.empty((len(x), vocab), _F)
    block = max(1, (1 << 21) // (groups * S4_GROUP))
    for start in range(0, vocab, block):
        part = matrix.data[start : start + block].astype(np.int32)
        part = np.pad(part, ((0, 0), (0, groups * S4_GROUP - width))).reshape(len(part), groups, 8, 4)
        code = codes[start : start + block].astype(_F)
        for t in range(len(x)):
            quads = (part * k[t].reshape(groups, 8, 4)).sum(axis=3).astype(_F)
            lanes = np.zeros((16, len(part)), _F)
            for g in range(groups):
                at = 8 * (g % 2)
                lanes[at : at + 8] += quads[:, g].T * code[:, g]
            total = lane_tree(lanes) * matrix.scale[start : start + block]
            out[t, start : start + block] = total * unit[t]
    return out
