"""How far the float operations of a decoder may be from their exact values: the bounds of docs/numerics.md.

`ours` are bounds of edgebit/decoder/ops.py against binary64 on the same inputs; `theirs` of transformers' own way, whose
sums may run in any order. Two results differ by at most the sum of both. Each function checks one operation and returns
the largest difference as a share of what is allowed: (ours : exact, ours : the oracle).
"""

from __future__ import annotations

import platform

import numpy as np
import numpy.typing as npt

from edgebit.decoder import canonical, ops
from edgebit.decoder.canonical import Projection
from edgebit.decoder.rope import tables


def torch_runs_on(*sets: str) -> bool:
    """Whether torch is there and uses one of these instruction sets."""
    try:
        import torch
    except ImportError:
        return False
    return torch.backends.cpu.get_cpu_capability() in sets


F32Array = npt.NDArray[np.float32]
F64Array = npt.NDArray[np.float64]
U = 2.0**-24
SLACK = 1 + 2.0**-10  # products of errors
SUMS_ALIKE = platform.machine() in ("x86_64", "AMD64") and torch_runs_on("AVX2", "AVX512")
TINY = 2.0**-120  # where results are subnormal, a unit is no longer relative


def shares(mine: F32Array, other: F32Array, exact: F64Array, ours: F64Array, theirs: F64Array) -> list[float]:
    """Differences over bounds, the largest of each kind."""
    allowed = (ours * SLACK * U + TINY, (ours + theirs) * SLACK * U + TINY)
    differ = (np.abs(mine - exact), np.abs(mine.astype(np.float64) - other))
    return [float((d / a).max()) for d, a in zip(differ, allowed, strict=True)]


