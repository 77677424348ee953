"""The float functions: error bounds against float64, order, and what happens at the ends of their ranges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgebit.ir.graph import Array
from edgebit.ops import floatmath
from edgebit.ops.support import c_float, random_f32

INF = float("inf")


def ulp(y: Array, exact: Array) -> Array:
    """|y - exact| in units of the last place of `exact` in binary32 (those of subnormals below 2^-126)."""
    exponent = np.maximum(np.frexp(exact)[1], -125)
    return np.abs(y.astype(np.float64) - exact) / np.ldexp(1.0, exponent - 24)


def every_kind(lo: float, hi: float) -> Array:
    rng = np.random.default_rng(3)
    uniform = rng.uniform(lo, hi, 400_000)
    logarithmic = np.exp(rng.uniform(np.log(1e-6), np.log(hi), 200_000)) * rng.choice([-1, 1], 200_000)
    x = np.concatenate([uniform, logarithmic[(logarithmic > lo) & (logarithmic < hi)], [0.0, 1e-45, -1e-45]])
    return np.sort(x.astype(np.float32))


@pytest.mark.parametrize(
    ("f", "exact", "lo", "hi", "bound"),
    [
        (floatmath.exp, np.exp, -87.33, 88.72, 0.98),
        (floatmath.sigmoid, lambda x: 1 / (1 + np.exp(-x)), -87.33, 40.0, 2.49),
        (floatmath.tanh, np.tanh, -12.0, 12.0, 1.34),
    ],
)
def test_error_bounds_and_order(
    f: Callable[[Array], Array], exact: Callable[[Array], Array], lo: float, hi: float, bound: float
) -> None:
    x = every_kind(lo, hi)
    y = f(x)
    assert y.dtype == np.float32
    normal = np.abs(exact(x.astype(np.float64))) >= 2.0**-126
    assert ulp(y, exact(x.astype(np.float64)))[normal].max() < bound
    assert (np.diff(y) >= 0).all()


def test_exp_at_its_ends() -> None:
    x = np.array([88.72284, 88.72283, -87.4, -95.0, -103.9, -104.1, -INF, INF, 0.0, -0.0], np.float32)
    y = floatmath.exp(x)
    assert y[0] == INF
    assert y[1] < INF
    small = np.exp(x[2:5].astype(np.float64))
    assert (np.abs(y[2:5].astype(np.float64) - small) <= 0.75 * 2.0**-149).all()
    assert y[5:].tolist() == [0.0, 0.0, INF, 1.0, 1.0]


def test_sigmoid_and_tanh_saturate() -> None:
    s = floatmath.sigmoid(np.array([-INF, -89.0, 17.4, 1e30, INF], np.float32))
    assert s.tolist() == [0, 0, 1, 1, 1]
    t = floatmath.tanh(np.array([-INF, -9.02, 9.02, INF, -0.0, 0.0, -(2.0**-149)], np.float32))
    assert t.tolist() == [-1, -1, 1, 1, 0, 0, -(2.0**-149)]
    assert np.signbit(t).tolist() == [True, True, False, False, True, False, True]


def test_nan_and_scalars() -> None:
    for f in (floatmath.exp, floatmath.sigmoid, floatmath.tanh, floatmath.sqrt):
        assert f(np.array(np.nan, np.float32)).view(np.uint32) == 0x7FC00000
        assert f(np.array(0.25, np.float32)).shape == ()
    assert floatmath.sqrt(np.array([-1.0], np.float32)).view(np.uint32) == 0x7FC00000


def test_rne_saturates() -> None:
    x = [0.5, 1.5, -0.5, -2.5, 2147483520.0, 3e9, -2147483648.0, -3e9, INF, -INF, float("nan"), 8388609.0]
    want = [0, 2, 0, -2, 2147483520, 2**31 - 1, -(2**31), -(2**31), 2**31 - 1, -(2**31), 0, 8388609]
    assert floatmath.rne(np.array(x, np.float32)).tolist() == want


def test_c_floats_are_exact() -> None:
    assert c_float(0.1) == "0x1.99999ap-4f"
    assert c_float(-INF) == "-EB_INFINITY"
    values = random_f32(np.random.default_rng(7), (500,), wild=True)
    assert all(np.float32(float.fromhex(c_float(v)[:-1])) == v for v in values)
