"""Float helpers with one meaning on every machine; runtime_c/include/edgebit/eb_math.h mirrors every bit.

All steps are binary32 + - * / with each result rounded to nearest even, subnormals kept, no fused
multiply-add. Bounds are against float64, in units in the last place (ULP) of the exact result as binary32,
where that is a normal number; they were found by trying every binary32 input:

    exp      0.98 ULP   overflow gives +inf; subnormal results are within 0.75 of the smallest subnormal
    sigmoid  2.49 ULP   1 / (1 + exp(-x)); below -88.73 the result is +0, above 17.4 it is 1
    tanh     1.34 ULP   odd; from |x| = 9.02 on the result is +1 or -1

None of the three ever decreases when x grows (also tried on every input). A NaN gives the NaN with bits 0x7fc00000 (rne: 0).
"""

from __future__ import annotations

import numpy as np

from edgebit.ir.graph import Array, F32Array, S32Array

_F = np.float32
_h = float.fromhex

# exp: x = n ln2 + r with |r| <= ln2 / 2; ln2 in two parts, the first short enough that n * LN2_HI is exact.
# EXP_P approximates (e^r - 1 - r) / r^2 with a relative error below 2^-28 of e^r (Lawson's weighted fit).
_LOG2E = _F(_h("0x1.715476p+0"))
_ROUND = _F(12582912.0)  # 1.5 * 2^23: adding and subtracting it rounds to an integer
_LN2_HI = _F(_h("0x1.62e4p-1"))
_LN2_LO = _F(_h("0x1.7f7d1cp-20"))
_EXP_P = tuple(
    _F(_h(c)) for c in ("0x1.fffffcp-2", "0x1.555492p-3", "0x1.5558f2p-5", "0x1.123a2p-7", "0x1.6a23dp-10")
)
_EXP_MAX = _F(_h("0x1.62e42ep+6"))  # the largest x whose exp is finite
_EXP_MIN = _F(-104.0)  # exp rounds to 0 below -103.98
# tanh below TANH_SMALL: x + x^3 Q(x^2), relative error below 2^-28.
_TANH_SMALL = _F(0.59375)
_TANH_Q = tuple(
    _F(_h(c)) for c in ("-0x1.55553ep-2", "0x1.1109aep-3", "-0x1.b898dep-5", "0x1.54b8ap-6", "-0x1.82585p-8")
)
_NAN = np.array([0x7FC00000], np.uint32).view(np.float32)[0]


@np.errstate(all="ignore")
def rne(x: Array) -> S32Array:
    """Round half to even, saturating to int32; NaN gives 0."""
    r = np.rint(np.asarray(x, np.float32)).astype(np.float64)
    r = np.where(np.isnan(r), 0.0, np.clip(r, -2147483648.0, 2147483647.0))
    return r.astype(np.int32)


def _poly(c: tuple[np.float32, ...], x: F32Array) -> F32Array:
    """c[0] + x (c[1] + x (c[2] + ...)), every step rounded."""
    y = np.full_like(x, c[-1])
    for k in reversed(c[:-1]):
        y = y * x + k
    return y


def _pow2(n: S32Array) -> F32Array:
    """2^n for -126 <= n <= 127."""
    return ((n + 127) << 23).astype(np.int32).view(np.float32)


@np.errstate(all="ignore")
def exp(x: Array) -> F32Array:
    """e^x in binary32."""
    x = np.asarray(x, np.float32)
    inside = (x <= _EXP_MAX) & (x >= _EXP_MIN)
    v = np.where(inside, x, _F(0.0))
    n = (v * _LOG2E + _ROUND) - _ROUND
    r = (v - n * _LN2_HI) - n * _LN2_LO
    y = (r * r * _poly(_EXP_P, r) + r) + _F(1.0)
    k = n.astype(np.int32)
    half = k >> 1
    y = y * _pow2(half) * _pow2(k - half)
    y = np.where(x > _EXP_MAX, _F(np.inf), y)
    y = np.where(x < _EXP_MIN, _F(0.0), y)
    return np.where(np.isnan(x), _NAN, y)


@np.errstate(all="ignore")
def sigmoid(x: Array) -> F32Array:
    """1 / (1 + e^-x) in binary32."""
    x = np.asarray(x, np.float32)
    return np.where(np.isnan(x), _NAN, _F(1.0) / (_F(1.0) + exp(-x)))


@np.errstate(all="ignore")
def tanh(x: Array) -> F32Array:
    """tanh x in binary32; keeps the sign of zero."""
    x = np.asarray(x, np.float32)
    a = np.abs(x)
    u = a * a
    small = u * _poly(_TANH_Q, u) * a + a
    large = _F(1.0) - _F(2.0) / (exp(a + a) + _F(1.0))
    y = np.copysign(np.where(a < _TANH_SMALL, small, large), x)
    return np.where(np.isnan(x), _NAN, y)


@np.errstate(all="ignore")
def sqrt(x: Array) -> F32Array:
    """Correctly rounded square root; below zero (but not for -0) the NaN with bits 0x7fc00000."""
    y = np.sqrt(np.asarray(x, np.float32))
    return np.where(np.isnan(y), _NAN, y)


@np.errstate(all="ignore")
def clamp(y: F32Array, lo: float, hi: float) -> F32Array:
    """`y < lo ? lo : y`, then `y > hi ? hi : y`: the clamp of every float op. A NaN passes through."""
    low, high = _F(lo), _F(hi)
    y = np.where(y < low, low, y)
    return np.where(y > high, high, y)


@np.errstate(all="ignore")
def quantize(x: Array, scale: float, zero_point: int, qmin: int = -128, qmax: int = 127) -> Array:
    """clamp(rne(x / scale) + zero_point, qmin, qmax) as int8."""
    q = rne(np.asarray(x, np.float32) / _F(scale)).astype(np.int64) + zero_point
    return np.clip(q, qmin, qmax).astype(np.int8)


@np.errstate(all="ignore")
def dequantize(q: Array, scale: float, zero_point: int) -> F32Array:
    """float(q - zero_point) * scale."""
    return (q.astype(np.int32) - np.int32(zero_point)).astype(np.float32) * _F(scale)


@np.errstate(all="ignore")
def hard_sigmoid(x: Array, alpha: float, beta: float) -> F32Array:
    """clamp(x * alpha + beta, 0, 1)."""
    return clamp(np.asarray(x, np.float32) * _F(alpha) + _F(beta), 0.0, 1.0)


@np.errstate(all="ignore")
def gate(x: Array, g: F32Array) -> F32Array:
    """x * g, but +0 where the gate g is 0, so that minus infinity times a closed gate is defined."""
    x = np.asarray(x, np.float32)
    return np.where(g > 0, x * g, _F(0.0))


def silu(x: Array) -> F32Array:
    """x * sigmoid(x)."""
    return gate(x, sigmoid(x))


def hard_swish(x: Array) -> F32Array:
    """x * clamp(x * float32(1/6) + 0.5, 0, 1)."""
    return gate(x, hard_sigmoid(x, 1.0 / 6.0, 0.5))


@np.errstate(all="ignore")
def leaky_relu(x: Array, alpha: float) -> F32Array:
    """`x < 0 ? x * alpha : x`."""
    x = np.asarray(x, np.float32)
    return np.where(x < 0, x * _F(alpha), x)
