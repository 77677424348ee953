"""Integer requantisation: choosing the numbers, proving their error, and applying them.

The real thing is r = scale * acc + bias, in steps of the output (bias holds the zero point). The integers
compute, see `Requant`,

    t = (acc + half) >> p        q = clamp((t * mul + add) >> shift, qmin, qmax)

with add = round(bias * 2^shift) + 2^(shift - 1). Before its final floor this is v + 1/2 with
v = t * mul / 2^shift + round(bias * 2^shift) / 2^shift, so that, with m = mul / 2^(shift + p),

    |v - r| <= A * |m - scale| + half * |m| + |round(bias * 2^shift) / 2^shift - bias|

for |acc| <= A. Both sides are monotone in acc in the same direction, so only accumulators whose r lies within
one step of [qmin, qmax], and the next one outside, need the bound: A is the smaller of the proven accumulator
bound and that window. While the bound is below 1/2, q differs from any correct rounding of r by at most 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgebit.errors import EdgebitError, ModelError
from edgebit.ir.graph import Requant, S8Array, S32Array

F64Array = npt.NDArray[np.float64]
S64Array = npt.NDArray[np.int64]

MAX_SHIFT = 30
_LIMIT = 2**31
_SLACK = 2.0**-40  # far above the rounding of the float64 arithmetic that computes the bounds


def make_requant(
    scale: npt.ArrayLike,
    bias: npt.ArrayLike,
    acc_bound: npt.ArrayLike,
    qmin: int = -128,
    qmax: int = 127,
) -> Requant:
    """The integers for r = scale[c] * acc + bias[c], |acc| <= acc_bound[c], clamped to qmin..qmax.

    scale: real multiplier (input scale * weight scale / output scale), any sign, 0 for a constant channel.
    bias: in output steps, zero point included. Raises ModelError when no choice keeps the proven error
    below half a step.
    """
    if not -128 <= qmin <= qmax <= 127:
        raise EdgebitError(f"requantisation to {qmin}..{qmax}, which is not inside int8")
    s0, b0, bound = _columns(scale, bias, acc_bound)
    s, b = _saturated(s0, b0, bound, qmin, qmax)
    best: Requant | None = None
    best_error = np.inf
    for p in range(25):
        r = _with_pre_shift(s, b, bound, p, qmin, qmax)
        if r is None:
            continue
        error = float(requant_error(r, s0, b0, bound).max(initial=0.0))
        if error < best_error:
            best, best_error = r, error
    if best is None or best_error >= 0.5:
        raise ModelError(
            f"requantisation cannot be made exact to half a step (proven error {best_error:.3g}; multipliers "
            f"{np.abs(s0).min():.3g}..{np.abs(s0).max():.3g}, accumulators up to {int(bound.max())})"
        )
    return best


def requant_error(
    r: Requant, scale: npt.ArrayLike, bias: npt.ArrayLike, acc_bound: npt.ArrayLike
) -> F64Array:
    """A proven bound, per channel and in output steps, of |v - r| (see the top of this file).

    inf where an intermediate could leave int32 or the multiplier has the wrong sign.
    """
    s0, b0, bound = _columns(scale, bias, acc_bound)
    s, b = _saturated(s0, b0, bound, r.qmin, r.qmax)
    mul, add, shift = (np.broadcast_to(a, s.shape).astype(np.int64) for a in (r.mul, r.add, r.shift))
    half = (1 << r.pre_shift) >> 1
    two = np.exp2(shift.astype(np.float64))
    m = mul / (two * 2.0**r.pre_shift)
    rounded = (add - ((1 << shift) >> 1)) / two
    room = np.maximum(np.abs(r.qmin - 1 - b), np.abs(r.qmax + 1 - b))
    with np.errstate(divide="ignore", invalid="ignore"):
        window = np.where(s == 0, 0.0, room / np.abs(s) + 1)
    reach = np.minimum(bound.astype(np.float64), window)
    error = reach * np.abs(m - s) + half * np.abs(m) + np.abs(rounded - b)
    error = error * (1 + _SLACK) + _SLACK
    unsafe = ~_fits(mul, add, bound, r.pre_shift) | (mul * np.sign(s) < 0) | ((s == 0) & (mul != 0))
    return np.asarray(np.where(unsafe, np.inf, error), np.float64)


def check_requant(r: Requant, acc_bound: npt.ArrayLike, channels: int) -> str | None:
    """Why `r` may not be used for accumulators within `acc_bound`, or None when it may."""
    for name, a in (("mul", r.mul), ("add", r.add), ("shift", r.shift)):
        if np.shape(a) not in ((channels,), (1,)) or not np.issubdtype(a.dtype, np.integer):
            return f"{name} must be integers of shape ({channels},) or (1,), it is {a.dtype} {np.shape(a)}"
    if not (0 <= r.pre_shift <= MAX_SHIFT and r.shift.min() >= 0 and r.shift.max() <= MAX_SHIFT):
        return f"shifts must be in 0..{MAX_SHIFT}"
    if not -128 <= r.qmin <= r.qmax <= 127:
        return f"the range {r.qmin}..{r.qmax} is not inside int8"
    if r.mul.min() < -(2**15) or r.mul.max() >= 2**15:
        return "a multiplier does not fit 16 bits"
    bound = np.broadcast_to(np.asarray(acc_bound, np.int64), (channels,))
    if not _fits(r.mul.astype(np.int64), r.add.astype(np.int64), bound, r.pre_shift).all():
        return "an intermediate could leave 32 bits"
    return None


def requantise(acc: S32Array, r: Requant) -> S8Array:
    """The int8 values of accumulators (..., C)."""
    half = (1 << r.pre_shift) >> 1
    t = (acc.astype(np.int64) + half) >> r.pre_shift
    v = t * r.mul.astype(np.int64) + r.add.astype(np.int64)
    if v.size and max(int(v.max()), -int(v.min())) >= _LIMIT:
        raise EdgebitError("a requantisation left 32 bits: its accumulator bound was wrong")
    q: S8Array = np.clip(v >> r.shift.astype(np.int64), r.qmin, r.qmax).astype(np.int8)
    return q


def _columns(
    scale: npt.ArrayLike, bias: npt.ArrayLike, acc_bound: npt.ArrayLike
) -> tuple[F64Array, F64Array, S64Array]:
    s, b, bound = np.broadcast_arrays(
        np.atleast_1d(np.asarray(scale, np.float64)),
        np.asarray(bias, np.float64),
        np.asarray(acc_bound, np.int64),
    )
    if s.ndim != 1 or not np.isfinite(s).all() or not np.isfinite(b).all() or (bound < 0).any():
        raise ModelError("requantisation needs finite multipliers and biases, one a channel")
    return s, b, bound


def _saturated(s: F64Array, b: F64Array, bound: S64Array, qmin: int, qmax: int) -> tuple[F64Array, F64Array]:
    """Channels that no accumulator brings off a rail, made constant; constants pulled next to the range."""
    reach = np.abs(s) * bound
    high, low = b - reach >= qmax + 1, b + reach <= qmin - 1
    s = np.where(high | low | (bound == 0), 0.0, s)
    b = np.where(high, float(qmax), np.where(low, float(qmin), b))
    return s, np.where(s == 0, np.clip(b, qmin, qmax), b)


def _fits(mul: S64Array, add: S64Array, bound: S64Array, p: int) -> npt.NDArray[np.bool_]:
    half = (1 << p) >> 1
    widest = (bound + half) >> p
    # |t| <= (bound + half) >> p: floor((half - bound) / 2^p) is never below its negative.
    inside = (bound + half < _LIMIT) & (widest * np.abs(mul) + np.abs(add) < _LIMIT)
    return np.asarray(inside, np.bool_)


def _with_pre_shift(
    s: F64Array, b: F64Array, bound: S64Array, p: int, qmin: int, qmax: int
) -> Requant | None:
    """For each channel the largest shift that keeps every intermediate in range; None when one has none."""
    mul, add, shift = (np.zeros(s.shape, np.int64) for _ in range(3))
    todo = np.ones(s.shape, bool)
    for k in range(MAX_SHIFT, -1, -1):
        m = np.rint(s * 2.0 ** (k + p))
        a = np.rint(b * 2.0**k)
        small = (np.abs(m) < 2**15) & (np.abs(a) < 2.0**31)
        mi, ai = (np.where(small, v, 0).astype(np.int64) for v in (m, a))
        ai = ai + ((1 << k) >> 1)
        take = todo & small & _fits(mi, ai, bound, p)
        mul, add, shift = (np.where(take, n, o) for n, o in ((mi, mul), (ai, add), (np.int64(k), shift)))
        todo &= ~take
    if todo.any():
        return None
    return Requant(mul.astype(np.int32), add.astype(np.int32), shift.astype(np.int32), p, qmin, qmax)
