"""Recognises weights that are ternary in value, and refuses to see what is not there.

A row is the set of weights of one output channel. A tensor is ternary when every element is 0 or plus or
minus one magnitude, of the tensor or of its row, within the noise that straight-through estimators leave
(w + (q - w) is off by a few units in the last place).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebit.ir.graph import Array, Const, F32Array, Graph, Int8Weights, S8Array, TernaryWeights

ZERO_TOL = 1e-6  # of the largest magnitude: what counts as zero
SAME_TOL = 1e-5  # relative: what counts as the same magnitude
HALF_TOL = 1e-3  # the same, for tensors that were stored as FLOAT16
MIN_ELEMENTS = 32
MIN_AGREEING = 16


def find_ternary(rows: F32Array, half: bool = False) -> tuple[S8Array, F32Array] | None:
    """Trits (R, K) and positive scales (R,) of a float matrix of R rows, or None when it is not ternary.

    half: the values passed through FLOAT16, so equal magnitudes may differ by its rounding.
    """
    if rows.size < MIN_ELEMENTS or not np.isfinite(rows).all():
        return None
    tol = HALF_TOL if half else SAME_TOL
    mag = np.abs(rows)
    tops = mag.max(axis=1)
    if not tops.any():
        return None
    best: tuple[float, S8Array, F32Array] | None = None
    for limit in (np.full_like(tops, tops.max()), tops):
        found = _with_magnitudes(rows, mag, limit, tol)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    return None if best is None else (best[1], best[2])


def _with_magnitudes(
    rows: F32Array, mag: F32Array, limit: F32Array, tol: float
) -> tuple[float, S8Array, F32Array] | None:
    """The trits if each row has the magnitude limit[r] or 0 only; with the squared error of the fit."""
    top = limit[:, None].astype(np.float64)
    zero = mag <= ZERO_TOL * top
    full = np.abs(mag - top) <= tol * top
    if not np.all(zero | full):
        return None
    trits = np.where(zero, 0, np.sign(rows)).astype(np.int8)
    one = bool(np.all(limit == limit[0]))
    if not (_tensor_evidence(trits) if one else row_evidence(trits)):
        return None
    if one:
        scale = np.full(len(rows), _usual(mag[~zero]), np.float32)
    else:
        scale = np.array([_usual(m[~z]) for m, z in zip(mag, zero, strict=True)], np.float32)
    scale = fill_empty(trits, scale)
    error = float(np.square(rows - trits * scale[:, None].astype(np.float64)).sum())
    return error, trits, scale


def _tensor_evidence(trits: S8Array) -> bool:
    """One magnitude for all: no accident in a tensor of 32 elements, if zeros or both signs occur."""
    return trits.size >= MIN_ELEMENTS and bool(np.any(trits != trits.flat[0]))


def row_evidence(trits: S8Array) -> bool:
    """A magnitude per row: no accident if enough elements agree beyond the one per row that sets it, and
    zeros or both signs occur in half of the rows. Rows of one element prove nothing."""
    used = np.any(trits != 0, axis=1)
    mixed = np.any(trits != trits[:, :1], axis=1)
    n = int(used.sum())
    return n * (trits.shape[1] - 1) >= MIN_AGREEING and 2 * int((mixed & used).sum()) >= n


def _usual(mag: F32Array) -> np.float32:
    """The commonest magnitude: the scale without the noise."""
    if not mag.size:
        return np.float32(0)
    values, counts = np.unique(mag, return_counts=True)
    common = values[counts == counts.max()]
    return np.float32(common[len(common) // 2])


def fill_empty(trits: S8Array, scale: F32Array) -> F32Array:
    """Scales where rows without a nonzero trit take the scale of another row (their value is 0 with any)."""
    used = np.any(trits.reshape(len(trits), -1) != 0, axis=1) & (scale > 0)
    if not used.any():
        return np.ones_like(scale)
    return np.where(used, scale, scale[int(np.argmax(used))]).astype(np.float32)


def from_levels(q: S8Array, scale: F32Array) -> TernaryWeights | Int8Weights | None:
    """Weights from stored integers (R, K) with one scale per row (R,), which may be zero or negative.

    None when they do not fit: -128 in a row whose negative scale has to be folded into the integers.
    """
    wide, scale = q.astype(np.int32), scale.astype(np.float32)
    wide[scale < 0] *= -1
    wide[scale == 0] = 0
    scale = np.abs(scale)
    tops = np.abs(wide).max(axis=1)
    if np.all((wide == 0) | (np.abs(wide) == tops[:, None])):
        trits = np.sign(wide).astype(np.int8)
        if tops.max() <= 1 or (q.size >= MIN_ELEMENTS and row_evidence(trits)):
            step = np.maximum(tops, 1).astype(np.float32)
            return TernaryWeights(trits, fill_empty(trits, (scale * step).astype(np.float32)))
    if wide.max() > 127:
        return None
    return Int8Weights(wide.astype(np.int8), fill_empty(wide.astype(np.int8), scale))


@dataclass(frozen=True)
class WeightInfo:
    """What `inspect` says about one weight: kind is "ternary", "int8" or "float".

    sparsity is the fraction of zeros; scales the number of different scales (0 for float).
    """

    node: str
    op: str
    const: str
    kind: str
    shape: tuple[int, ...]
    elements: int
    sparsity: float
    scales: int


def describe_weights(graph: Graph) -> list[WeightInfo]:
    """The weights of every dense, dense_groups and conv2d node of `graph`, in execution order."""
    out: list[WeightInfo] = []
    for n in graph.nodes:
        if n.op not in ("dense", "dense_groups", "conv2d"):
            continue
        c: Const = graph.consts[n.inputs[1]]
        scales = 0
        if isinstance(c, TernaryWeights):
            kind, values, scales = "ternary", c.trits, len(np.unique(c.scale))
        elif isinstance(c, Int8Weights):
            kind, values, scales = "int8", c.q, len(np.unique(c.scale))
        else:
            kind, values = "float", c
        a: Array = values
        zeros = 1.0 - np.count_nonzero(a) / max(1, a.size)
        out.append(WeightInfo(n.name, n.op, n.inputs[1], kind, tuple(a.shape), a.size, float(zeros), scales))
    return out