def norm(x: F32Array, other: F32Array, weight: F32Array, eps: float) -> list[float]:
    """Roundings of the sum of squares count half, since its root is taken: a square, additions in three sets of lanes, of
    those, of whole eights that are left, of four lanes, of numbers that are left and of eight; then the mean, epsilon, root,
    its inverse, and two products. The oracle's own where its sums run in that order."""
    n = x.shape[-1]
    wide = x.astype(np.float64)
    root = np.sqrt((wide * wide).sum(-1, keepdims=True) / n + float(np.float32(eps)))
    exact = wide / root * weight
    steps = n // 32
    additions = min(steps, 16) + min(steps // 16, 16) + steps // 256 + 2 + n % 32 // 8 + 3 + n % 8 + 8
    ours = ((1 + additions) / 2 + 5) * np.abs(exact)
    theirs = (n / 2 + 5) * np.abs(exact)
    mine = ops.rms_norm(x, weight, eps)
    assert not SUMS_ALIKE or np.array_equal(mine, other)
    return shares(mine, other, exact, ours, theirs)


def projection(q: npt.NDArray[np.int8], step: F32Array, p: Projection, other: F32Array) -> float:
    """BitLinear. Sums below 2^24 are exact in binary32; a product and a quotient, and a bias, which are the oracle's."""
    (sums,) = ops.accumulate(q, p)
    assert np.abs(sums).max(initial=0) < 1 << 24
    assert p.divisor is not None
    plain = sums / (p.divisor.astype(np.float64) * step)
    exact = plain if p.bias is None else plain + p.bias
    bias = 0.0 if p.bias is None else np.abs(exact)
    mine = ops.project(q, step, p)
    assert np.array_equal(mine, other)
    return shares(mine, other, exact, 2 * np.abs(plain) + bias, 0 * np.abs(plain))[0]


def dequantised(q: npt.NDArray[np.int8], step: F32Array, p: Projection, other: F32Array) -> list[float]:
    """AutoBitLinear: every input is divided by its step before the sum, which then is rounded at each of its terms, and
    multiplied by the scale; a bias is added before that. Ours: the inverse of the scale, a product and a quotient."""
    (sums,) = ops.accumulate(q, p)
    scale = p.scale[:, 0].astype(np.float64)
    plain = sums * (scale / step)
    exact = plain if p.bias is None else plain + p.bias
    bias = 0.0 if p.bias is None else np.abs(p.bias)
    terms = (np.abs(q.astype(np.float64)) @ np.abs(p.trits.T.astype(np.float64))) * (scale / step) + bias
    mine = ops.project(q, step, p)
    return shares(mine, other, exact, 3 * np.abs(plain) + np.abs(exact) + 2 * bias, (q.shape[1] + 4) * terms)


def grouped(q: npt.NDArray[np.int8], steps: F32Array, p: Projection) -> float:
    """int8 for every 128 inputs: three roundings a group's term, and one for each addition; no oracle has this."""
    sums = ops.accumulate(q, p)
    exact, size = np.zeros(()), np.zeros(())
    for g, acc in enumerate(sums):
        step = steps[:, min(g * p.group // 128, steps.shape[1] - 1)][:, None]
        term = acc * p.scale[:, g].astype(np.float64) / step
        exact, size = exact + term, size + np.abs(term)
    mine = ops.project(q, steps, p)
    return shares(mine, mine, np.asarray(exact), (3 + len(sums)) * np.asarray(size), 0 * np.asarray(size))[0]


def floats(x: F32Array, p: Projection, other: F32Array) -> list[float]:
    """binary32 inputs: trits round nothing, sums in 8 lanes, a product a group and a sum of groups."""
    cols = p.trits.shape[1]
    weight = p.trits * np.repeat(p.scale, p.group, axis=1)[:, :cols].astype(np.float64)
    exact, size = x @ weight.T, np.abs(x.astype(np.float64)) @ np.abs(weight.T)
    ours = -(-p.group // 8) + 3 + 1 + p.scale.shape[1]
    return shares(ops.project_f32(x, p), other, exact, ours * size, cols * size)


def head(x: F32Array, matrix: canonical.Rows, other: F32Array) -> list[float]:
    """A product, then sums in 16 lanes and their tree."""
    stored = canonical.widen(matrix.data, matrix.kind).astype(np.float64)
    exact, size = x @ stored.T, np.abs(x.astype(np.float64)) @ np.abs(stored.T)
    ours = -(-x.shape[1] // 16) + 5
    return shares(ops.head(x, matrix), other, exact, ours * size, x.shape[1] * size)


def silu(gate: F32Array, up: F32Array, other: F32Array) -> list[float]:
    """sigmoid is within 2.49 ULP, which are up to 5 U, then two products; theirs: an exponential of 1 ULP, a sum, a
    quotient and a product."""
    exact = gate / (1 + np.exp(-gate.astype(np.float64))) * up
    return shares(ops.gated(gate, up, "silu"), other, exact, 7 * np.abs(exact), 5 * np.abs(exact))


def angles(spec_rope: object, head_dim: int, cos: F32Array, sin: F32Array) -> float:
    """(T, hd / 2) of the oracle's tables. A frequency is a power and its inverse on both sides, times the position: 7 U of
    the angle together, where a sine moves by as much; then a sine of 1 ULP and one rounded."""
    table = tables(spec_rope, head_dim, len(cos))  # type: ignore[arg-type]
    period = float(spec_rope.theta) ** (np.arange(0, head_dim, 2) / head_dim)  # type: ignore[attr-defined]
    angle = np.arange(len(cos))[:, None] / period
    allowed = (7 * angle + 3) * U * SLACK
    differ = (np.abs(table[:, 0] - cos) / allowed).max(), (np.abs(table[:, 1] - sin) / allowed).max()
    return float(max(differ))


def attention(q: F32Array, k: F32Array, v: F32Array, other: F32Array) -> list[float]:
    """One window and one key-value head: q (T, G, hd), k and v (T, hd), all positions from 0 on.

    A weight is as wrong as its score: hd / 8 + 4 roundings of the sum of magnitudes, then a difference, and an exponential
    of 0.98 ULP, twice (in its block, and of blocks). Weights are summed with the values one after the other in a block
    of 128, and by themselves in 8 lanes. Theirs: sums in any order, an exponential of up to 20 ULP.
    """
    t, hd = k.shape
    scale = float(np.float32(hd**-0.5))
    blocks = -(-t // ops.POSITIONS)
    one = min(t, ops.POSITIONS)
    wide_k, wide_v = k.astype(np.float64), v.astype(np.float64)
    exact = np.empty(q.shape)
    ours, theirs = np.empty(q.shape), np.empty(q.shape)
    seen = np.tril(np.ones((t, t), bool))
    for g in range(q.shape[1]):
        query = q[:, g].astype(np.float64)
        s = np.where(seen, query @ wide_k.T * scale, -np.inf)
        size = np.abs(query) @ np.abs(wide_k.T) * scale
        far = np.where(seen, s.max(1, keepdims=True) - s, 0)
        w = np.exp(s - s.max(1, keepdims=True))
        w /= w.sum(1, keepdims=True)
        exact[:, g] = w @ wide_v
        for out, dot, each, sums, lengths in (
            (ours, -(-hd // 8) + 4, 4, one + 2 + blocks, -(-one // 8) + 6 + blocks),
            (theirs, hd + 1, 40, t, t + 2),
        ):
            wrong = dot * size + far + each
            mean = (w * np.where(seen, wrong, 0)).sum(1, keepdims=True)
            all_v = np.abs(wide_v)
            out[:, g] = (w * (wrong + sums)) @ all_v + (mean + lengths) * (w @ all_v)
    return shares(ops.attention(q, k, v, None, 0), other, exact, ours, theirs)
